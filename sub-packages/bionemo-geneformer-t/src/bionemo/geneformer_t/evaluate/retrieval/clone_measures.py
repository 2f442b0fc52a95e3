"""Retrieved cells beside clones: what sister cells became is a truth that no graph knows.

A clone is what a barcode marks: all cells that descend from one labelled cell. A transition is
right where it leads to later cells of the same clone, and the fate of a cell is what its later
clone siblings are (Weinreb et al. 2020).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray


@dataclass(frozen=True, kw_only=True)
class Clones:
    """Cells whose clone has later cells, and what these are."""

    cells: Int[ndarray, " context"]
    """Rows of the cells that have siblings at later times."""
    of_cell: Int[ndarray, " context"]
    """A clone of each, the unit of intervals."""
    siblings: Bool[ndarray, "context cell"]
    """Which cells are later ones of the same clone."""
    later: Bool[ndarray, "context cell"]
    """Which cells are later at all."""
    fates: Shaped[ndarray, " context"]
    """The state of most of the later siblings that have a fate; empty where none has."""
    states: Shaped[ndarray, " cell"]

    @classmethod
    def of(
        cls,
        membership: sp.csr_matrix,
        time: Float[ndarray, " cell"],
        states: Shaped[ndarray, " cell"],
        no_fates: Collection[str] = (),
    ) -> "Clones":
        """The clones of all cells.

        Args:
            membership: Cells x clones, above zero where a cell is in a clone.
            time: Of each cell.
            states: Cluster or cell type of each cell.
            no_fates: States that are no fate, such as undifferentiated cells.

        Raises:
            ValueError: No clone has cells at several times.
        """
        member = (sp.csr_matrix(membership) > 0).astype(np.int64)
        later = time[None, :] > time[:, None]
        siblings = ((member @ member.T) > 0).toarray() & later
        cells = np.flatnonzero(siblings.any(axis=1))
        if not len(cells):
            raise ValueError(
                "clones: no clone has cells at several times, so that nothing is known of what its "
                "cells became"
            )
        has_fate = ~np.isin(states, list(no_fates))
        fates = [_most(states[mine & has_fate]) for mine in siblings[cells]]
        return cls(
            cells=cells,
            of_cell=np.asarray(member[cells].argmax(axis=1)).ravel(),
            siblings=siblings[cells],
            later=later[cells],
            fates=np.array(fates, dtype=object),
            states=np.where(has_fate, states, "").astype(object),
        )

    def highest(
        self, scores: Float[ndarray, "context cell"], number: int, rng: np.random.Generator
    ) -> Int[ndarray, "context number"]:
        """The later cells with the highest scores, those of equal ones drawn; -1 where fewer."""
        found = np.full((len(self.cells), number), -1)
        for row, mine, may in zip(found, scores, self.later, strict=True):
            places = np.flatnonzero(may)
            order = places[np.lexsort((rng.random(len(places)), -mine[places]))][:number]
            row[: len(order)] = order
        return found

    def sibling_share(self, chosen: Int[ndarray, "context number"]) -> Float[ndarray, " context"]:
        """The fraction of the chosen cells that are clone siblings."""
        is_one = np.take_along_axis(self.siblings, np.maximum(chosen, 0), axis=1) & (chosen >= 0)
        found: ndarray = is_one.sum(axis=1) / (chosen >= 0).sum(axis=1)
        return found

    def fate_is_right(self, chosen: Int[ndarray, "context number"]) -> Float[ndarray, " context"]:
        """1 where most of the chosen cells with a fate have that of the siblings, else 0.

        NaN where no later sibling has a fate.
        """
        found = [
            np.nan if not fate else float(_most(mine) == fate)
            for fate, mine in zip(self.fates, self._fates_of(chosen), strict=True)
        ]
        return np.array(found)

    def probability_of_fate(
        self, chosen: Int[ndarray, "context number"]
    ) -> Float[ndarray, " context"]:
        """The fraction of the chosen cells with a fate that have that of the siblings."""
        found = [
            np.nan if not fate else float(np.mean(mine == fate)) if len(mine) else 0.0
            for fate, mine in zip(self.fates, self._fates_of(chosen), strict=True)
        ]
        return np.array(found)

    def _fates_of(self, chosen: Int[ndarray, "context number"]) -> list[Shaped[ndarray, " _"]]:
        """The fates of the chosen cells of each context that have one."""
        states = (self.states[mine[mine >= 0]] for mine in chosen)
        return [mine[mine != ""] for mine in states]


def _most(states: Shaped[ndarray, " cell"]) -> str:
    """The most frequent state, the first by name where several are; empty without any."""
    if not len(states):
        return ""
    names, number = np.unique(states.astype(str), return_counts=True)
    return str(names[number.argmax()])
