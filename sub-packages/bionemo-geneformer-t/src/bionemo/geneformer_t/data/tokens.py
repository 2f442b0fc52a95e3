"""CellTokens: any cell of a store as ranked tokens, without a look-up by name per cell."""

import hashlib
import logging
from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Integer
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cache import load_or_compute
from bionemo.geneformer_t.data.count_source import row_blocks
from bionemo.geneformer_t.data.ragged import Ragged, offsets_of
from bionemo.geneformer_t.data.rank_value import merge_tokens, rank_value_encode
from bionemo.geneformer_t.data.store import CellStore
from bionemo.geneformer_t.vocab import GeneVocab

RowsOf = Callable[[Int[ndarray, " cell"]], list[Integer[ndarray, " _"]]]
"""Rows of cells -> the tokens of each, highest rank value first."""

logger = logging.getLogger(__name__)


class CellTokens:
    """Rank-value encodings of the cells of one split.

    Columns are found in the vocabulary once, by gene name and otherwise by symbol; columns of the
    same gene have their counts summed.
    """

    def __init__(self, store: CellStore, vocab: GeneVocab, settings: PairSettings) -> None:
        self.store = store
        self.settings = settings
        self.token_of_column = tokens_of_columns(store, vocab)
        known = self.token_of_column[self.token_of_column >= 0]
        num_merged = len(known) - len(np.unique(known))
        if not len(known):
            raise ValueError(
                f"the vocabulary knows none of the {len(self.token_of_column):,} genes of "
                f"{store.split_dir} (such as {', '.join(store.gene_names[:3])}); it names genes "
                f"like {', '.join(vocab.genes[:3])}. Use the vocabulary of the same species and "
                "the same kind of gene ids"
            )
        if num_merged:
            logger.info(
                "%d columns of %s name a gene that another column names too; counts are summed",
                num_merged, store.split_dir,
            )  # fmt: skip
        self._merges = num_merged > 0
        self._all_known = len(known) == len(self.token_of_column)
        self.median_of_id = (
            vocab.median_of_id if settings.normalize_gene_expression else np.ones(len(vocab))
        )
        """What the counts of each token are divided by."""
        self._cached: RowsOf | None = None
        self.num_genes_known = len(known)
        """Columns that the vocabulary knows."""
        self.num_genes_unknown = len(self.token_of_column) - len(known)
        """Columns that it does not, left out of every cell."""
        self.num_empty = int((self.num_genes == 0).sum())
        """Cells that express no known gene."""

    def __len__(self) -> int:
        return self.store.num_cells

    def encode(self, cell: int) -> Int[ndarray, " gene"]:
        """All known genes that a cell expresses, highest rank value first."""
        return self.rows_of(np.array([cell]))[0].astype(np.int64, copy=False)

    def rows_of(self, cells: Int[ndarray, " cell"]) -> list[Integer[ndarray, " _"]]:
        """The same for each of many cells, from a cache where `read_from` named one."""
        return self.encode_cells(cells).rows() if self._cached is None else self._cached(cells)

    def encode_cells(self, cells: Int[ndarray, " cell"]) -> Ragged:
        """Encode many cells at once, which spares small cells most of the time."""
        counts, columns, lengths = self.store.rows_of(cells)
        tokens = self.token_of_column[columns]
        if not self._all_known:
            known = tokens >= 0
            cell_of_value = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(cell_of_value[known], minlength=len(lengths))
            counts, tokens = counts[known], tokens[known]
        if self._merges:
            counts, tokens, lengths = merge_tokens(counts, tokens, lengths)
        tokens = rank_value_encode(counts, tokens, self.median_of_id[tokens], lengths)
        return Ragged(values=tokens, offsets=offsets_of(lengths))

    def read_from(self, cached: RowsOf) -> "CellTokens":
        """The same tokens, taken from a cache."""
        reader = copy(self)
        reader._cached = cached
        return reader

    @cached_property
    def num_genes(self) -> Int[ndarray, " cell"]:
        """Length of each cell's encoding; kept beside the cells, for it takes a pass over them."""
        digest = hashlib.sha256(self.token_of_column.tobytes()).hexdigest()[:24]
        path = self.store.path / f"num_genes-{digest}.npy"
        return load_or_compute(path, self._count_genes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "num_genes"}

    def _count_genes(self) -> Int[ndarray, " cell"]:
        lengths = np.zeros(len(self), dtype=np.int32)
        for rows in row_blocks(len(self)):
            _, columns, pointers = self.store.rows(rows.start, rows.stop)
            tokens = self.token_of_column[columns]
            counted = tokens >= 0
            if self._merges:
                counted &= _is_first_in_row(tokens, np.diff(pointers))
            before = np.concatenate([[0], np.cumsum(counted)])
            lengths[rows] = np.diff(before[pointers])
        return lengths


def tokens_of_columns(store: CellStore, vocab: GeneVocab) -> Int[ndarray, " column"]:
    """The token of each column, by name and otherwise by symbol; -1 where there is none."""
    by_name = vocab.encode(store.gene_names)
    by_symbol = vocab.encode(store.gene_symbols)
    return np.where(by_name >= 0, by_name, by_symbol)


def _is_first_in_row(
    tokens: Int[ndarray, " value"], lengths: Int[ndarray, " row"]
) -> Bool[ndarray, " value"]:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    _, first = np.unique(rows * (tokens.max(initial=0) + 2) + tokens, return_index=True)
    is_first = np.zeros(len(tokens), dtype=bool)
    is_first[first] = True
    return is_first
