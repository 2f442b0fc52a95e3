"""How much of a split's genes and counts is on a set of tokens."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.features import left_out_notes
from bionemo.geneformer_t.data.cache import load_or_compute
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.token_encoder import counted_columns, why_left_out

GENE_TOTALS = "gene_totals"


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Expressed genes and counts of a split, and those of them on covered tokens."""

    genes: int
    """Columns that some cell expresses."""
    genes_covered: int
    """Those of them that have a covered token."""
    counts: float
    """Total count of all cells."""
    counts_covered: float
    """Counts of covered genes."""

    @property
    def share(self) -> float:
        """The fraction of the counts that is covered; 0 where there are none."""
        return self.counts_covered / self.counts if self.counts else 0.0

    def __str__(self) -> str:
        return (
            f"{self.genes_covered:,} of {self.genes:,} expressed genes and {self.share:.1%} of the "
            "counts"
        )


def coverage(tokens: CellTokens, covered: Bool[ndarray, " vocab"]) -> Coverage:
    """The coverage of a split by some of the vocabulary's tokens.

    Args:
        tokens: The cells of the split.
        covered: Which tokens of the vocabulary count.
    """
    token = tokens.token_of_column
    totals = gene_totals(tokens.store) * counted_columns(tokens.store.genes, token)
    is_covered = (token >= 0) & covered[token]
    is_expressed = totals > 0
    return Coverage(
        genes=int(is_expressed.sum()),
        genes_covered=int((is_expressed & is_covered).sum()),
        counts=float(totals.sum()),
        counts_covered=float(totals[is_covered].sum()),
    )


def known_fraction(store: CellStore, tokens: Int[ndarray, " column"]) -> float:
    """The fraction of the genes' counts that is on known ones; 0 where there are none.

    Args:
        store: The cells.
        tokens: The token of each column, -1 where it has none.
    """
    totals = gene_totals(store)
    counted = float(totals[counted_columns(store.genes, tokens)].sum())
    return float(totals[tokens >= 0].sum()) / counted if counted else 0.0


def notes_on_left_out(store: CellStore, tokens: Int[ndarray, " column"]) -> list[str]:
    """A sentence for each reason why columns are left out; none where all are genes.

    Args:
        store: The cells.
        tokens: The token of each column, -1 where it has none.
    """
    reasons = why_left_out(store.genes, tokens)
    if not any(reasons):
        return []
    counts = gene_totals(store) + store.removed_counts
    return left_out_notes(store.where, store.genes.readable, reasons, counts)


def gene_totals(store: CellStore) -> Float[ndarray, " column"]:
    """The total count of each column; kept beside the cells, for it takes a pass over them."""
    return load_or_compute(store.path / GENE_TOTALS, lambda: _sum_columns(store))


def _sum_columns(store: CellStore) -> Float[ndarray, " column"]:
    number = len(store.gene_names)
    totals = np.zeros(number)
    for _, counts, columns, _ in store.blocks():
        totals += np.bincount(columns.astype(np.int64), weights=counts, minlength=number)
    return totals
