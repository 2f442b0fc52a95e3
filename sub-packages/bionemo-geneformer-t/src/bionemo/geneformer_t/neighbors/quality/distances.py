"""Whether successors are nearer in expression than cells drawn at random.

Measured on a sample of current cells and all their edges, so that the time it takes does not grow
with the graph. Every edge is compared with a random cell in its place; where time comes in points,
also with cells of the successor's time point, because a cell of another day is far in any case.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.edge_blocks import (
    EdgeBlock,
    edges_of,
    groups_in_time,
)

MOST_CELLS = 5_000
"""Current cells in the sample."""
MOST_EDGES = 200_000
"""Edges in the sample, about; fewer cells are drawn where they have very many successors."""
_FEWEST_CELLS = 100
_FEWEST_OF_CLUSTER = 10
_MOST_REFERENCES = 500
"""Cells of a time point that a successor is compared with: all, or a random sample of so many."""
_BINS = 40
_AT_ONCE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Distances:
    """Euclidean distances from current cells, averaged over their steps and then over cells."""

    successor: float
    """To a successor."""
    random: float
    """To a random other cell."""
    same_time: float | None
    """To a random cell of the successor's time point; None where time does not come in points."""
    ratio: float
    """Distance to a successor, over that to a random cell (of its time point, where it can be)."""
    ratio_high: float
    """Upper limit of the ratio's 95 % interval over current cells."""
    leaps: float
    """Fraction of the steps that lead at least as far from the current cell as half of the cells
    are that could have been the successor: those of the successor's time point, or all cells where
    time does not come in points. 0.5 for random successors."""
    leaps_from: dict[str, float]
    """The same for the steps from each cluster of which the sample has cells enough."""
    num_cells: int
    """Current cells in the sample."""
    bins: tuple[float, ...]
    """Limits of the bins of the histograms."""
    histograms: dict[str, tuple[float, ...]]
    """Fraction of the steps in each bin: `successor`, `random` and, where known, `same_time`."""


def distances(
    graph: NeighborGraph,
    representation: Float[ndarray, "cell component"],
    time: Float[ndarray, " cell"] | None,
    cluster: pd.Categorical | None,
    rng: np.random.Generator,
) -> Distances | None:
    """Distances of a sample of edges and of random pairs; None for fewer than two current cells.

    Args:
        graph: Successors.
        representation: Coordinates in which distance means difference in expression.
        time: Time of each cell.
        cluster: Cluster of each cell.
        rng: Draws the sample and the random cells.
    """
    current = np.flatnonzero(graph.out_degree)
    if len(current) < 2:
        return None
    most = int(MOST_EDGES * len(current) / graph.num_edges)
    most = min(MOST_CELLS, max(most, _FEWEST_CELLS))
    if len(current) > most:
        current = np.sort(rng.choice(current, most, replace=False))
    edges = edges_of(graph, current)
    others = {"successor": edges.successor, "random": _random(edges.current, graph, rng)}
    groups, are_points = (None, False) if time is None else groups_in_time(time)
    if not are_points or groups is None:
        groups = np.zeros(graph.num_cells, dtype=np.int64)
    else:
        others["same_time"] = _random_of_group(edges.current, groups[edges.successor], groups, rng)
    apart = {name: _apart(representation, edges.current, cells) for name, cells in others.items()}
    place = np.searchsorted(current, edges.current)
    means = {
        name: np.bincount(place, weights=edges.probability * values, minlength=len(current))
        for name, values in apart.items()
    }
    is_far = apart["successor"] >= _median_apart(representation, edges, groups, rng)
    leaping = np.bincount(place, weights=edges.probability * is_far, minlength=len(current))
    reference = means.get("same_time", means["random"])
    ratio, high = _ratio(means["successor"], reference)
    bins = np.linspace(0, np.quantile(np.concatenate(list(apart.values())), 0.995), _BINS + 1)
    return Distances(
        successor=float(means["successor"].mean()),
        random=float(means["random"].mean()),
        same_time=float(means["same_time"].mean()) if "same_time" in means else None,
        ratio=ratio,
        ratio_high=high,
        leaps=float(leaping.mean()),
        leaps_from={} if cluster is None else _by_cluster(leaping, cluster[current]),
        num_cells=len(current),
        bins=tuple(bins.tolist()),
        histograms={
            name: _histogram(values, edges.probability, bins) for name, values in apart.items()
        },
    )


