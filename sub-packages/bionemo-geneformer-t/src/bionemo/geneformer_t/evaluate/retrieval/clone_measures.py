"""Retrieved cells beside clones: what sister cells became is a truth that no graph knows.

A clone is what a barcode marks: all cells that descend from one labelled cell. A transition is
right where it leads to later cells of the same clone, and the fate of a cell is what its later
clone siblings are (Weinreb et al. 2020).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

Chosen = Int[ndarray, "context number"]
Weights = Float[ndarray, "context number"]


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
        most: int = 0,
    ) -> "Clones":
        """The clones of all cells.

        Args:
            membership: Cells x clones, above zero where a cell is in a clone.
            time: Of each cell.
            states: Cluster or cell type of each cell.
            no_fates: States that are no fate, such as undifferentiated cells.
            most: Cells to keep, at most; drawn where there are more, the same ones each time. 0 for
                all.

        Raises:
            ValueError: No clone has cells at several times.
        """
        member = (sp.csr_matrix(membership) > 0).astype(np.int64)
        pairs = sp.coo_matrix(member @ member.T)
        follows = time[pairs.col] > time[pairs.row]
        cells = np.unique(pairs.row[follows])
        if not len(cells):
            raise ValueError(
                "clones: no clone has cells at several times, so that nothing is known of what its "
                "cells became; are these cells of one time point, or is their time another column?"
            )
        if most and len(cells) > most:
            cells = np.sort(np.random.default_rng(0).permutation(cells)[:most])
        later = time[None, :] > time[cells, None]
        siblings = ((member[cells] @ member.T) > 0).toarray() & later
        has_fate = ~np.isin(states, list(no_fates))
        fates = [_most(states[mine & has_fate]) for mine in siblings]
        return cls(
            cells=cells,
            of_cell=np.asarray(member[cells].argmax(axis=1)).ravel(),
            siblings=siblings,
            later=later,
            fates=np.array(fates, dtype=object),
            states=np.where(has_fate, states, "").astype(object),
        )

    def only(self, contexts: Int[ndarray, " some"]) -> "Clones":
        """Some of the cells, by their places."""
        names = ("cells", "of_cell", "siblings", "later", "fates")
        return replace(self, **{name: getattr(self, name)[contexts] for name in names})

    def highest(
        self, scores: Float[ndarray, "context cell"], number: int, rng: np.random.Generator
    ) -> Chosen:
        """The later cells with the highest scores, those of equal ones drawn; -1 where fewer.

        Cells with the score -inf are never chosen.
        """
        found = np.full((len(self.cells), number), -1)
        for row, mine, may in zip(found, scores, self.later, strict=True):
            places = np.flatnonzero(may & (mine > -np.inf))
            order = places[np.lexsort((rng.random(len(places)), -mine[places]))][:number]
            row[: len(order)] = order
        return found

    def sibling_share(
        self, chosen: Chosen, weights: Weights | None = None
    ) -> Float[ndarray, " context"]:
        """The fraction of the chosen cells that are clone siblings, or their part of the weights.

        Args:
            chosen: Rows of cells; -1 for none.
            weights: Of each; equal by default.
        """
        weights = _weights(chosen, weights)
        is_one = np.take_along_axis(self.siblings, np.maximum(chosen, 0), axis=1) & (chosen >= 0)
        total = weights.sum(axis=1)
        return np.divide(
            (weights * is_one).sum(axis=1), total, out=np.zeros_like(total), where=total > 0
        )

    def fate_is_right(
        self, chosen: Chosen, weights: Weights | None = None
    ) -> Float[ndarray, " context"]:
        """1 where most of the chosen cells with a fate, by weight, have that of the siblings.

        NaN where no later sibling has a fate, otherwise 0.
        """
        found = [
            np.nan if not fate else float(_most(*mine) == fate)
            for fate, mine in zip(self.fates, self._fates_of(chosen, weights), strict=True)
        ]
        return np.array(found)

    def probability_of_fate(
        self, chosen: Chosen, weights: Weights | None = None
    ) -> Float[ndarray, " context"]:
        """The fraction of the chosen cells with a fate, by weight, that have the siblings'."""
        found = [
            np.nan
            if not fate
            else float(mass[mine == fate].sum() / mass.sum())
            if mass.sum() > 0
            else 0.0
            for fate, (mine, mass) in zip(self.fates, self._fates_of(chosen, weights), strict=True)
        ]
        return np.array(found)

    def _fates_of(
        self, chosen: Chosen, weights: Weights | None
    ) -> list[tuple[Shaped[ndarray, " _"], Float[ndarray, " _"]]]:
        """The fates of the chosen cells of each context that have one, and their weights."""
        found = []
        for mine, mass in zip(chosen, _weights(chosen, weights), strict=True):
            states = self.states[np.maximum(mine, 0)]
            has = (mine >= 0) & (states != "")
            found.append((states[has], mass[has]))
        return found


def _weights(chosen: Chosen, weights: Weights | None) -> Weights:
    return (chosen >= 0).astype(np.float64) if weights is None else weights


def _most(states: Shaped[ndarray, " cell"], weights: Float[ndarray, " cell"] | None = None) -> str:
    """The state with most cells or weight, the first by name of several; empty without any."""
    if not len(states):
        return ""
    names, number = np.unique(states.astype(str), return_inverse=True)
    return str(names[np.bincount(number, weights).argmax()])
