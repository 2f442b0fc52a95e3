"""The points of all cells and the graphs of each split, built inside it.

Axes come from training cells and a root's place from a training cell, so the graph of a held-out
split may know training cells, and the graph of the training split knows nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.join_inputs import InputCells
from bionemo.geneformer_t.data.folder import TRAIN
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import Cells
from bionemo.geneformer_t.neighbors.builders import build
from bionemo.geneformer_t.neighbors.expression_pca import fit_axes, log_normalised
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import (
    DIFFUSION_PSEUDOTIME,
    FROM_A_ROOT,
    pseudotime_of,
)
from bionemo.geneformer_t.obs_columns import obsm_array
from bionemo.geneformer_t.prepare.cell_plan import NOWHERE, CellPlan
from bionemo.geneformer_t.prepare.settings import PrepareSettings

CROSSING = "crosses a split"
"""Why an edge of a precomputed matrix is left out."""
NO_EDGES = "no edges"
"""How a note begins where a held-out split got no graph."""


@dataclass(frozen=True, kw_only=True)
class SplitGraph:
    """The graphs of one split, and what is to be said about them."""

    graphs: Mapping[str, NeighborGraph]
    notes: Mapping[str, tuple[str, ...]]
    """For each neighbor key, what its builder says."""
    dropped: Mapping[str, Mapping[str, int]]
    """For each neighbor key, how many edges were left out for which reason."""
    pseudotime: Float[ndarray, " cell"] | None = None
    """Diffusion pseudotime of the split's cells, where it was computed from a root."""


def points_of_cells(
    cells: InputCells, plan: CellPlan, settings: PrepareSettings
) -> Float[ndarray, "cell component"]:
    """Coordinates of all cells that take part; zeros for the others.

    Raises:
        KeyError: obsm has no array `use_rep`.
        ValueError: There are too few training cells for PCA, or `use_rep` is sparse.
    """
    taking_part = plan.split != NOWHERE
    rows = np.flatnonzero(taking_part)
    if settings.use_rep is not None:
        given = obsm_array(cells.obsm, settings.use_rep).read(rows)
        if not isinstance(given, ndarray):
            raise ValueError(
                f"use_rep: obsm[{settings.use_rep!r}] is a sparse table of "
                f"{given.shape[1]:,} columns, and cells are compared by coordinates; give a dense "
                "one, such as X_pca"
            )
        points = np.zeros((len(taking_part), given.shape[1]), dtype=np.float32)
        points[rows] = given
        return points
    train = plan.split == TRAIN
    axes = fit_axes(
        lambda: cells.counts.blocks(train, "finding principal components"),
        len(cells.genes.names),
        settings.num_components,
    )
    points = np.zeros((len(taking_part), axes.axes.shape[1]), dtype=np.float32)
    done = 0
    for block in cells.counts.blocks(taking_part, "placing cells"):
        points[rows[done : done + block.shape[0]]] = axes.project(block)
        done += block.shape[0]
    return points


def build_graphs(
    cells: InputCells,
    plan: CellPlan,
    points: Float[ndarray, "cell component"],
    settings: PrepareSettings,
) -> dict[str, SplitGraph]:
    """The graphs of every split.

    Raises:
        KeyError: A setting names something that is not there.
        ValueError: The training cells get no graph. Where a held-out split gets none, that is
            noted.
    """
    matrices = _precomputed(cells, settings)
    built = {}
    for name in plan.names:
        rows = plan.rows(name)
        members = Cells(
            obs=cells.obs.iloc[rows],
            points=points[rows],
            obsp={key: matrix[rows][:, rows] for key, matrix in matrices.items()},
            expression=_expression(cells, plan, name, settings),
            root_point=_root_point(cells, plan, points, rows, settings),
        )
        built[name] = _of_split(members, name, settings)
    for key, matrix in matrices.items():
        _count_crossing(built, matrix, plan, settings.keys["precomputed"])
        assert key == settings.obsp_key
    return built


