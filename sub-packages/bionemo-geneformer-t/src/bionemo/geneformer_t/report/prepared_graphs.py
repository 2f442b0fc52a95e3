"""The graph report of `prepare`: every split measured against what is known about its cells."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.join_inputs import InputCells
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import (
    DIFFUSION_PSEUDOTIME,
    pseudotime_values,
)
from bionemo.geneformer_t.neighbors.quality.cell_facts import cell_facts
from bionemo.geneformer_t.prepare.cell_splits import CellPlan
from bionemo.geneformer_t.prepare.graphs import SplitGraph
from bionemo.geneformer_t.prepare.settings import PrepareSettings
from bionemo.geneformer_t.report.figures.cell_map import MAPS
from bionemo.geneformer_t.report.graph_report import SplitGraphs, write_graph_report

_REPORT_STREAM = 1


def report_on_graphs(
    folder: Path,
    cells: InputCells,
    plan: CellPlan,
    points: Float[ndarray, "cell component"],
    built: Mapping[str, SplitGraph],
    settings: PrepareSettings,
) -> str:
    """Measure and draw the graphs of every split; the table for the terminal.

    Where there is no real time, edges are measured against pseudotime, if there is one.
    """
    time, time_name = plan.times, settings.time_key
    if time is None and settings.pseudotime_key is not None:
        time = pseudotime_values(cells.obs[settings.pseudotime_key])
        time_name = settings.pseudotime_key
    if time is None and any(graph.pseudotime is not None for graph in built.values()):
        time_name = DIFFUSION_PSEUDOTIME
    splits = {}
    for name, graph in built.items():
        rows = plan.rows(name)
        facts = cell_facts(
            cells.obs.iloc[rows],
            representation=points[rows],
            time=graph.pseudotime if time is None else time[rows],
            batch_key=settings.batch_key,
            cluster_key=settings.cluster_key or settings.time_key,
            root=settings.root,
        )
        splits[name] = SplitGraphs(
            graphs=graph.graphs,
            facts=facts,
            dropped=graph.dropped,
            obsm={key: cells.obsm[key].read(rows) for key in MAPS if key in cells.obsm},
            time_name=time_name or "",
            time_labels=_time_labels(cells, plan, settings),
        )
    generator = np.random.default_rng([settings.seed, _REPORT_STREAM])
    return write_graph_report(folder, splits, generator, pictures=settings.pictures)


def _time_labels(cells: InputCells, plan: CellPlan, settings: PrepareSettings) -> dict[float, str]:
    """What each time point is called; of several names, the first."""
    if plan.times is None or settings.time_key is None:
        return {}
    column = cells.obs[settings.time_key]
    points, first = np.unique(plan.times, return_index=True)
    named = zip(points.tolist(), column.iloc[first].astype(str), strict=True)
    return {point: label for point, label in named if np.isfinite(point)}
