"""The loss curve of a run."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bionemo.geneformer_t.report.figures.style import MODEL, REFERENCE, new_figure, quieten, save


def loss_curve(metrics: Path, path: Path) -> Path:
    """Draw training and validation loss over optimizer steps.

    Args:
        metrics: The `metrics.csv` of a run.
        path: Where to write the picture.

    Returns:
        `path`.
    """
    return save(loss_figure(pd.read_csv(metrics)), path)


def loss_figure(table: pd.DataFrame) -> Figure:
    """Training and validation loss over optimizer steps, from the rows of `metrics.csv`."""
    figure = new_figure()
    axes = figure.subplots()
    curves: dict[str, dict[str, Any]] = {
        "train/loss": {"label": "training batch", "color": MODEL, "alpha": 0.7, "linewidth": 1},
        "val/loss": {"label": "validation cells", "color": REFERENCE, "marker": "o"},
    }
    for column, style in curves.items():
        curve = table[["step", column]].dropna() if column in table else table.iloc[:0]
        if len(curve):
            axes.plot(curve["step"], curve[column], markersize=4, **style)
    axes.set_xlabel("optimizer step")
    # of a single step there is one whole number to show, not the two that are usual
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel("cross-entropy of scored genes (nats)")
    quieten(axes)
    axes.legend(frameon=False)
    return figure
