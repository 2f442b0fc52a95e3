"""Graphs of splits with what is known about their cells: as `prepare` has them, or as stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.join_inputs import InputCells
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.stored_graphs import (
    read_graphs,
    read_split,
    read_times,
    representation_of,
    time_labels,
)
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import (
    DIFFUSION_PSEUDOTIME,
    pseudotime_values,
)
from bionemo.geneformer_t.neighbors.quality.cell_facts import cell_facts
from bionemo.geneformer_t.neighbors.quality.edge_blocks import groups_in_time
from bionemo.geneformer_t.prepare.cell_plan import CellPlan
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
    return write_graph_report(folder, splits, generator, pictures=settings.pictures, same_axes=True)


def stored_graphs(
    stores: Mapping[str, CellStore],
    keys: Sequence[str] | None,
    options: Mapping[str, Any],
    use_rep: str | None = None,
) -> dict[str, SplitGraphs]:
    """The graphs of splits of a data folder, and all that its columns tell about their cells.

    Args:
        stores: The cells of each split.
        keys: Which graphs; by default all.
        options: Columns of obs and the root, as `recorded_options` names them.
        use_rep: Name in obsm of the coordinates in which distances are measured.

    Raises:
        KeyError: A column or array is missing.
        ValueError: Labels cannot be read as times.
    """
    found = {name: read_split(store) for name, store in stores.items()}
    time_key, times = options.get("time_key"), {}
    if time_key is not None:
        times = read_times(found, time_key, options.get("time_order"))
    splits = {}
    for name, split in found.items():
        time = times.get(name)
        are_points = time is not None and groups_in_time(time)[1]
        graphs, dropped = read_graphs(split, keys)
        facts = cell_facts(
            split.obs,
            representation=representation_of(split, use_rep),
            time=time,
            batch_key=options.get("batch_key"),
            cluster_key=options.get("cluster_key") or (time_key if are_points else None),
            root=options.get("root"),
        )
        splits[name] = SplitGraphs(
            graphs=graphs,
            dropped=dropped,
            facts=facts,
            obsm=split.obsm,
            time_name=time_key or "",
            time_labels={}
            if time_key is None or time is None
            else time_labels(split, time_key, time),
        )
    return splits


def _time_labels(cells: InputCells, plan: CellPlan, settings: PrepareSettings) -> dict[float, str]:
    """What each time point is called; of several names, the first."""
    if plan.times is None or settings.time_key is None:
        return {}
    column = cells.obs[settings.time_key]
    points, first = np.unique(plan.times, return_index=True)
    named = zip(points.tolist(), column.iloc[first].astype(str), strict=True)
    return {point: label for point, label in named if np.isfinite(point)}
