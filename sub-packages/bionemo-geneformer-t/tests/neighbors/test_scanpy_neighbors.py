"""scanpy's graph is the same whoever searches, whatever the number of cells and threads."""

import anndata
import numpy as np
import pytest
import scanpy as sc

from bionemo.geneformer_t.neighbors import nearest
from bionemo.geneformer_t.neighbors.cellrank_kernels import _cells
from bionemo.geneformer_t.neighbors.scanpy_neighbors import scanpy_neighbors

pytestmark = pytest.mark.slow  # umap-learn and pynndescent compile
RNG = np.random.default_rng(0)


def cells_of(points: np.ndarray) -> anndata.AnnData:
    return anndata.AnnData(obsm={"points": points.astype(np.float32)})


def test_it_is_the_graph_that_scanpy_finds_itself_among_few_cells() -> None:
    ours, theirs = (cells_of(RNG.normal(size=(200, 20))) for _ in range(2))
    theirs.obsm["points"] = ours.obsm["points"]
    scanpy_neighbors(ours, "points", 15)
    sc.pp.neighbors(theirs, use_rep="points", n_neighbors=15, random_state=0)
    for key in ("distances", "connectivities"):
        assert abs(ours.obsp[key] - theirs.obsp[key]).max() < 1e-6
        assert ours.obsp[key].nnz == theirs.obsp[key].nnz
    assert ours.uns["neighbors"] == theirs.uns["neighbors"]


def test_copies_of_a_cell_are_neighbors_and_nobody_is_its_own() -> None:
    points = RNG.normal(size=(60, 4))
    points[:20] = points[20:40]
    cells = cells_of(points)
    scanpy_neighbors(cells, "points", 10)
    distances = cells.obsp["distances"]
    assert not (distances.indices.reshape(60, 9) == np.arange(60)[:, None]).any()
    assert (np.diff(distances.data.reshape(60, 9), axis=1) >= 0).all()
    assert (abs(cells.obsp["connectivities"] - cells.obsp["connectivities"].T)).max() < 1e-6


@pytest.mark.parametrize("num_cells", [2, 8200])
def test_two_cells_and_more_than_scanpy_searches_itself(num_cells: int) -> None:
    """Kernels of CellRank begin here; from 8,192 cells on scanpy would call pynndescent."""
    points = RNG.normal(size=(num_cells, 2))
    cells = _cells(points)
    num = min(30, num_cells)
    assert cells.obsp["distances"].getnnz(axis=1).tolist() == [num - 1] * num_cells
    assert cells.obsp["connectivities"].shape == (num_cells, num_cells)
    if num_cells > 2:
        found = cells.obsp["distances"][5].indices
        expected = np.argsort(((points - points[5]) ** 2).sum(axis=1))[1:30]
        assert sorted(found.tolist()) == sorted(expected.tolist())


def test_the_index_serves_scanpy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    points = RNG.normal(size=(600, 3))
    exact, indexed = cells_of(points), cells_of(points)
    scanpy_neighbors(exact, "points", 10)
    monkeypatch.setattr(nearest, "EXACT_PAIRS", 0)
    scanpy_neighbors(indexed, "points", 10)
    both = exact.obsp["distances"].multiply(indexed.obsp["distances"] > 0)
    assert both.nnz > 0.95 * exact.obsp["distances"].nnz