def _random(
    current: Int[ndarray, " edge"], graph: NeighborGraph, rng: np.random.Generator
) -> Int[ndarray, " edge"]:
    """Any cell but the current one."""
    others = rng.integers(graph.num_cells - 1, size=len(current))
    return others + (others >= current)


def _random_of_group(
    current: Int[ndarray, " edge"],
    wanted: Int[ndarray, " edge"],
    groups: Int[ndarray, " cell"],
    rng: np.random.Generator,
) -> Int[ndarray, " edge"]:
    """A cell of the wanted group, but not the current one where the group has another."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[by_group], wanted, side="left")
    sizes = np.searchsorted(groups[by_group], wanted, side="right") - starts
    drawn = (rng.random(len(wanted)) * sizes).astype(np.int64)
    drawn = (drawn + (by_group[starts + drawn] == current)) % sizes
    return by_group[starts + drawn]


def _median_apart(
    representation: Float[ndarray, "cell component"],
    edges: EdgeBlock,
    groups: Int[ndarray, " cell"],
    rng: np.random.Generator,
) -> Float[ndarray, " edge"]:
    """The median distance from each edge's current cell to others of its successor's group."""
    medians = np.zeros(len(edges.current))
    wanted = groups[edges.successor]
    for group in np.unique(wanted).tolist():
        of_group, of_edge = np.flatnonzero(groups == group), wanted == group
        if len(of_group) > _MOST_REFERENCES:
            of_group = np.sort(rng.choice(of_group, _MOST_REFERENCES, replace=False))
        current, place = np.unique(edges.current[of_edge], return_inverse=True)
        parts = [
            _row_medians(representation, current[start : start + _MOST_REFERENCES], of_group)
            for start in range(0, len(current), _MOST_REFERENCES)
        ]
        medians[of_edge] = np.concatenate(parts)[place]
    return medians


def _row_medians(
    representation: Float[ndarray, "cell component"],
    current: Int[ndarray, " current"],
    others: Int[ndarray, " other"],
) -> Float[ndarray, " current"]:
    """The median distance from each current cell to the others but itself; 0 to no other."""
    from scipy.spatial.distance import cdist

    apart = cdist(
        representation[current].astype(np.float64), representation[others].astype(np.float64)
    )
    apart[current[:, None] == others] = np.nan
    alone = np.isnan(apart).all(axis=1)
    apart[alone] = 0
    return np.nanmedian(apart, axis=1)


def _apart(
    representation: Float[ndarray, "cell component"],
    ones: Int[ndarray, " pair"],
    others: Int[ndarray, " pair"],
) -> Float[ndarray, " pair"]:
    parts = [
        np.linalg.norm(
            representation[ones[start : start + _AT_ONCE]].astype(np.float64)
            - representation[others[start : start + _AT_ONCE]],
            axis=1,
        )
        for start in range(0, len(ones), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _by_cluster(fraction: Float[ndarray, " cell"], cluster: pd.Categorical) -> dict[str, float]:
    codes = np.asarray(cluster.codes)
    return {
        str(label): float(fraction[codes == code].mean())
        for code, label in enumerate(cluster.categories)
        if (codes == code).sum() >= _FEWEST_OF_CLUSTER
    }


def _ratio(
    values: Float[ndarray, " cell"], reference: Float[ndarray, " cell"]
) -> tuple[float, float]:
    """The ratio of two means and its upper limit, by the delta method over current cells."""
    whole = reference.mean()
    if whole == 0:
        return 1.0, 1.0  # all cells are the same: nothing is nearer than anything else
    ratio = values.mean() / whole
    error = np.std(values - ratio * reference, ddof=1) / np.sqrt(len(values)) / whole
    return float(ratio), float(ratio + 1.96 * error)


def _histogram(
    values: Float[ndarray, " step"],
    weights: Float[ndarray, " step"],
    bins: Float[ndarray, " limit"],
) -> tuple[float, ...]:
    inside = np.minimum(values, bins[-1])  # larger values count in the last bin
    counts, _ = np.histogram(inside, bins=bins, weights=weights)
    return tuple((counts / counts.sum()).tolist())
