"""Along successors, markers change as biology says.

Expression is log(1 + counts per 10,000). A margin is an eighth or more of what the marker has where
it is high, and several standard errors of the mean; graphs without a direction, or with the wrong
one, stay within it.
"""

from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.builders import build
from bionemo.geneformer_t.neighbors.expression_pca import expression_pca
from bionemo.geneformer_t.neighbors.forward_window import forward_neighbors
from bionemo.geneformer_t.neighbors.optional_packages import install_command, is_installed
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import pseudotime_of

needs_moscot = pytest.mark.skipif(not is_installed("moscot"), reason=install_command("moscot"))
needs_cellrank = pytest.mark.skipif(
    not is_installed("cellrank"), reason=install_command("cellrank")
)


@cache
def read(path: Path) -> tuple[Cells, dict[str, int]]:
    data = anndata.read_h5ad(path)
    counts = sp.csr_matrix(data.X, dtype=np.float32)
    logs = counts.multiply(1e4 / counts.sum(axis=1)).tocsr().log1p()
    points = expression_pca(counts, np.ones(data.n_obs, dtype=bool))
    columns = {gene: column for column, gene in enumerate(data.var_names)}
    return Cells(obs=data.obs, points=points, expression=logs), columns


@cache
def built(path: Path, method: str, settings: BuilderSettings) -> NeighborGraph:
    cells, _ = read(path)
    if method != "backwards":
        return build(method, cells, settings)[0]
    pseudotime, _ = pseudotime_of(cells, settings)
    return forward_neighbors(cells.points, -pseudotime, step=0.1, num_neighbors=5)[0]


def change(
    path: Path, gene: str, method: str, settings: BuilderSettings, among: list[str] | None = None
) -> float:
    """Mean over cells with successors of the successors' mean expression less the cell's own."""
    cells, columns = read(path)
    graph = built(path, method, settings)
    weights = graph.to_matrix()
    chosen = has_label(cells, among) & (graph.out_degree > 0)
    expression = cells.expression[:, columns[gene]].toarray().ravel()
    ahead = (weights @ expression)[chosen] / np.asarray(weights.sum(axis=1)).ravel()[chosen]
    return float((ahead - expression[chosen]).mean())


def has_label(cells: Cells, among: list[str] | None) -> Bool[ndarray, " cell"]:
    if among is None:
        return np.ones(cells.num_cells, dtype=bool)
    return cells.obs["cell_type"].isin(among).to_numpy()


@pytest.mark.parametrize(
    "time_method", ["mutual", pytest.param("ot", marks=[needs_moscot, pytest.mark.slow])]
)
def test_stem_cells_become_cardiomyocytes_in_time(real_data: Path, time_method: str) -> None:
    path = real_data / "ipsc_cm_human.h5ad"
    settings = BuilderSettings(time_key="day", time_method=time_method)
    assert change(path, "POU5F1", "time", settings) < -0.05
    assert change(path, "TNNT2", "time", settings) > 0.5
    assert abs(change(path, "TNNT2", "knn", settings)) < 0.25


@pytest.mark.parametrize(
    "time_method", ["mutual", pytest.param("ot", marks=[needs_moscot, pytest.mark.slow])]
)
def test_progenitors_become_neurons_in_the_order_of_types(
    real_data: Path, time_method: str
) -> None:
    path = real_data / "fetal_neocortex_human.h5ad"
    order = ("AP1", "AP2", "BP1", "BP2", "N1", "N2", "N3")
    settings = BuilderSettings(time_key="cell_type", time_order=order, time_method=time_method)
    assert change(path, "SOX2", "time", settings) < -0.03
    assert change(path, "PAX6", "time", settings) < -0.1
    # NEUROD6 is highest in N1 and N2 (3.4 and 3.5) and lower in N3 (2.8): it rises until there
    progenitors = ["AP1", "AP2", "BP1", "BP2"]
    assert change(path, "NEUROD6", "time", settings, progenitors) > 0.4


@pytest.mark.parametrize("method", ["pseudotime", "trajectory"])
def test_progenitors_become_neurons_in_diffusion_pseudotime(real_data: Path, method: str) -> None:
    path = real_data / "fetal_neocortex_human.h5ad"
    settings = BuilderSettings(root="AP1", cluster_key="cell_type")
    assert change(path, "SOX2", method, settings) < -0.03
    assert change(path, "PAX6", method, settings) < -0.15
    assert change(path, "NEUROD6", method, settings) > 0.15
    # three quarters of the cells are neurons, so any neighbors show some of this
    assert (
        change(path, "PAX6", "backwards", settings) > change(path, "PAX6", method, settings) + 0.15
    )
    gained = change(path, "NEUROD6", method, settings)
    assert change(path, "NEUROD6", "backwards", settings) < gained - 0.05


@pytest.mark.parametrize("method", ["pseudotime", "trajectory"])
@pytest.mark.slow
def test_ducts_become_endocrine_cells_in_diffusion_pseudotime(real_data: Path, method: str) -> None:
    path = real_data / "pancreas_e15_mouse.h5ad"
    settings = BuilderSettings(root="Ductal", cluster_key="cluster")
    assert change(path, "Ins2", method, settings) > 0.1
    assert change(path, "Gcg", method, settings) > 0.03
    assert abs(change(path, "Ins2", "knn", settings)) < 0.1
    assert change(path, "Ins2", "backwards", settings) < -0.1


@needs_cellrank
def test_ducts_become_endocrine_cells_by_the_pseudotime_kernel(real_data: Path) -> None:
    path = real_data / "pancreas_e15_mouse.h5ad"
    settings = BuilderSettings(
        root="Ductal", cluster_key="cluster", trajectory_method="pseudotime_kernel"
    )
    assert change(path, "Ins2", "trajectory", settings) > 0.03
    assert change(path, "Gcg", "trajectory", settings) > 0.03


def test_pseudotime_as_text_is_read_and_followed(real_data: Path) -> None:
    data = anndata.read_h5ad(real_data / "erythroid_mouse_lognorm.h5ad")
    rng = np.random.default_rng(0)
    points: Float[ndarray, "cell component"] = np.asarray(
        sp.csr_matrix(data.X) @ rng.normal(size=(data.n_vars, 20))
    )
    graph, notes = build(
        "pseudotime", Cells(obs=data.obs, points=points), BuilderSettings(pseudotime_key="ptime")
    )
    times = data.obs["ptime"].astype(str).astype(float).to_numpy()
    rows = np.repeat(np.arange(data.n_obs), graph.out_degree)
    assert (times[graph.indices] > times[rows]).all()
    assert (graph.out_degree > 0).mean() > 0.9
    assert not any("no finite pseudotime" in note for note in notes)