def _of_split(members: Cells, name: str, settings: PrepareSettings) -> SplitGraph:
    graphs: dict[str, NeighborGraph] = {}
    notes: dict[str, tuple[str, ...]] = {}
    pseudotime, start = _diffusion_pseudotime(members, name, settings)
    known, how = members, settings
    if pseudotime is not None:  # computed once for all methods
        known = replace(members, obs=members.obs.assign(**{DIFFUSION_PSEUDOTIME: pseudotime}))
        how = replace(settings, pseudotime_key=DIFFUSION_PSEUDOTIME, root=None)
    for method, key in settings.keys.items():
        try:
            graph, said = build(method, known, how)
        except ValueError as error:
            if name == TRAIN:
                raise
            # the settings suited the training cells: it is this split that has too little
            graph, said = NeighborGraph.empty(members.num_cells), [f"{NO_EDGES}: {error}"]
        graphs[key] = graph
        notes[key] = (*(start if method in FROM_A_ROOT else ()), *said)
        if name == TRAIN and not graph.num_edges:
            raise ValueError(
                f"no training cell has a successor by method {method!r}: "
                + ("; ".join(said) or "check its settings")
            )
    return SplitGraph(graphs=graphs, notes=notes, dropped={}, pseudotime=pseudotime)


def _diffusion_pseudotime(
    members: Cells, name: str, settings: PrepareSettings
) -> tuple[Float[ndarray, " cell"] | None, list[str]]:
    """Pseudotime from the root, where one is given and a method starts from it, and notes."""
    starts = settings.root is not None and settings.pseudotime_key is None
    if not starts or not FROM_A_ROOT & set(settings.methods):
        return None, []
    try:
        return pseudotime_of(members, settings)
    except ValueError:
        if name == TRAIN:
            raise
        return None, []  # the builder fails for the same reason and says so


def _precomputed(cells: InputCells, settings: PrepareSettings) -> dict[str, Any]:
    """The matrix that the precomputed method takes, over all cells."""
    if "precomputed" not in settings.methods:
        return {}
    key = settings.obsp_key
    if key not in cells.obsp:
        raise KeyError(
            f"obsp_key: obsp has no matrix {key!r} in all inputs; it has: "
            f"{', '.join(cells.obsp) or 'none'}"
        )
    return {str(key): sp.csr_array(cells.obsp[str(key)]())}


def _count_crossing(built: dict[str, SplitGraph], matrix: Any, plan: CellPlan, key: str) -> None:
    """Note at the split of each current cell how many edges lead out of it."""
    edges = sp.coo_array(matrix)
    real = (edges.data != 0) & (edges.row != edges.col)
    start, end = plan.split[edges.row[real]], plan.split[edges.col[real]]
    for name, graph in built.items():
        crossing = int(((start == name) & (end != name)).sum())
        built[name] = replace(graph, dropped={**graph.dropped, key: {CROSSING: crossing}})


def _expression(
    cells: InputCells, plan: CellPlan, name: str, settings: PrepareSettings
) -> sp.csr_array | None:
    """Log-normalised expression of a split, held in memory, for CytoTRACE alone."""
    if "trajectory" not in settings.methods or settings.trajectory_method != "cytotrace_kernel":
        return None
    blocks = cells.counts.blocks(plan.split == name, "reading expression")
    return sp.csr_array(sp.vstack([log_normalised(block) for block in blocks], format="csr"))


def _root_point(
    cells: InputCells,
    plan: CellPlan,
    points: Float[ndarray, "cell component"],
    rows: Int[ndarray, " member"],
    settings: PrepareSettings,
) -> Float[ndarray, " component"] | None:
    """The coordinates of the root, for a split that does not hold it; None where it does."""
    if settings.root is None or not FROM_A_ROOT & set(settings.methods):
        return None
    names = cells.obs.index
    if settings.root in names:
        place = int(np.flatnonzero(names == settings.root)[0])
        return None if place in rows else points[place].astype(np.float64)
    if settings.cluster_key is None:
        return None
    in_root = (cells.obs[settings.cluster_key].astype(str) == settings.root).to_numpy()
    of_training = in_root & (plan.split == TRAIN)
    if in_root[rows].any() or not of_training.any():
        return None
    return points[of_training].mean(axis=0).astype(np.float64)
