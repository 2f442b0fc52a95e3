"""Matched genes: what an effect is compared with, since a null is not centred on 0.

Deleting any gene at the top of a cell changes more than deleting one at its end, and the mean over
few cells varies more than over many. A target's null is therefore made of the effects of the genes
that are nearest to it in the number of cells in which the edit does something and in their mean
normalised rank there. Both are compared as ranks among all genes, so that they count alike whatever
their distributions. A gene is not in its own null.

The null of a combination is made of random combinations of as many genes, each drawn among the
genes that match one of its members; of a surplus of draws, those are kept that are together in
most nearly as many cells as the members of the combination are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree

from bionemo.geneformer_t.perturbation.cell_edits import Target
from bionemo.geneformer_t.perturbation.null_settings import NullSettings

NONE = -1
"""In a row of null targets: there are no more."""
_SURPLUS = 5
"""Combinations that are drawn for each that is kept."""


@dataclass(frozen=True, kw_only=True)
class NullPlan:
    """Which effects must be computed so that every target that is asked for has its null."""

    targets: list[Target]
    """Those asked for as they came, then further ones that are needed as nulls."""
    nulls: Int[ndarray, "asked null"]
    """For each target asked for, its null targets as places in `targets`, the nearest first;
    `NONE` fills up rows, and the rows of targets that affect too few cells."""

    @property
    def further(self) -> list[Target]:
        """Targets that are computed as nulls alone."""
        return self.targets[len(self.nulls) :]


def plan_nulls(asked: Sequence[Target], ranks: sp.sparray, settings: NullSettings) -> NullPlan:
    """Choose the null of every target.

    Genes are matched on the cells that hold them, which are those in which deleting or moving them
    does something. What a target gets does not depend on which others are asked for.

    Args:
        asked: One gene or several each; no target twice.
        ranks: Normalised rank of each token in each of the chosen cells (`rank_table` over the
            ranks that the model reads), of which 0 is not stored.
        settings: How many, and from how many cells.
    """
    matched = _Matching.of(sp.csc_array(ranks), settings)
    rows = [
        matched.genes(target[0]) if len(target) == 1 else matched.combinations(target)
        for target in asked
    ]
    further = sorted({target for row in rows for target in row} - set(asked))
    targets = [*asked, *further]
    place = {target: number for number, target in enumerate(targets)}
    nulls: Int[ndarray, "asked null"] = np.full((len(asked), settings.num_null), NONE)
    for own, row in zip(nulls, rows, strict=True):
        own[: len(row)] = [place[target] for target in row]
    return NullPlan(targets=targets, nulls=nulls)


@dataclass(frozen=True, kw_only=True)
class _Matching:
    """All genes as points, and those that can be in a null."""

    held: sp.csc_array
    """Cells x genes, 1 where the cell holds the gene."""
    cells: Int[ndarray, " gene"]
    points: Float[ndarray, "gene 2"]
    """Number of cells and mean rank, as ranks among the candidates, between 0 and 1."""
    candidates: Int[ndarray, " candidate"]
    tree: KDTree
    settings: NullSettings

    @classmethod
    def of(cls, ranks: sp.csc_array, settings: NullSettings) -> "_Matching":
        cells = np.diff(ranks.indptr).astype(np.int64)
        is_candidate = cells >= settings.least_null_cells
        mean = np.asarray(ranks.sum(axis=0)).ravel() / np.maximum(cells, 1)
        points = np.column_stack([_places(column, is_candidate) for column in (cells, mean)])
        candidates = np.flatnonzero(is_candidate)
        held = sp.csc_array(
            (np.ones(ranks.nnz, dtype=np.int8), ranks.indices, ranks.indptr), shape=ranks.shape
        )
        return cls(
            held=held,
            cells=cells,
            points=points,
            candidates=candidates,
            tree=KDTree(points[candidates]),
            settings=settings,
        )

    def genes(self, gene: int) -> list[Target]:
        """The genes that match one, the nearest first; none if it is in too few cells."""
        if self.cells[gene] < self.settings.min_cells:
            return []
        return [(other,) for other in self._nearest(gene).tolist()]

    def combinations(self, target: Target) -> list[Target]:
        """Random combinations that match one, in the order of their draws."""
        own = int(self._together(np.array([target]))[0])
        if own < self.settings.min_cells:
            return []
        members = [np.setdiff1d(self._nearest(gene), target) for gene in target]
        if not all(len(genes) for genes in members):
            return []
        # the seed depends on the genes, so that a target's null does not depend on other targets
        rng = np.random.default_rng([self.settings.seed, *target])
        size = _SURPLUS * self.settings.num_null
        draws = np.sort(np.column_stack([rng.choice(genes, size) for genes in members]), axis=1)
        _, first = np.unique(draws, axis=0, return_index=True)
        draws = draws[np.sort(first)]
        draws = draws[(np.diff(draws, axis=1) > 0).all(axis=1)]
        together = self._together(draws)
        is_enough = together >= self.settings.least_null_cells
        draws, together = draws[is_enough], together[is_enough]
        apart = np.abs(np.log(together / own))
        nearest = np.sort(np.argsort(apart, kind="stable")[: self.settings.num_null])
        return [tuple(draw) for draw in draws[nearest].tolist()]

    def _nearest(self, gene: int) -> Int[ndarray, " candidate"]:
        number = min(self.settings.num_null + 1, len(self.candidates))
        if not number:
            return self.candidates
        found = np.atleast_1d(self.tree.query(self.points[gene], number)[1])
        nearest: Int[ndarray, " candidate"] = self.candidates[found]
        return nearest[nearest != gene][: self.settings.num_null]

    def _together(
        self, combinations: Int[ndarray, "combination member"]
    ) -> Int[ndarray, " combination"]:
        """Cells that hold all genes of each combination."""
        genes, places = np.unique(combinations, return_inverse=True)
        held: Bool[ndarray, "cell gene"] = self.held[:, genes].toarray() > 0
        places = places.reshape(combinations.shape)
        return np.array([held[:, row].all(axis=1).sum() for row in places], dtype=np.int64)


def _places(
    values: Float[ndarray, " gene"] | Int[ndarray, " gene"], among: Bool[ndarray, " gene"]
) -> Float[ndarray, " gene"]:
    """Where values are among those of some genes, from 0 to 1; ties are in the middle."""
    if not among.any():
        return np.zeros(len(values))
    ordered = np.sort(values[among])
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((left + right) / 2 / len(ordered))
