"""Permutations within groups that put nobody in the place of itself or of a cell it is linked to.

A random cyclic order within each group has no fixed points; places that it gives to linked cells
are then swapped with others of the group. Which permutation is found depends on links and draws
alone, never on what cells express.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int
from numpy import ndarray


def permutation_within(
    group: Int[ndarray, " cell"], links: sp.csr_array, rng: np.random.Generator
) -> Int[ndarray, " cell"]:
    """The cell in the place of each, of the same group, and as seldom a linked one as was found.

    Args:
        group: Of each cell; no group has a single cell.
        links: Cells x cells, symmetric; nonzero for cells that should not trade places.
        rng: Draws.
    """
    found = np.empty(len(group), dtype=np.int64)
    order = np.lexsort((rng.random(len(group)), group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    members = np.split(order, starts[1:])
    for some in members:
        found[some] = np.roll(some, 1)
    for cell in rng.permutation(np.flatnonzero(are_linked(links, found))).tolist():
        _swap(cell, found, members[group[cell]], links, rng)
    return found


def are_linked(links: sp.csr_array, other: Int[ndarray, " cell"]) -> Bool[ndarray, " cell"]:
    """Whether each cell and the one in its place are linked."""
    return np.asarray(links[np.arange(len(other)), other] != 0).ravel()


def _swap(
    cell: int,
    found: Int[ndarray, " cell"],
    members: Int[ndarray, " member"],
    links: sp.csr_array,
    rng: np.random.Generator,
) -> None:
    """Trade what is in the place of a cell with another cell, where both are free of links then."""
    mine, theirs = int(found[cell]), found[members]
    if mine not in _linked(links, cell):
        return  # an earlier swap freed it
    fits = ~np.isin(theirs, [cell, *_linked(links, cell)])
    fits &= ~np.isin(members, [mine, *_linked(links, mine)])
    if fits.any():
        other = rng.choice(members[fits])
        found[cell], found[other] = found[other], mine


def _linked(links: sp.csr_array, cell: int) -> Int[ndarray, " linked"]:
    return links.indices[links.indptr[cell] : links.indptr[cell + 1]]
