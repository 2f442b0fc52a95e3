"""What all builders have in common, from one table."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors import optional_packages, time_neighbors
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.builders import BUILDERS, build
from bionemo.geneformer_t.neighbors.optional_packages import install_command, is_installed

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
    genes = rng.poisson(np.exp(-along)[:, None] * rng.uniform(0.5, 3, 300)) > 0
    return Cells(
        expression=sp.csr_matrix(genes.astype(np.float32)),
        obs=obs,
        points=points,
        obsp={"T": sp.csr_matrix(np.where(weights > 0.7, weights, 0))},
    )


CELLS = branching_cells()
SETTINGS = {
    "knn": BuilderSettings(),
    "time": BuilderSettings(time_key="day", time_method="mutual"),
    "time by transport": BuilderSettings(time_key="day", time_method="ot"),
    "pseudotime": BuilderSettings(pseudotime_key="along"),
    "pseudotime from a root": BuilderSettings(root="trunk", cluster_key="cluster"),
    "trajectory": BuilderSettings(pseudotime_key="along", cluster_key="cluster"),
    "trajectory by PseudotimeKernel": BuilderSettings(
        pseudotime_key="along", cluster_key="cluster", trajectory_method="pseudotime_kernel"
    ),
    "trajectory by CytoTRACEKernel": BuilderSettings(
        cluster_key="cluster", trajectory_method="cytotrace_kernel"
    ),
    "trajectory by RealTimeKernel": BuilderSettings(
        time_key="day", cluster_key="cluster", trajectory_method="realtime_kernel"
    ),
    "precomputed": BuilderSettings(obsp_key="T"),
}


def every(*names: str) -> pytest.MarkDecorator:
    """Parametrise over builders; those whose package is not installed are skipped."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=needs(name)) for name in names or SETTINGS]
    )


def needs(name: str) -> list[pytest.MarkDecorator]:
    package = {"transport": "moscot", "RealTime": "moscot", "Kernel": "cellrank"}
    return [
        pytest.mark.skipif(
            not is_installed(needed), reason=f"{needed} is not here: {install_command(needed)}"
        )
        for word, needed in package.items()
        if word in name
    ] + [pytest.mark.slow] * ("transport" in name)  # moscot compiles


def taken(cells: Cells, rows: np.ndarray) -> Cells:
    return replace(
        cells,
        obs=cells.obs.iloc[rows],
        points=cells.points[rows],
        expression=cells.expression[rows],
        obsp={key: matrix[rows][:, rows] for key, matrix in cells.obsp.items()},
    )


def graph_of(name: str, cells: Cells = CELLS) -> NeighborGraph:
    return build(name.split(maxsplit=1)[0], cells, SETTINGS[name])[0]


once = cache(graph_of)
"""For tests that only look at the graph."""


def test_every_builder_is_tested() -> None:
    assert {name.split()[0] for name in SETTINGS} == set(BUILDERS)


@every()
def test_graphs_are_sound(name: str) -> None:
    assert_sound(once(name), NUM_CELLS, num_neighbors=5)


@every()
def test_the_same_cells_give_the_same_graph(name: str) -> None:
    assert_same(once(name), graph_of(name))


@every()
def test_the_order_of_the_cells_does_not_matter(name: str) -> None:
    # diffusion and transport come from iterative solvers, in float32
    tolerance = 1e-4 if "root" in name or "transport" in name or "Kernel" in name else 1e-9
    assert_independent_of_row_order(
        lambda rows: graph_of(name, taken(CELLS, rows)), NUM_CELLS, tolerance
    )


@every(*(name for name, settings in SETTINGS.items() if settings.time_key))
def test_successors_are_later_in_time(name: str) -> None:
    assert_forward(once(name), np.floor(CELLS.obs["along"].to_numpy()))


@every(*(name for name, settings in SETTINGS.items() if settings.pseudotime_key))
def test_successors_are_later_in_pseudotime(name: str) -> None:
    assert_forward(once(name), CELLS.obs["along"].to_numpy())


@every("pseudotime from a root")
def test_diffusion_from_a_root_cluster_recovers_the_order(name: str) -> None:
    rows, columns = once(name).to_matrix().nonzero()
    along = CELLS.obs["along"].to_numpy()
    assert (along[columns] > along[rows]).mean() > 0.9


def crossing_edges(graph: NeighborGraph) -> int:
    cluster = CELLS.obs["cluster"].to_numpy()
    of_cell, of_successor = np.repeat(cluster, graph.out_degree), cluster[graph.indices]
    return int(((of_cell == "late short") & (of_successor == "late long")).sum())


@every(*(name for name, settings in SETTINGS.items() if settings.cluster_key))
def test_no_branch_leads_into_another(name: str) -> None:
    assert crossing_edges(once(name)) == 0


def test_the_note_on_a_trajectory_names_the_connections() -> None:
    _, notes = build("trajectory", CELLS, SETTINGS["trajectory"])
    assert "early long - late long" in notes[0]
    assert "late long - late short" not in notes[0]


@pytest.mark.parametrize(("package", "settings"), [
    ("moscot", BuilderSettings(time_key="day", time_method="ot")),
    ("cellrank", SETTINGS["trajectory by PseudotimeKernel"]),
    ("cellrank", SETTINGS["trajectory by CytoTRACEKernel"]),
    ("cellrank", SETTINGS["trajectory by RealTimeKernel"]),
])  # fmt: skip
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str, settings: BuilderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional_packages, "is_installed", lambda name: name != package)
    method = "time" if package == "moscot" else "trajectory"
    with pytest.raises(ImportError, match=rf"needs the package {package}.*pip install '.*\["):
        build(method, CELLS, settings)


@pytest.mark.optimal_transport
def test_auto_takes_transport_where_moscot_is_installed_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = BuilderSettings(time_key="day")
    monkeypatch.setattr(optional_packages, "is_installed", lambda _: False)
    graph, notes = build("time", CELLS, settings)
    assert_same(graph, once("time"))
    assert "mutual (for optimal transport: pip install 'bionemo-geneformer-t[ot]')" in notes[0]
    monkeypatch.setattr(optional_packages, "is_installed", lambda _: True)
    monkeypatch.setattr(optional_packages, "version", lambda _: "9")
    monkeypatch.setitem(time_neighbors._METHODS, "ot", time_neighbors._METHODS["mutual"])
    assert build("time", CELLS, settings)[1][0] == "time method: ot (moscot 9)"
    monkeypatch.setattr(time_neighbors, "AUTO_PAIRS", 10)
    assert build("time", CELLS, settings)[1][0].startswith("time method: mutual (these time points")


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
        ("pseudotime", BuilderSettings(pseudotime_key="along", step=2.0), ValueError, "fraction"),
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
