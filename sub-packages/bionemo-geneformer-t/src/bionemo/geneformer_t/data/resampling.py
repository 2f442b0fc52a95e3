"""Next cells drawn anew from the mean expression of similar cells.

In a shallow cell most of the order of genes is counting noise: a gene of one count could as well
have had none. Averaging the proportions of a cell's nearest cells estimates what its counts were
drawn from, and Poisson counts at the cell's own depth are another draw from it (a smoothed
parametric bootstrap). A network that sees other draws in every epoch learns the expression and not
the noise. Counts that vary more than a Poisson variable between similar cells, as full-length reads
do, are not drawn well in this way; `evaluate/resampled_pairs.py` finds out by held-out cells.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, UInt64
from numpy import ndarray

from bionemo.geneformer_t.counts.stored_matrix import row_blocks
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.sampling import generator, stream_keys
from bionemo.geneformer_t.neighbors.expression_pca import fit_axes
from bionemo.geneformer_t.neighbors.nearest import nearest_others
from bionemo.geneformer_t.ragged import offsets_of

NUM_AXES = 20
"""Principal axes of expression in which cells are similar."""
MAX_CELLS = 5_000
"""Cells that the axes are fitted to."""
MAX_KEPT = 2**27
"""Bytes of expected counts that a process keeps; those of further cells are averaged anew."""
MAX_DRAWS = 5_000
"""Draws of all cells together, where a sample of fixed size is needed."""
MAX_COPIES = 10
"""Draws of each cell in such a sample."""


class CellResampler:
    """Draws further cells from the mean expression of each cell and its nearest cells.

    Args:
        tokens: Encodes the cells.
        pool: Rows of the cells that are averaged; no other cell has any influence.
        number: How many are averaged, the cell itself among them.

    Raises:
        ValueError: Fewer than three cells in the pool, or fewer than two expressed genes.
    """

    def __init__(self, tokens: CellTokens, pool: Int[ndarray, " pool"], number: int) -> None:
        self._tokens = tokens
        self._row_of = np.full(len(tokens), -1)
        self._row_of[pool] = np.arange(len(pool))
        self._similar = similar_cells(tokens, pool, number)
        self._kept: dict[int, tuple[ndarray, ndarray]] = {}
        self._room = MAX_KEPT

    def draw(
        self, cells: Int[ndarray, " draw"], keys: UInt64[ndarray, " draw"]
    ) -> list[Int[ndarray, " _"]]:
        """The genes of one further cell for each of some cells of the pool, in rank order.

        A draw without a known gene is replaced by the measured cell.

        Args:
            cells: Rows of cells.
            keys: A draw is a pure function of its cell and its key.
        """
        found = self._tokens.encode_counts(*self.draw_counts(cells, keys)).rows()
        return [
            genes if len(genes) else self._tokens.encode(int(cell))
            for genes, cell in zip(found, cells, strict=True)
        ]

    def draw_counts(
        self, cells: Int[ndarray, " draw"], keys: UInt64[ndarray, " draw"]
    ) -> tuple[Int[ndarray, " value"], Int[ndarray, " value"], Int[ndarray, " draw"]]:
        """The same as concatenated counts and their columns, and how many each draw has."""
        values, genes = [], []
        for (expressed, mean), key in zip(self._expected(cells), keys.tolist(), strict=True):
            drawn = np.random.Generator(np.random.Philox(key=key)).poisson(mean)
            values.append(drawn[drawn > 0])
            genes.append(expressed[drawn > 0])
        lengths = np.array([len(drawn) for drawn in values])
        return np.concatenate(values), np.concatenate(genes), lengths

    def _expected(
        self, cells: Int[ndarray, " draw"]
    ) -> list[tuple[Int[ndarray, " expressed"], Float[ndarray, " expressed"]]]:
        """Columns and expected counts of each cell; those of up to `MAX_KEPT` bytes are kept."""
        wanted = np.unique(cells).tolist()
        unknown = np.array([cell for cell in wanted if cell not in self._kept], dtype=cells.dtype)
        found = dict(zip(unknown.tolist(), self._means(unknown), strict=True))
        expected = [self._kept.get(cell) or found[cell] for cell in cells.tolist()]
        for cell, (columns, mean) in found.items():
            self._room -= columns.nbytes + mean.nbytes
            if self._room < 0:
                break
            self._kept[cell] = columns, mean
        return expected

    def _means(
        self, cells: Int[ndarray, " cell"]
    ) -> list[tuple[Int[ndarray, " expressed"], Float[ndarray, " expressed"]]]:
        """The mean proportions of each cell and its nearest cells, at the depth of the cell."""
        if not len(cells):
            return []
        similar = self._similar[self._row_of[cells]]
        counts, columns, lengths = self._tokens.store.rows_of(similar.ravel())
        starts = offsets_of(lengths)
        totals = np.add.reduceat(np.append(counts, 0).astype(np.float64), starts[:-1])
        totals = np.where(lengths > 0, totals, 1).reshape(similar.shape)
        # the cell itself comes first: its depth over the total of each cell that is averaged
        scale = np.repeat((totals[:, :1] / totals / similar.shape[1]).ravel(), lengths)
        scaled, columns = counts * scale, columns.astype(np.int64)
        bounds = starts[:: similar.shape[1]].tolist()
        found = []
        for start, stop in pairwise(bounds):
            mean = np.bincount(columns[start:stop], scaled[start:stop])
            expressed = np.flatnonzero(mean)
            found.append((expressed, mean[expressed]))
        return found


def several(
    cells: Int[ndarray, " cell"], seed: int, most: int = MAX_COPIES
) -> tuple[Int[ndarray, " draw"], UInt64[ndarray, " draw"]]:
    """Each cell up to `most` times, up to `MAX_DRAWS` in all, with a key for each draw."""
    copies = min(max(MAX_DRAWS // len(cells), 1), most)
    of = np.repeat(cells, copies)
    return of, stream_keys(seed, np.tile(np.arange(copies), len(cells)), of)


def similar_cells(
    tokens: CellTokens, pool: Int[ndarray, " pool"], number: int
) -> Int[ndarray, "pool similar"]:
    """Rows of the nearest cells of each cell among the pool, itself first.

    Distances are those of log-normalised expression on the principal axes of the pool.
    """
    some = pool
    if len(pool) > MAX_CELLS:
        some = np.sort(generator(0, 0, -1).choice(pool, MAX_CELLS, replace=False))
    axes = fit_axes(lambda: _blocks(tokens, some), len(tokens.token_of_column), NUM_AXES)
    points = np.concatenate([axes.project(block) for block in _blocks(tokens, pool)])
    if number == 1:
        return pool[:, None]
    others, _ = nearest_others(points, number - 1)
    return pool[np.column_stack([np.arange(len(pool)), others])]


def _blocks(tokens: CellTokens, rows: Int[ndarray, " cell"]) -> Iterator[sp.csr_array]:
    for block in row_blocks(len(rows)):
        counts, columns, lengths = tokens.store.rows_of(rows[block])
        shape = (len(lengths), len(tokens.token_of_column))
        yield sp.csr_array((counts, columns.astype(np.int64), offsets_of(lengths)), shape=shape)
