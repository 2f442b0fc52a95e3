"""How often genes are at ranks of the successors of similar cells, for many current cells at once.

The same as `SuccessorIndex.frequencies`, where only some genes at some ranks are asked for. Where
current cells share many of their similar cells, the genes of all next cells are sorted once;
weighted counts of every gene and rank are one sparse product for all current cells, and the
smoothing of a gene over ranks is one small product that has only the ranks at which the gene is
found, and those that are asked for. Current cells that share few go one by one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.model.successor_index import SuccessorIndex, gaussian, reach
from bionemo.geneformer_t.ragged import places_within

_GENES_AT_ONCE = 1 << 22
"""Genes of next cells that are sorted at once, at most."""
_LEAST_SHARING = 2
"""Where next cells serve fewer current cells than this on average, sorting them gains nothing."""
_COUNTS_AT_ONCE = 1 << 22
"""Weighted counts that are held at once, about: 16 MiB."""

_NextCells = tuple[Int[ndarray, " _"], Float[ndarray, " _"]]


def entry_frequencies(
    index: SuccessorIndex,
    places: Sequence[Int[ndarray, " _"]],
    ranks: Int[ndarray, " entry"],
    genes: Int[ndarray, " entry"],
    width: float,
) -> tuple[Float[ndarray, "entry context"], Bool[ndarray, "rank context"]]:
    """Frequencies of genes at ranks among the next cells of similar cells.

    Args:
        index: Training cells and their next cells.
        places: Of each current cell, the training cells whose next cells are counted.
        ranks: Of the entries, from 0.
        genes: Of the entries.
        width: Standard deviation of the smoothing, in ranks.

    Returns:
        The frequencies, and whether any next cell has a gene at or near each rank up to the last
        that is asked for. At ranks where none has, frequencies are 0.
    """
    num_ranks = int(ranks.max(initial=-1)) + 1
    frequencies = np.zeros((len(ranks), len(places)), dtype=np.float32)
    is_reached = np.zeros((num_ranks, len(places)), dtype=bool)
    order = np.argsort(genes, kind="stable")
    next_cells = [index.next_cells(mine) for mine in places]
    longest = num_ranks + reach(width)
    lengths_of_all = np.minimum(np.diff(index.gene_offsets), longest)
    for start, stop in _groups(lengths_of_all, next_cells):
        if stop - start == 1:
            held, smoothed = index.frequencies(places[start], num_ranks, width)
            frequencies[:, start] = _picked(held, smoothed, ranks, genes)
            is_reached[:, start] = smoothed.any(axis=1)
            continue
        cells, weights = _together(next_cells[start:stop], len(lengths_of_all))
        lengths = lengths_of_all[cells]
        totals = _total_mass(lengths, weights, num_ranks, longest, width)
        found = np.empty((len(ranks), stop - start), dtype=np.float32)
        _smooth(index, cells, lengths, weights, (order, ranks, genes), width, found)
        is_reached[:, start:stop] = totals > 0
        total = totals[ranks]
        np.divide(found, total, out=frequencies[:, start:stop], where=total > 0)
    return frequencies, is_reached


def _groups(
    lengths: Int[ndarray, " next_cell"], next_cells: Sequence[_NextCells]
) -> Iterator[tuple[int, int]]:
    """Bounds of current cells that share enough of their next cells, in order."""
    waiting = [(0, len(next_cells))]
    while waiting:
        start, stop = waiting.pop()
        is_used, every = np.zeros(len(lengths), dtype=bool), 0
        for cells, _ in next_cells[start:stop]:
            is_used[cells] = True
            every += int(lengths[cells].sum())
        unique = int(lengths[is_used].sum())
        is_worth_it = unique <= _GENES_AT_ONCE and every >= _LEAST_SHARING * unique
        if stop - start > 1 and not is_worth_it:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        elif stop > start:
            yield start, stop


def _picked(
    held: Int[ndarray, " gene"],
    frequencies: Float[ndarray, "rank gene"],
    ranks: Int[ndarray, " entry"],
    genes: Int[ndarray, " entry"],
) -> Float[ndarray, " entry"]:
    """Some entries of a table of ranks x the genes that are held; 0 for other genes."""
    column = np.full(int(max(held.max(initial=0), genes.max(initial=0))) + 1, len(held))
    column[held] = np.arange(len(held))
    found: ndarray = np.pad(frequencies, ((0, 0), (0, 1)))[ranks, column[genes]]
    return found


def _together(
    next_cells: Sequence[_NextCells], number: int
) -> tuple[Int[ndarray, " next_cell"], Float[ndarray, "next_cell context"]]:
    """All next cells of some current cells, and the weight of each for each of them."""
    row = np.full(number, -1)
    for cells, _ in next_cells:
        row[cells] = 0
    every = np.flatnonzero(row == 0)
    row[every] = np.arange(len(every))
    weights = np.zeros((len(every), len(next_cells)), dtype=np.float32)
    for context, (cells, mine) in enumerate(next_cells):
        weights[row[cells], context] = mine
    return every, weights


def _total_mass(
    lengths: Int[ndarray, " next_cell"],
    weights: Float[ndarray, "next_cell context"],
    num_ranks: int,
    longest: int,
    width: float,
) -> Float[ndarray, "rank context"]:
    """The smoothed weight of all genes at each rank."""
    each = np.arange(len(lengths))
    shape = (longest + 1, len(lengths))
    of_length = sp.coo_array((np.ones(len(lengths)), (lengths, each)), shape=shape) @ weights
    has_rank = of_length[::-1].cumsum(axis=0)[-2::-1]  # weight of the next cells longer than rank
    apart = np.arange(num_ranks)[:, None] - np.arange(longest)
    total: ndarray = gaussian(apart, width) @ has_rank.astype(np.float32)
    return total


def _smooth(
    index: SuccessorIndex,
    cells: Int[ndarray, " next_cell"],
    lengths: Int[ndarray, " next_cell"],
    weights: Float[ndarray, "next_cell context"],
    asked: tuple[Int[ndarray, " entry"], Int[ndarray, " entry"], Int[ndarray, " entry"]],
    width: float,
    found: Float[ndarray, "entry context"],
) -> None:
    """Smoothed weighted counts of the entries, into `found`.

    Args:
        index: Of which some next cells count.
        cells: These next cells.
        lengths: How many genes of each.
        weights: Of each for each current cell.
        asked: The order of the entries by gene, and their ranks and genes.
        width: Of the smoothing, in ranks.
        found: Written.
    """
    order, ranks, genes = asked
    names, first = np.unique(genes[order], return_index=True)
    bounds = np.append(first, len(order))
    pair_ranks, pair_bounds, by_cell = _counted_ranks(index, cells, lengths, names)
    longest = int(max(lengths.max(initial=0), ranks.max(initial=0) + 1))
    mass = gaussian(np.arange(1 - longest, longest), width)  # of ranks -> asked minus counted
    rank_of = ranks[order]
    at_once = max(1, _COUNTS_AT_ONCE // weights.shape[1])
    start = 0
    while start < len(names):
        stop = int(np.searchsorted(pair_bounds, pair_bounds[start] + at_once, side="right")) - 1
        stop = min(max(stop, start + 1), len(names))
        low = pair_bounds[start]
        counts = by_cell[low : pair_bounds[stop]] @ weights
        for gene in range(start, stop):
            entries = slice(bounds[gene], bounds[gene + 1])
            pairs = slice(pair_bounds[gene], pair_bounds[gene + 1])
            apart = rank_of[entries, None] - pair_ranks[pairs]
            found[order[entries]] = (
                mass[apart + (longest - 1)] @ counts[pairs.start - low : pairs.stop - low]
            )
        start = stop


def _counted_ranks(
    index: SuccessorIndex,
    cells: Int[ndarray, " next_cell"],
    lengths: Int[ndarray, " next_cell"],
    names: Int[ndarray, " name"],
) -> tuple[Int[ndarray, " pair"], Int[ndarray, " names_plus_1"], sp.csr_array]:
    """Which of the genes are at which ranks of which next cells.

    Returns:
        Ranks at which a gene is found in any of the cells, gene after gene; the bounds of each
        gene; and pairs of gene and rank x cells, 1 where a cell has the gene there.
    """
    ranks = places_within(lengths)
    tokens = index.genes[ranks + np.repeat(index.gene_offsets[cells], lengths)]
    place = np.full(int(max(tokens.max(initial=0), names.max(initial=0))) + 1, -1)
    place[names] = np.arange(len(names))
    name = place[tokens]
    is_asked = name >= 0
    longest = max(int(lengths.max(initial=0)), 1)
    pairs, rows = np.unique(name[is_asked] * longest + ranks[is_asked], return_inverse=True)
    columns = np.repeat(np.arange(len(cells)), lengths)[is_asked]
    ones = np.ones(len(rows), dtype=np.float32)
    by_cell = sp.coo_array((ones, (rows, columns)), shape=(len(pairs), len(cells))).tocsr()
    gene, rank = np.divmod(pairs, longest)
    bounds = np.searchsorted(gene, np.arange(len(names) + 1))
    return rank, bounds, by_cell
