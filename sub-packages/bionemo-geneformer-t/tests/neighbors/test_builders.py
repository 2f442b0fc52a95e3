"""What all builders have in common, from one table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builders import BUILDERS, BuilderSettings, build
from bionemo.geneformer_t.neighbors.cells import Cells

from ._asserts import assert_forward, assert_independent_of_row_order, assert_same, assert_sound

NUM_CELLS = 150


def branching_cells() -> Cells:
    """A trunk that forks into a long arm and a short one; place, day and cluster are known."""
    rng = np.random.default_rng(0)
    is_short = rng.random(NUM_CELLS) < 0.4
    along = rng.uniform(0, np.where(is_short, 2.2, 3))
    parted = np.where(along > 1, np.where(is_short, -1, 1) * (along - 1), 0)
    points = np.column_stack([along, parted]) * 4 + rng.normal(0, 0.15, (NUM_CELLS, 2))
    arm = np.where(is_short, "short", "long")
    half = np.where(along > 1.6, "late", "early")
    cluster = np.where(along <= 1, "trunk", np.char.add(np.char.add(half, " "), arm))
    obs = pd.DataFrame(
        {"day": [f"D{int(a)}" for a in along], "along": along, "cluster": cluster},
        index=[f"cell_{i}" for i in range(NUM_CELLS)],
    )
    weights = np.triu(rng.random((NUM_CELLS, NUM_CELLS)))
    return Cells(
        obs=obs, points=points, obsp={"T": sp.csr_matrix(np.where(weights > 0.7, weights, 0))}
    )


CELLS = branching_cells()
SETTINGS = {
    "knn": BuilderSettings(),
    "time": BuilderSettings(time_key="day", time_method="mutual"),
    "pseudotime": BuilderSettings(pseudotime_key="along"),
    "pseudotime from a root": BuilderSettings(root="trunk", cluster_key="cluster"),
    "trajectory": BuilderSettings(pseudotime_key="along", cluster_key="cluster"),
    "precomputed": BuilderSettings(obsp_key="T"),
}
EVERY_BUILDER = pytest.mark.parametrize("name", SETTINGS)


def taken(cells: Cells, rows: np.ndarray) -> Cells:
    return replace(
        cells,
        obs=cells.obs.iloc[rows],
        points=cells.points[rows],
        obsp={key: matrix[rows][:, rows] for key, matrix in cells.obsp.items()},
    )


def graph_of(name: str, cells: Cells = CELLS) -> NeighborGraph:
    return build(name.split(maxsplit=1)[0], cells, SETTINGS[name])[0]


def test_every_builder_is_tested() -> None:
    assert {name.split()[0] for name in SETTINGS} == set(BUILDERS)


@EVERY_BUILDER
def test_graphs_are_sound(name: str) -> None:
    assert_sound(graph_of(name), NUM_CELLS, num_neighbors=5)


@EVERY_BUILDER
def test_the_same_cells_give_the_same_graph(name: str) -> None:
    assert_same(graph_of(name), graph_of(name))


@EVERY_BUILDER
def test_the_order_of_the_cells_does_not_matter(name: str) -> None:
    # diffusion comes from an iterative solver, and distances are in float32
    tolerance = 1e-4 if "root" in name else 1e-9
    assert_independent_of_row_order(
        lambda rows: graph_of(name, taken(CELLS, rows)), NUM_CELLS, tolerance
    )


@pytest.mark.parametrize("name", ["time", "pseudotime", "trajectory"])
def test_successors_are_later(name: str) -> None:
    column = CELLS.obs["along"].to_numpy()
    assert_forward(graph_of(name), column.astype(int) if name == "time" else column)


def crossing_edges(graph: NeighborGraph) -> int:
    cluster = CELLS.obs["cluster"].to_numpy()
    of_cell, of_successor = np.repeat(cluster, graph.out_degree), cluster[graph.indices]
    return int(((of_cell == "late short") & (of_successor == "late long")).sum())


def test_at_the_end_of_a_branch_trajectories_end_where_pseudotime_leads_to_another() -> None:
    assert crossing_edges(graph_of("pseudotime")) > 0
    graph, notes = build("trajectory", CELLS, SETTINGS["trajectory"])
    assert crossing_edges(graph) == 0
    assert "late long - late short" not in notes[0]
    assert "early long - late long" in notes[0]


@pytest.mark.parametrize(
    ("method", "settings", "error", "message"),
    [
        ("nearest", BuilderSettings(), ValueError, "one of knn, time"),
        ("time", BuilderSettings(), ValueError, "time_key must name a column.*day, along"),
        ("time", BuilderSettings(time_key="hour"), KeyError, "no column 'hour'; it has: day"),
        ("pseudotime", BuilderSettings(), ValueError, "neither is given"),
        ("pseudotime", BuilderSettings(pseudotime_key="x"), KeyError, "no column 'x'"),
        ("pseudotime", BuilderSettings(pseudotime_key="day"), ValueError, "must be numbers.*'D"),
        ("pseudotime", BuilderSettings(root="cell_x"), KeyError, "no cell is named 'cell_x'"),
        (
            "pseudotime", BuilderSettings(root="leaf", cluster_key="cluster"),
            KeyError, "neither a cell nor a cluster.*early long.*trunk",
        ),
        ("pseudotime", BuilderSettings(pseudotime_key="along", step=2.0), ValueError, "share"),
        ("trajectory", BuilderSettings(pseudotime_key="along"), ValueError, "cluster_key must"),
        ("precomputed", BuilderSettings(), ValueError, "obsp; it has: T"),
        ("precomputed", BuilderSettings(obsp_key="V"), KeyError, "no matrix 'V'; it has: T"),
        ("knn", BuilderSettings(num_neighbors=0), ValueError, "num_neighbors must be at least 1"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(
    method: str, settings: BuilderSettings, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(method, CELLS, settings)


def test_points_must_match_and_be_finite() -> None:
    with pytest.raises(ValueError, match="one row for each of the 150 cells"):
        replace(CELLS, points=CELLS.points[1:])
    with pytest.raises(ValueError, match="150 of 150 cells"):
        replace(CELLS, points=CELLS.points * np.nan)
