"""Candidate next cells as entries of a table of ranks x genes.

Given a current cell, the ranks of its next cell are independent under the isolation rule. The
log-probability of a candidate is therefore a sum of entries of one table, that of the current cell:
the entry of its first gene at rank 1, of its second gene at rank 2, and so on. Candidates share
most of their entries, and only those that some candidate has are ever kept of a table.

As many ranks count for every candidate. Of a candidate with fewer genes, all of its genes count,
and the sum is scaled up to that number of ranks, as if its missing ranks were as probable as the
others on average. Depth then does not decide, although the score of a shallow cell is less certain.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int, Int32
from numpy import ndarray

from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.ragged import Ragged, places_within
from bionemo.geneformer_t.vocab import GeneVocab


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Candidate cells, which can be scored in any order and in any part."""

    entries: Int[ndarray, " entry"]
    """rank * vocabulary size + gene (ranks from 0), ascending: what some candidate has."""
    places: Int32[ndarray, "candidate rank"]
    """Which of the entries each candidate has at each rank; `len(entries)` where it has no gene."""
    num_genes: Int[ndarray, " candidate"]
    """Ranks at which each has a gene, up to all."""
    points: Mapping[CanonicalAxes, Float[ndarray, "candidate axis"]] = field(default_factory=dict)
    """Where each is as a next cell, along the canonical axes of each model that may score it."""

    @classmethod
    def of(
        cls,
        cells: Ragged,
        num_ranks: int,
        vocab: GeneVocab,
        axes: Collection[CanonicalAxes] = (),
    ) -> "Candidates":
        """Candidates from encoded cells, which are in memory as a whole.

        Args:
            cells: Genes of each in rank order, without special tokens.
            num_ranks: Ranks that count.
            vocab: The model's.
            axes: Canonical axes along which scores are asked for, if any.

        Raises:
            ValueError: Cells hold ids that are no genes of this vocabulary.
        """
        return cls.of_blocks([cells], len(cells), num_ranks, vocab, axes)

    @classmethod
    def of_blocks(
        cls,
        blocks: Iterable[Ragged],
        num_cells: int,
        num_ranks: int,
        vocab: GeneVocab,
        axes: Collection[CanonicalAxes] = (),
        on_cells: OnCells = int,
    ) -> "Candidates":
        """The same from blocks of consecutive cells, of which the highest ranks alone are kept.

        Args:
            blocks: As for `of`.
            num_cells: Cells in all blocks.
            num_ranks: Ranks that count.
            vocab: The model's.
            axes: As for `of`.
            on_cells: Told how many more cells are read.

        Raises:
            ValueError: As for `of`.
        """
        size = num_ranks * len(vocab)
        places = np.full((num_cells, num_ranks), size, dtype=np.int32)
        is_used = np.zeros(size + 1, dtype=bool)
        num_genes = np.zeros(num_cells, dtype=np.int64)
        points = {of: np.zeros((num_cells, len(of)), dtype=np.float32) for of in axes}
        first = 0
        for block in blocks:
            _check_genes(block, vocab)
            for of, found_points in points.items():
                found_points[first : first + len(block)] = of.observed(block)
            cells = block.truncated(num_ranks)
            ranks = places_within(cells.lengths)
            found = ranks * len(vocab) + cells.values
            rows = np.repeat(np.arange(first, first + len(cells)), cells.lengths)
            places[rows, ranks], is_used[found] = found, True
            num_genes[first : first + len(cells)] = cells.lengths
            first += len(cells)
            on_cells(len(cells))
        assert first == num_cells, (first, num_cells)
        entries = np.flatnonzero(is_used)
        place_of = np.full(size + 1, len(entries), dtype=np.int32)
        place_of[entries] = np.arange(len(entries))
        for part in np.array_split(places, max(1, num_cells // 4096)):
            part[:] = place_of[part]
        return cls(entries=entries, places=places, num_genes=num_genes, points=points)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def num_ranks(self) -> int:
        """Ranks that count."""
        return self.places.shape[1]

    @property
    def num_with_genes(self) -> int:
        """Candidates with a gene at a rank that counts, to which alone cells can go."""
        return int((self.num_genes > 0).sum())

    def truncated(self, num_ranks: int) -> "Candidates":
        """The same candidates and entries, of which fewer ranks count."""
        return replace(
            self,
            places=self.places[:, :num_ranks],
            num_genes=np.minimum(self.num_genes, num_ranks),
        )


def _check_genes(cells: Ragged, vocab: GeneVocab) -> None:
    is_gene = np.zeros(len(vocab), dtype=bool)
    is_gene[vocab.gene_ids] = True
    ids = cells.values
    inside = (ids >= 0) & (ids < len(vocab))
    wrong = ids[~inside] if not inside.all() else ids[~is_gene[ids]]
    if len(wrong):
        raise ValueError(
            f"cells to score hold the id {wrong[0]}, which is no gene of the model's vocabulary of "
            f"{len(vocab):,} tokens; encode them with the model's vocabulary, genes in rank order "
            "and without special tokens"
        )
