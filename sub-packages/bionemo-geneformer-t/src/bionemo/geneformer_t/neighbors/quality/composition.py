"""Between which batches and clusters the edges run."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.edge_blocks import (
    EdgeBlock,
    edge_blocks,
    fractions_by_group,
    groups_in_time,
)


@dataclass(frozen=True, kw_only=True)
class BatchCrossing:
    """Steps from one batch to another."""

    num_batches: int
    crossing: float
    """Fraction of the steps between cells with a batch that lead to another batch."""
    expected: float
    """The same if each successor were a random cell of its time."""
    num_crossing_edges: int


def batch_crossing(
    graph: NeighborGraph, batch: pd.Categorical, time: Float[ndarray, " cell"] | None
) -> BatchCrossing | None:
    """Compare crossings with chance; None where no edge has two batches.

    Chance is taken among the cells of the successor's time (a twentieth of it where time is
    continuous), so that time points which come from different batches do not look like mixing.
    """
    codes = np.asarray(batch.codes, dtype=np.int64)
    groups = np.zeros(len(codes), dtype=np.int64) if time is None else groups_in_time(time)[0]
    fractions = fractions_by_group(groups, codes, len(batch.categories))
    crossing, expected, total, num_crossing = 0.0, 0.0, 0.0, 0
    for block in edge_blocks(graph):
        ones, others = codes[block.current], codes[block.successor]
        both = (ones >= 0) & (others >= 0)
        crosses, probability = (ones != others)[both], block.probability[both]
        by_chance = 1 - fractions[groups[block.successor[both]], ones[both]]
        crossing += float(probability[crosses].sum())
        expected += float((by_chance * probability).sum())
        total += float(probability.sum())
        num_crossing += int(crosses.sum())
    if total == 0:
        return None
    return BatchCrossing(
        num_batches=len(np.unique(codes[codes >= 0])),
        crossing=crossing / total,
        expected=expected / total,
        num_crossing_edges=num_crossing,
    )


@dataclass(frozen=True, kw_only=True)
class ClusterFlow:
    """From which cluster to which the steps go."""

    labels: tuple[str, ...]
    is_ordered: bool
    """Whether the labels have a meaningful order, such as that of time."""
    num_edges: Int[ndarray, "from_cluster to_cluster"]
    steps: Float[ndarray, "from_cluster to_cluster"]
    """Expected number of steps where each cell takes one: probabilities, added up."""
    shares: Float[ndarray, "from_cluster to_cluster"]
    """Fraction of each cluster's steps that go to each cluster; rows sum to 1, or to 0 where a
    cluster has no successors."""
    num_edges_without: int
    """Edges of which an end has no cluster; they count nowhere else here."""


def cluster_flow(graph: NeighborGraph, cluster: pd.Categorical) -> ClusterFlow:
    """Count edges and add up steps from cluster to cluster, in the order of the categories."""
    return flow_of_edges(edge_blocks(graph), cluster)


def flow_of_edges(blocks: Iterable[EdgeBlock], cluster: pd.Categorical) -> ClusterFlow:
    """The same of edges in blocks, which may lead from a cell to itself."""
    size, codes = len(cluster.categories), np.asarray(cluster.codes, dtype=np.int64)
    counted, added = np.zeros(size * size, dtype=np.int64), np.zeros(size * size)
    without = 0
    for block in blocks:
        ones, others = codes[block.current], codes[block.successor]
        both = (ones >= 0) & (others >= 0)
        without += int((~both).sum())
        pairs = ones[both] * size + others[both]
        counted += np.bincount(pairs, minlength=size * size)
        added += np.bincount(pairs, weights=block.probability[both], minlength=size * size)
    flow = added.reshape(size, size)
    totals = flow.sum(axis=1, keepdims=True)
    return ClusterFlow(
        labels=tuple(str(label) for label in cluster.categories),
        is_ordered=bool(cluster.ordered),
        num_edges=counted.reshape(size, size),
        steps=flow,
        shares=np.divide(flow, totals, out=np.zeros_like(flow), where=totals > 0),
        num_edges_without=without,
    )


def order_along_flow(flow: ClusterFlow) -> Int[ndarray, " cluster"]:
    """Clusters from where the steps come from to where they go to.

    Every cluster gets a potential, so that differences between two clusters fit the net fraction
    of the steps between them that lead up (least squares weighted by their steps; HodgeRank, Jiang,
    Lim, Yao and Ye, 2011).
    """
    forth = flow.steps.copy()
    np.fill_diagonal(forth, 0)
    both, net = forth + forth.T, forth - forth.T
    laplacian = np.diag(both.sum(axis=1)) - both
    potentials = np.linalg.lstsq(laplacian, -net.sum(axis=1), rcond=None)[0]
    return np.argsort(np.round(potentials, 9), kind="stable")
