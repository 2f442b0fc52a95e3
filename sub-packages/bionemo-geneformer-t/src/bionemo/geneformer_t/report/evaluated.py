"""An evaluation together with what it was made from, so that figures need not ask again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.fingerprints import cells_fingerprint, graph_fingerprint
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.arrows import Arrows, arrows
from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.model.knn_memory import Mixing
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.evaluation_files import Scored
from bionemo.geneformer_t.training.run_files import METRICS_FILE, run_dir

if TYPE_CHECKING:
    from bionemo.geneformer_t.report.figures.cell_map import CellMap


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One checkpoint on one split."""

    checkpoint: Path
    data_dir: Path
    split: str
    stores: Mapping[str, CellStore]
    """The cells that the baselines were fitted on, and those that were scored."""
    evaluation: Evaluation
    predictor: Predictor
    """The model, as it was asked."""
    dataset: TemporalGeneformerDataset
    """The split."""
    pairs: CellPairs
    """The current cells that were scored, and their successors."""
    facts: Mapping[str, CellFacts]
    """Times and clusters of the cells of each split."""
    where_from: str
    """A sentence on where the facts come from."""
    in_sample: str
    """A sentence where model or baselines were fitted on the cells that are scored; else empty."""
    is_shuffled: bool
    """Whether the model learned from shuffled successors, as a control."""
    mixing: Mixing | None
    """How the model's answer is mixed with its memory; None where it has none."""
    seed: int
    fingerprint: str
    """Of the model; see `inference.model_fingerprint`."""
    control: str | None
    """Of the model of shuffled successors; None where there is none."""
    settings: Mapping[str, Any]
    """How it was scored, in plain values."""

    @property
    def scored(self) -> Scored:
        """What the scores belong to, by content."""
        return what_is_scored(self.fingerprint, self.split, self.dataset, self.control)

    @property
    def split_dir(self) -> Path:
        """The folder of the cells that were scored."""
        return self.data_dir / self.split

    @property
    def run_dir(self) -> Path:
        """Where the run that wrote the checkpoint keeps its metrics and settings."""
        return run_dir(self.checkpoint)

    @property
    def metrics(self) -> Path | None:
        """The losses of that run; None where they are not there."""
        path = self.run_dir / METRICS_FILE
        return path if path.is_file() else None

    @cached_property
    def where(self) -> "CellMap":
        """A map of the split's cells."""
        from bionemo.geneformer_t.report.figures.cell_map import cell_map  # with Matplotlib

        cluster = self.facts[self.split].cluster
        return cell_map(self.split_dir, self.dataset.tokens, self.seed, cluster)

    @cached_property
    def arrows(self) -> Arrows:
        """True and predicted arrows on that map."""
        return arrows(self.predictor, self.dataset, self.where.coordinates)


def what_is_scored(
    fingerprint: str, split: str, dataset: TemporalGeneformerDataset, control: str | None
) -> Scored:
    """A model on a split, beside a model of shuffled successors or none, by content."""
    return Scored(
        model=fingerprint,
        split=split,
        cells=cells_fingerprint(dataset.tokens.store),
        graph=graph_fingerprint(dataset.graph),
        control=control,
    )
