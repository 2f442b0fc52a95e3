"""Geneformer-T as a method of the benchmark scTimeBench.

scTimeBench calls a script with the path of a YAML file. The script for this package:

    python -m bionemo.geneformer_t.run.sctimebench --yaml_config "$1"

`method: metadata:` in its configuration has settings of `geneformer-t train`. Counts must be raw.
A data folder with successors by time point is prepared from the training cells of the benchmark,
and the model is trained on it once. For the test cells, it returns the expression and the
embeddings of their next cells. scTimeBench infers cell types and lineage graphs from these.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray
from scTimeBench.method_utils.method_runner import BaseMethod, main
from scTimeBench.shared.constants import ObservationColumns

from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_expression import RankWorth, as_cells, expected_counts
from bionemo.geneformer_t.model.next_cell_model import settings_of

if TYPE_CHECKING:
    import anndata

    from bionemo.geneformer_t.model.next_cell_model import NextCellModel

TIME = ObservationColumns.TIMEPOINT.value
_KEY = "X_geneformer_t"


class GeneformerT(BaseMethod):
    """Trains on the benchmark's training cells and predicts the next cells of its test cells."""

    def train(self, ann_data: "anndata.AnnData", all_tps: list[float] | None = None) -> None:
        """Prepare a data folder and train, unless that is done already."""
        from bionemo.geneformer_t.run.prepare import prepare
        from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

        folder = Path(self.output_path) / "geneformer_t"
        folder.mkdir(exist_ok=True)
        cells = folder / "training_cells.h5ad"
        self.training_cells = ann_data
        ann_data.write_h5ad(cells)
        prepare(
            input=(cells,), output_dir=folder / "data", time_key=TIME, val_fraction=0.1,
            test_fraction=0.0, pictures=False,
        )  # fmt: skip
        self.checkpoint = train_temporal_geneformer(
            data_dir=folder / "data", output_dir=folder / "run", resume_from_checkpoint="last",
            **{"final_evaluation": False, **self.config["method"].get("metadata", {})},
        )  # fmt: skip

    @cached_property
    def model(self) -> "NextCellModel":
        """The trained model."""
        return load_model(self.checkpoint)

    @cached_property
    def worth(self) -> RankWorth:
        """Mean normalised expression at each rank in the training cells."""
        counts = sp.csr_array(self.training_cells.X)
        most = settings_of(self.model).genes_per_cell
        return RankWorth.of(counts, self._encoder(self.training_cells), most)

    def generate_next_tp_gex(self, test_ann_data: "anndata.AnnData") -> Float[ndarray, "cell gene"]:
        """Expected counts of the next cell of every test cell, those of the last time point too."""
        counts = sp.csr_array(test_ann_data.X)
        return expected_counts(self.model, self._encoder(test_ann_data), self.worth, counts)

    def generate_embedding(self, test_ann_data: "anndata.AnnData") -> Float[ndarray, "cell hidden"]:
        """Embeddings of the test cells."""
        from bionemo.geneformer_t.tl.embeddings import embed

        embedded = embed(
            test_ann_data, self.model, key_added=_KEY, gene_embeddings=False, copy=True
        )
        assert embedded is not None
        found: ndarray = embedded.obsm[_KEY]
        return found

    def generate_next_tp_embedding(
        self, test_ann_data: "anndata.AnnData"
    ) -> Float[ndarray, "cell hidden"]:
        """Embeddings of their predicted next cells."""
        return self.generate_embedding(self._next_cells(test_ann_data))

    def generate_zero_to_end_pred_gex(
        self, first_tp_cells: "anndata.AnnData", all_tps: list[float]
    ) -> "anndata.AnnData":
        """The cells of the first time point, and their predicted states at all later ones."""
        import anndata

        steps, now = [first_tp_cells], first_tp_cells
        for _ in all_tps[1:]:
            steps.append(self._with_counts(now, self.generate_next_tp_gex(now)))
            now = self._next_cells(now)
        for cells, time in zip(steps, all_tps, strict=True):
            cells.obs[TIME] = time
        return anndata.concat(steps, index_unique="-")

    def _next_cells(self, cells: "anndata.AnnData") -> "anndata.AnnData":
        """Predicted next cells with as many genes as the current ones, as input for the model."""
        num_genes = np.diff(sp.csr_array(cells.X).indptr)
        return self._with_counts(cells, as_cells(self.generate_next_tp_gex(cells), num_genes))

    def _with_counts(self, cells: "anndata.AnnData", counts: Any) -> "anndata.AnnData":
        import anndata

        return anndata.AnnData(counts, obs=cells.obs.copy(), var=cells.var)

    def _encoder(self, cells: "anndata.AnnData") -> TokenEncoder:
        vocab, settings = self.model.required_vocab(), settings_of(self.model)
        return TokenEncoder(anndata_source(cells), "the cells of the benchmark", vocab, settings)


if __name__ == "__main__":
    main(GeneformerT)
