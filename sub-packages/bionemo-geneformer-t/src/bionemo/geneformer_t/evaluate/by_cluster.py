"""The gain of the model over the best baseline, cluster by cluster."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.intervals import Interval, advantage
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums

LEAST_CELLS = 10
"""Smaller clusters are left out: too few cells for an interval."""


@dataclass(frozen=True, kw_only=True)
class ClusterGain:
    """The model and one baseline on the current cells of one cluster."""

    cluster: str
    num_cells: int
    model: float
    """Cross-entropy of the model, nats per position."""
    baseline: float
    """That of the baseline."""
    gain: Interval
    """By how much the model's is lower, 95 % interval over the cluster's current cells, their next
    cells, and donors where there are several."""


@dataclass(frozen=True, kw_only=True)
class ClusterGains:
    """All clusters, the largest gain first."""

    baseline: str
    """What the model is compared with."""
    clusters: tuple[ClusterGain, ...]
    left_out: tuple[str, ...]
    """Clusters of fewer than `LEAST_CELLS` current cells."""


def best_baseline(evaluation: Evaluation) -> str:
    """The baseline with the lowest cross-entropy; control models do not count."""
    return min(evaluation.baselines, key=lambda name: evaluation.rows[name].all.cross_entropy)


def cluster_gains(evaluation: Evaluation, clusters: Shaped[ndarray, " cell"]) -> ClusterGains:
    """Compare the model with the best baseline within each cluster.

    Args:
        evaluation: Has the sums of each current cell.
        clusters: The cluster of every cell of the split.
    """
    baseline = best_baseline(evaluation)
    model, other = (evaluation.rows[name].sums.all for name in (MODEL, baseline))
    mine = clusters[model.cells].astype(str)
    names, number = np.unique(mine, return_counts=True)
    pairs = evaluation.units.levels[0].current
    found = []
    for name in names[number >= LEAST_CELLS].tolist():
        here = mine == name
        ours, theirs = (_only(sums, here, here[pairs]) for sums in (model, other))
        found.append(
            ClusterGain(
                cluster=name,
                num_cells=len(ours.cells),
                model=ours.scores.cross_entropy,
                baseline=theirs.scores.cross_entropy,
                gain=advantage(ours, theirs, evaluation.units.only(here)),
            )
        )
    return ClusterGains(
        baseline=baseline,
        clusters=tuple(sorted(found, key=lambda one: -one.gain.mean)),
        left_out=tuple(names[number < LEAST_CELLS].tolist()),
    )


def _only(sums: CellSums, which: Bool[ndarray, " cell"], pairs: Bool[ndarray, " pair"]) -> CellSums:
    return CellSums(
        cells=sums.cells[which],
        sums=sums.sums[which],
        positions=sums.positions[which],
        of_pairs=sums.of_pairs[pairs],
    )
