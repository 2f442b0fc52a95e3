"""Raw counts from anywhere as a model's tokens, block by block, in memory that does not grow."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.features import left_out_notes
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.data.token_encoder import TokenEncoder, why_left_out
from bionemo.geneformer_t.gene_lookup import gene_labels
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of
from bionemo.geneformer_t.ragged import Ragged

_SHOWN = 5


class CellReader:
    """The cells of one source in a model's vocabulary, and how much of their counts it knows.

    Args:
        model: Its vocabulary and medians are used.
        source: Counts in whole rows.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.
        where: What to call the source in messages; by default what it calls itself.

    Raises:
        ValueError: The vocabulary knows none of the genes.
    """

    def __init__(
        self,
        model: NextCellModel,
        source: CountSource,
        min_mapped_counts: float,
        where: str | None = None,
    ) -> None:
        self.source = source
        self.where = where or source.where
        self.vocab = model.required_vocab()
        self.encoder = TokenEncoder(source, self.where, self.vocab, settings_of(model))
        self.num_cells = 0
        """Cells so far."""
        self.num_empty = 0
        """Those of them that express no gene of the vocabulary."""
        self.num_known = int(self.encoder.is_known.sum())
        """Genes that the vocabulary knows."""
        self.num_unknown = int(self.encoder.is_counted.sum()) - self.num_known
        self._least = min_mapped_counts
        self._counts: Float[ndarray, " column"] = np.zeros(source.shape[1])

    def blocks(self) -> Iterator[Ragged]:
        """All known genes of consecutive cells, highest rank value first.

        Raises:
            ValueError: Values are no raw counts, too few of them are on known genes, or at the end
                there was no count on any gene.
        """
        for block in self.source.blocks():
            counts = block.counts
            self._counts += np.bincount(counts.indices, counts.data, minlength=len(self._counts))
            lengths = np.diff(counts.indptr).astype(np.int64)
            cells = self.encoder.encode(counts.data, counts.indices, lengths)
            self.num_cells += len(cells)
            self.num_empty += int((cells.lengths == 0).sum())
            self._check_coverage()
            yield cells
        if self.num_cells and not self._counts[self.encoder.is_counted].any():
            genes = int(self.encoder.is_counted.sum())
            raise ValueError(
                f"none of the {self.num_cells:,} cells of {self.where} has a count on any of its "
                f"{genes:,} genes; expected raw counts. Choose another layer, or check how the "
                "file was written"
            )

    @property
    def counts_known(self) -> float:
        """The fraction of the counts of genes so far that is on known ones."""
        total = float(self._counts[self.encoder.is_counted].sum())
        return float(self._counts[self.encoder.is_known].sum()) / total if total else 0.0

    def notes(self) -> list[str]:
        """What was left out because it is no gene, and its fraction of the counts."""
        removed = self.source.removed
        counts = self._counts if removed is None else self._counts + removed.counts
        reasons = why_left_out(self.encoder.names, self.encoder.token_of_column)
        return left_out_notes(self.where, self.source.genes.readable, reasons, counts)

    def _check_coverage(self) -> None:
        """Refuse cells whose counts are on unknown genes: the model would predict nonsense."""
        if self.counts_known >= self._least or not self._counts[self.encoder.is_counted].any():
            return
        is_unknown = self.encoder.is_counted & ~self.encoder.is_known
        names = gene_labels(self.source.gene_names, self.source.genes.readable)
        unknown = [names[column] for column in np.flatnonzero(is_unknown).tolist()]
        raise ValueError(
            f"only {self.counts_known:.1%} of the counts of the first {self.num_cells:,} cells of "
            f"{self.where} are on genes of the model's vocabulary; at least {self._least:.0%} must "
            f"be. {len(unknown):,} of {len(names):,} genes are unknown, such as "
            f"{', '.join(unknown[:_SHOWN])}; the vocabulary names genes like "
            f"{', '.join(self.vocab.genes[:3])}. Use a model of the same species, name genes by "
            "Ensembl id in var['feature_id'], or lower min_mapped_counts"
        )
