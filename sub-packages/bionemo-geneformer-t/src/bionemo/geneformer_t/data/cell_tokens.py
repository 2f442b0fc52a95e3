"""CellTokens: any cell of a store as ranked tokens, without a look-up by name per cell."""

import hashlib
import math
from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Integer, Real
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cache import load_or_compute
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab

RowsOf = Callable[[Int[ndarray, " cell"]], list[Integer[ndarray, " _"]]]
"""Rows of cells -> the tokens of each, highest rank value first."""


_AT_ONCE = 1 << 15
"""Genes that are encoded at once, nearly: arrays of more outgrow the cache of a core."""


class CellTokens:
    """Rank-value encodings of the cells of one split.

    Raises:
        ValueError: The vocabulary knows none of the split's genes.
    """

    def __init__(self, store: CellStore, vocab: GeneVocab, settings: PairSettings) -> None:
        self.store = store
        self.settings = settings
        self._encoder = TokenEncoder(store, store.where, vocab, settings)
        self.token_of_column = self._encoder.token_of_column
        self.median_of_id = self._encoder.median_of_id
        """What the counts of each token are divided by."""
        self._cached: RowsOf | None = None
        self.num_genes_known = int(self._encoder.is_known.sum())
        """Columns that the vocabulary knows."""
        self.num_genes_unknown = int(self._encoder.is_counted.sum()) - self.num_genes_known
        """Columns of other genes, left out of every cell."""
        self.num_empty = int((self.num_genes == 0).sum())
        """Cells that express no known gene."""

    def __len__(self) -> int:
        return self.store.num_cells

    def encode(self, cell: int) -> Int[ndarray, " gene"]:
        """All known genes that a cell expresses, highest rank value first."""
        return self.rows_of(np.array([cell]))[0].astype(np.int64, copy=False)

    def rows_of(self, cells: Int[ndarray, " cell"]) -> list[Integer[ndarray, " _"]]:
        """The same for each of many cells, from a cache where `read_from` named one."""
        if self._cached is not None:
            return self._cached(cells)
        number = math.ceil(self.num_genes[cells].sum(dtype=np.int64) / _AT_ONCE)
        blocks = np.array_split(cells, max(1, min(number, len(cells))))
        return [row for block in blocks for row in self.encode_cells(block).rows()]

    def encode_cells(self, cells: Int[ndarray, " cell"]) -> Ragged:
        """Encode many cells at once, which spares small cells most of the time."""
        return self.encode_counts(*self.store.rows_of(cells))

    def encode_counts(
        self,
        counts: Real[ndarray, " value"],
        columns: Integer[ndarray, " value"],
        lengths: Int[ndarray, " cell"],
    ) -> Ragged:
        """Encode concatenated counts of cells as if they were cells of this split."""
        return self._encoder.encode(counts, columns, lengths)

    def read_from(self, cached: RowsOf) -> "CellTokens":
        """The same tokens, taken from a cache."""
        reader = copy(self)
        reader._cached = cached
        return reader

    @cached_property
    def num_genes(self) -> Int[ndarray, " cell"]:
        """Length of each cell's encoding; kept beside the cells, for it takes a pass over them."""
        digest = hashlib.sha256(self.token_of_column.tobytes()).hexdigest()[:24]
        path = self.store.path / f"num_genes-{digest}"
        return load_or_compute(path, self._count_genes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "num_genes"}

    def _count_genes(self) -> Int[ndarray, " cell"]:
        lengths = np.zeros(len(self), dtype=np.int32)
        for rows, _, columns, pointers in self.store.blocks():
            tokens = self.token_of_column[columns]
            counted = tokens >= 0
            if self._encoder.merges:
                counted &= _is_first_in_row(tokens, np.diff(pointers))
            before = np.concatenate([[0], np.cumsum(counted)])
            lengths[rows] = np.diff(before[pointers])
        return lengths


def _is_first_in_row(
    tokens: Int[ndarray, " value"], lengths: Int[ndarray, " row"]
) -> Bool[ndarray, " value"]:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    _, first = np.unique(rows * (tokens.max(initial=0) + 2) + tokens, return_index=True)
    is_first = np.zeros(len(tokens), dtype=bool)
    is_first[first] = True
    return is_first
