"""What a transition matrix says before anything is computed from it: is it one, who reaches whom.

Strongly connected components, closed classes (components that are never left) and who can reach
what take one pass over the transitions. All questions about paths are then answered on the graph of
components, which is small where the chain is connected and has no cycles where it is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from scipy.sparse.csgraph import breadth_first_order, connected_components

from bionemo.geneformer_t.counts.data_frames import native_matrix
from bionemo.geneformer_t.some_names import MOST, some_names

ROW_SUM_TOLERANCE = 1e-5
"""How far from 1 the probabilities of a row may sum to, as of matrices in 32 bits."""
_ALREADY_EXACT = 1e-13
_EDGES_AT_ONCE = 1 << 17
_WHAT_TO_DO = (
    "gft.tl.transitions(adata, model) writes the transitions of a model; another matrix of weights "
    "becomes one when each row is divided by its sum"
)


@dataclass(frozen=True, kw_only=True)
class ChainStructure:
    """Which cells can reach which."""

    component: Int[ndarray, " cell"]
    """The strongly connected component of each cell, in no particular order."""
    between: sp.csr_array
    """Components x components: whether a transition leads from one to another."""
    closed: Int[ndarray, " cell"]
    """The closed class of each cell, from 0 for the largest; -1 where a cell can leave for good."""
    staying: Bool[ndarray, " cell"]
    """Cells without any transition, which are taken to stay as they are."""

    @property
    def num_closed(self) -> int:
        """Closed classes."""
        return int(self.closed.max(initial=-1)) + 1

    def reaching(self, targets: Bool[ndarray, " cell"]) -> Bool[ndarray, " cell"]:
        """Cells from which some path leads to a target; targets are among them."""
        return self._spread(targets, sp.csr_array(self.between.T))

    def reached_from(self, sources: Bool[ndarray, " cell"]) -> Bool[ndarray, " cell"]:
        """Cells to which some path leads from a source; sources are among them."""
        return self._spread(sources, self.between)

    def _spread(self, start: Bool[ndarray, " cell"], edges: sp.csr_array) -> Bool[ndarray, " cell"]:
        number = edges.shape[0]
        begun = np.zeros(number, dtype=bool)
        begun[self.component[start]] = True
        first = sp.csr_array(begun[None, :], dtype=np.float64)  # one more node leads to them all
        nothing = sp.csr_array((number, 1)), sp.csr_array((1, 1))
        graph = sp.vstack([sp.hstack([edges, nothing[0]]), sp.hstack([first, nothing[1]])])
        order = breadth_first_order(sp.csr_array(graph), number, return_predecessors=False)
        found = np.zeros(number + 1, dtype=bool)
        found[order] = True
        spread: Bool[ndarray, " cell"] = found[self.component]
        return spread

    def sentences(self, labels: Shaped[ndarray, " cell"] | None = None) -> list[str]:
        """The structure in words; with labels of clusters, closed classes are named by them."""
        sizes = np.bincount(self.component)
        said = [
            f"{len(self.component):,} cells are in {_count(len(sizes), 'strongly connected set')}, "
            f"the largest of {sizes.max(initial=0):,} cells"
        ]
        closed = np.bincount(self.closed[self.closed >= 0])
        what = _count(len(closed), "closed class", "closed classes")
        shown = (
            f"{_count(int(size), 'cell')}{_mostly(self.closed == number, labels)}"
            for number, size in enumerate(closed)
        )
        said.append(f"{what}, from which no path leads out: {some_names(shown)}")
        if self.staying.any():
            said.append(
                f"{_count(int(self.staying.sum()), 'cell')} without any transition"
                f"{by_label(self.staying, labels)}: taken to stay as they are"
            )
        return said


def chain_structure(transitions: sp.csr_array) -> ChainStructure:
    """Find components, closed classes and the paths between them.

    Args:
        transitions: Of `checked_transitions`.
    """
    number, component = connected_components(transitions, directed=True, connection="strong")
    edges = [np.zeros(0, dtype=np.int64)]
    for rows in _row_blocks(transitions):
        ends = transitions.indptr[rows.start : rows.stop + 1]
        start = np.repeat(component[rows], np.diff(ends)).astype(np.int64)
        end = component[transitions.indices[ends[0] : ends[-1]]]
        crossing = start != end
        edges.append(np.unique(start[crossing] * number + end[crossing]))
    start, end = np.divmod(np.unique(np.concatenate(edges)), max(number, 1))
    between = sp.csr_array((np.ones(len(start)), (start, end)), shape=(number, number))
    sizes = np.bincount(component, minlength=number)
    closed = np.flatnonzero(np.diff(between.indptr) == 0)
    closed = closed[np.argsort(-sizes[closed], kind="stable")]
    place = np.full(number, -1)
    place[closed] = np.arange(len(closed))
    return ChainStructure(
        component=component,
        between=between,
        closed=place[component],
        staying=np.diff(transitions.indptr) == 0,
    )


def checked_transitions(
    matrix: Any,
    cells: Sequence[str] | Shaped[ndarray, " cell"],
    where: str = "the matrix",
    num_candidates: int | None = None,
) -> sp.csr_array:
    """A transition matrix by rows, in 64 bits, whose rows sum to 1 exactly or are empty.

    Nothing is copied where the matrix is like this already.

    Args:
        matrix: Cells x candidates, current cells in rows; sparse or dense.
        cells: Names of the cells, for messages.
        where: What to call the matrix in messages.
        num_candidates: Candidates; by default the cells themselves.

    Raises:
        ValueError: It is not cells x candidates, a value is negative, infinite or no number, or
            rows do not sum to 1; the message names cells.
    """
    shape = getattr(matrix, "shape", None)
    if shape != (len(cells), len(cells) if num_candidates is None else num_candidates):
        came = "no matrix" if shape is None else " x ".join(map(str, shape))
        needed = f"a row and a column for each of the {len(cells):,} cells"
        if num_candidates is not None:
            needed = (
                f"a row for each of the {len(cells):,} cells and a column for each of the "
                f"{num_candidates:,} candidates"
            )
        raise ValueError(f"{where} must have {needed}; got {came}")
    rows = native_matrix(matrix).astype(np.float64, copy=False)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    _check_values(rows, cells, where)
    if rows.data.min(initial=1) == 0:
        rows = rows.copy()
        rows.eliminate_zeros()
    return _with_exact_sums(rows, cells, where)


def named(cells: Sequence[str] | Shaped[ndarray, " cell"], rows: Int[ndarray, " row"]) -> str:
    """Some of these cells by name."""
    number = f" ({len(rows):,} in all)" if len(rows) > MOST else ""
    return some_names(cells[row] for row in rows) + number


def by_label(members: Bool[ndarray, " cell"], labels: Shaped[ndarray, " cell"] | None) -> str:
    """How many of these cells are in which cluster, in brackets; nothing without labels."""
    if labels is None or not members.any():
        return ""
    found, counts = np.unique(labels[members].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return f" ({some_names(f'{counts[at]:,} of {found[at]}' for at in order)})"


def _check_values(rows: sp.csr_array, cells: Any, where: str) -> None:
    if rows.data.min(initial=0) >= 0 and rows.data.max(initial=0) < np.inf:  # False for NaN
        return
    for wrong, what in (
        (~np.isfinite(rows.data), "NaN or infinite values"),
        (rows.data < 0, "negative values"),
    ):
        if wrong.any():
            at = np.searchsorted(rows.indptr, np.flatnonzero(wrong), side="right") - 1
            raise ValueError(
                f"{where} holds {int(wrong.sum()):,} {what}, in the rows of "
                f"{named(cells, np.unique(at))}; probabilities are from 0 to 1. {_WHAT_TO_DO}"
            )


def _with_exact_sums(rows: sp.csr_array, cells: Any, where: str) -> sp.csr_array:
    sums: Float[ndarray, " cell"] = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
    filled = np.diff(rows.indptr) > 0
    off = filled & (np.abs(sums - 1) > ROW_SUM_TOLERANCE)
    if off.any():
        wrong = np.flatnonzero(off)
        raise ValueError(
            f"{where} is no transition matrix: the rows of {len(wrong):,} of {len(cells):,} cells "
            f"sum to {sums[off].min():.4g} to {sums[off].max():.4g}, where the probabilities of a "
            f"row must sum to 1. Cells: {named(cells, wrong)}. {_left_out(sums[off])}{_WHAT_TO_DO}"
        )
    if not filled.any():
        raise ValueError(f"{where} holds no transition at all. {_WHAT_TO_DO}")
    if np.abs(sums[filled] - 1).max() <= _ALREADY_EXACT:
        return rows
    scaled = rows.copy()
    scaled.data /= np.repeat(np.where(filled, sums, 1), np.diff(rows.indptr))
    return scaled


def _left_out(sums: Float[ndarray, " row"]) -> str:
    """What makes all sums too small."""
    if (sums > 1).any():
        return ""
    return (
        "If cells were left out after the matrix was made, make it again on those that are left. "
    )


def _row_blocks(matrix: sp.csr_array) -> Iterator[slice]:
    """Rows that hold about `_EDGES_AT_ONCE` entries together."""
    cuts = np.arange(0, matrix.indptr[-1], _EDGES_AT_ONCE)
    bounds = np.unique([0, *np.searchsorted(matrix.indptr, cuts, side="left"), matrix.shape[0]])
    for start, stop in pairwise(bounds):
        yield slice(int(start), int(stop))


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def _mostly(members: Bool[ndarray, " cell"], labels: Shaped[ndarray, " cell"] | None) -> str:
    if labels is None:
        return ""
    found, counts = np.unique(labels[members].astype(str), return_counts=True)
    best = int(counts.argmax())
    return f" ({'all' if len(found) == 1 else 'mostly'} {found[best]})"
