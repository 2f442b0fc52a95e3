"""Whether steps lead between clusters that are not connected, and what random cells would do.

The reference is not the graph itself: PAGA (`neighbors/paga.py`) connects clusters by the nearest
neighbors of their cells, whatever graph of successors was made of them. A step between clusters
that it does not connect *leaks*. Steps between two times are not judged where no cluster of the one
is connected to any of the other: the times are too far apart for PAGA to tell.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings
from bionemo.geneformer_t.neighbors.paga import cluster_connectivities
from bionemo.geneformer_t.neighbors.quality.edge_blocks import (
    edge_blocks,
    fractions_by_group,
    groups_in_time,
)

MOST_CELLS = 20_000
"""Cells whose nearest neighbors are searched; a random sample of so many where there are more."""
_FEWEST_CELLS = 10
"""Current cells that a cluster needs for a fraction of its own."""
_Z = 1.96


@dataclass(frozen=True, kw_only=True)
class LeakingPair:
    """Steps from one cluster to another that PAGA does not connect to it."""

    source: str
    target: str
    fraction: float
    """Of the steps from the source."""
    by_chance: float
    """The same if each successor were a random cell of its time."""
    connectivity: float
    """Of the two clusters, from 0 (no neighbors) to 1 (as many as at random)."""


@dataclass(frozen=True, kw_only=True)
class LeakingCluster:
    """All steps from one cluster to clusters that are not connected to it."""

    source: str
    num_cells: int
    """Current cells."""
    fraction: float
    """Of the steps from this cluster."""
    low: float
    """Lower limit of its 95 % interval over current cells."""
    by_chance: float
    """The same if each successor were a random cell of its time."""


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """Steps between clusters against chance, and against the connectivity of the clusters."""

    by_chance: Float[ndarray, "from_cluster to_cluster"]
    """Fraction of each cluster's steps that would go to each cluster if each successor were a
    random cell of its time; rows as in `ClusterFlow`."""
    beyond_chance: Float[ndarray, "from_cluster to_cluster"]
    """The fraction that goes there, minus that by chance."""
    connectivity: Float[ndarray, "cluster cluster"]
    """By PAGA; 0 on the diagonal."""
    min_connectivity: float
    """From which on two clusters count as connected."""
    num_pairs: int
    """Pairs of different clusters that hold cells."""
    num_connected: int
    """Those that PAGA connects."""
    num_joined: int
    """Those between which at least one edge runs, either way."""
    fraction: float
    """Fraction of all steps between cells with a cluster that leak."""
    low: float
    """Lower limit of its 95 % interval over current cells."""
    expected: float
    """The fraction if each successor were a random cell of its time."""
    not_judged: float
    """Fraction of all steps that are between times too far apart for PAGA; they do not count as
    leaks."""
    clusters: tuple[LeakingCluster, ...]
    """Those with at least ten current cells, the largest fraction first."""
    pairs: tuple[LeakingPair, ...]
    """Pairs that steps leak between, from clusters of at least ten current cells; the largest
    fraction first."""


def leakage(
    graph: NeighborGraph,
    representation: Float[ndarray, "cell component"],
    cluster: pd.Categorical,
    time: Float[ndarray, " cell"] | None,
    rng: np.random.Generator,
    min_connectivity: float = BuilderSettings.min_connectivity,
) -> Leakage | None:
    """Compare the steps between clusters; None for fewer than two clusters, or without a step.

    Chance is taken among the cells of the successor's time (a twentieth of it where time is
    continuous), as for batches.

    Args:
        graph: Successors.
        representation: Coordinates in which distance means difference in expression.
        cluster: Cluster of each cell; steps from or to a cell without one count nowhere.
        time: Time of each cell.
        rng: Draws the cells whose neighbors are searched, where there are very many.
        min_connectivity: Connectivity from which on two clusters count as connected, by default
            that of the method `trajectory`.
    """
    codes, size = np.asarray(cluster.codes, dtype=np.int64), len(cluster.categories)
    sizes = np.bincount(codes[codes >= 0], minlength=size)
    if np.count_nonzero(sizes) < 2:
        return None
    connectivity = _connectivity(representation, codes, size, rng)
    connected = np.eye(size, dtype=bool) | ((connectivity >= min_connectivity) & (connectivity > 0))
    groups = np.zeros(len(codes), dtype=np.int64) if time is None else groups_in_time(time)[0]
    there = fractions_by_group(groups, codes, size)
    can_tell = (there @ connected @ there.T) > 0
    steps = _Steps(size, graph.num_cells)
    for block in edge_blocks(graph):
        ones, others = codes[block.current], codes[block.successor]
        known = (ones >= 0) & (others >= 0)
        current, probability = block.current[known], block.probability[known]
        one, other, group = ones[known], others[known], groups[block.successor[known]]
        judged = can_tell[groups[current], group]
        leaks = ~connected[one, other] & judged
        random_leak = (there[group] * ~connected[one]).sum(axis=1) * judged
        np.add.at(steps.flow, (one, other), probability)
        np.add.at(steps.leak, (one, other), probability * leaks)
        np.add.at(steps.random, one, probability[:, None] * there[group])
        steps.of_cell += [
            np.bincount(current, probability * values, minlength=graph.num_cells)
            for values in (np.ones(len(one)), judged, leaks, random_leak)
        ]
        steps.joined[one, other] = True
    if not steps.taken.any():
        return None
    return _summary(steps, cluster, connectivity, connected, sizes > 0, min_connectivity)


class _Steps:
    """Sums over edges, between clusters and over the successors of each current cell."""

    def __init__(self, size: int, num_cells: int) -> None:
        self.flow, self.leak, self.random = (np.zeros((size, size)) for _ in range(3))
        self.joined = np.zeros((size, size), dtype=bool)
        self.of_cell = np.zeros((4, num_cells))

    @property
    def taken(self) -> Float[ndarray, " cell"]:
        """The steps of each cell between clusters that are known: 1, or less."""
        return self.of_cell[0]

    @property
    def judged(self) -> Float[ndarray, " cell"]:
        """Those between times that PAGA connects."""
        return self.of_cell[1]

    @property
    def leaking(self) -> Float[ndarray, " cell"]:
        """Those that leak."""
        return self.of_cell[2]

    @property
    def by_chance(self) -> Float[ndarray, " cell"]:
        """Those that would leak if each successor were a random cell of its time."""
        return self.of_cell[3]


def _summary(
    steps: _Steps,
    cluster: pd.Categorical,
    connectivity: Float[ndarray, "cluster cluster"],
    connected: Bool[ndarray, "cluster cluster"],
    is_there: Bool[ndarray, " cluster"],
    min_connectivity: float,
) -> Leakage:
    names = [str(label) for label in cluster.categories]
    codes = np.asarray(cluster.codes)
    totals = np.maximum(steps.flow.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    shares, chance, leaking = steps.flow / totals, steps.random / totals, steps.leak / totals
    clusters = []
    for code, name in enumerate(names):
        of_cluster = (codes == code) & (steps.taken > 0)
        if of_cluster.sum() >= _FEWEST_CELLS:
            fraction, low, by_chance = _fraction(steps, of_cluster)
            clusters.append(
                LeakingCluster(
                    source=name, num_cells=int(of_cluster.sum()), fraction=fraction, low=low,
                    by_chance=by_chance,
                )
            )  # fmt: skip
    measured = {one.source for one in clusters}
    pairs = [
        LeakingPair(
            source=names[i], target=names[j], fraction=float(leaking[i, j]),
            by_chance=float(chance[i, j]), connectivity=float(connectivity[i, j]),
        )
        for i, j in np.argwhere(leaking > 0).tolist()
        if names[i] in measured
    ]  # fmt: skip
    both = np.triu(np.outer(is_there, is_there), 1)
    fraction, low, expected = _fraction(steps, steps.taken > 0)
    return Leakage(
        by_chance=chance,
        beyond_chance=shares - chance,
        connectivity=connectivity,
        min_connectivity=min_connectivity,
        num_pairs=int(both.sum()),
        num_connected=int((both & connected).sum()),
        num_joined=int((both & (steps.joined | steps.joined.T)).sum()),
        fraction=fraction,
        low=low,
        expected=expected,
        not_judged=float(1 - steps.judged.sum() / steps.taken.sum()),
        clusters=tuple(sorted(clusters, key=lambda one: -one.fraction)),
        pairs=tuple(sorted(pairs, key=lambda one: -one.fraction)),
    )


def _fraction(steps: _Steps, chosen: Bool[ndarray, " cell"]) -> tuple[float, float, float]:
    """The leaking fraction of the steps of some cells, its lower limit, and that by chance.

    The limit is that of a mean over cells, by the delta method, because all steps of a cell are
    alike.
    """
    taken, leaking = steps.taken[chosen], steps.leaking[chosen]
    fraction = leaking.sum() / taken.sum()
    spread = np.sqrt(((leaking - fraction * taken) ** 2).sum()) / taken.sum()
    by_chance = steps.by_chance[chosen].sum() / taken.sum()
    return float(fraction), float(max(fraction - _Z * spread, 0)), float(by_chance)


def _connectivity(
    representation: Float[ndarray, "cell component"],
    codes: Int[ndarray, " cell"],
    size: int,
    rng: np.random.Generator,
) -> Float[ndarray, "cluster cluster"]:
    """PAGA over the nearest neighbors of the cells that have a cluster."""
    cells = np.flatnonzero(codes >= 0)
    if len(cells) > MOST_CELLS:
        cells = np.sort(rng.choice(cells, MOST_CELLS, replace=False))
    connectivity = np.zeros((size, size))
    present, cluster = np.unique(codes[cells], return_inverse=True)
    connectivity[np.ix_(present, present)] = cluster_connectivities(representation[cells], cluster)
    return connectivity
