"""Tables of the report: gains by cluster, and genes along the trajectory."""

from collections.abc import Iterable, Sequence

import numpy as np

from bionemo.geneformer_t.evaluate.by_cluster import ClusterGain
from bionemo.geneformer_t.evaluate.trends import Curve, GeneTrends
from bionemo.geneformer_t.table import Table, number, signed, span


def cluster_table(clusters: Iterable[ClusterGain]) -> Table:
    """The model beside the best baseline on the current cells of each cluster."""
    rows = [
        [one.cluster, f"{one.num_cells:,}", number(one.model), number(one.baseline),
         signed(one.gain.mean), span(one.gain.low, one.gain.high)]
        for one in clusters
    ]  # fmt: skip
    return Table(
        head=[
            ["", "current cells", "the model", "best baseline", "gain", "95 % interval"],
            ["", "", "nats", "nats", "nats", "nats"],
        ],
        rows=rows,
        caption="Cross-entropy by the cluster of the current cell",
    )


def trend_table(trends: GeneTrends, names: Sequence[str]) -> Table:
    """Mean normalised ranks of genes, and their true and predicted changes.

    Args:
        trends: The curves.
        names: What the genes are called, in their order.
    """
    weights = trends.num_cells / trends.num_cells.sum()
    now, true, predicted = (
        _mean(curve, weights) for curve in (trends.current, trends.following, trends.predicted)
    )
    rows = [
        [name, number(now[i]), signed(true[i] - now[i]), signed(predicted[i] - now[i]),
         number(float(trends.agreement[i]), 2)]
        for i, name in enumerate(names)
    ]  # fmt: skip
    return Table(
        head=[
            ["", "normalised rank", "true change", "predicted change", "r"],
            ["", "mean", "mean", "mean", "over cells"],
        ],
        rows=rows,
        caption="Mean normalised ranks over all current cells, and their changes",
    )


def _mean(curve: Curve, weights: np.ndarray) -> list[float]:
    means: list[float] = (weights @ curve.mean).tolist()
    return means
