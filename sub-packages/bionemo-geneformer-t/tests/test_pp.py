"""`gft.pp.next_cells` adds a graph and its parameters, and changes nothing else."""

import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.builders import build

RNG = np.random.default_rng(0)


def cells(counts: bool = True) -> anndata.AnnData:
    values = RNG.poisson(2, (60, 40)).astype(np.float32)
    return anndata.AnnData(
        sp.csr_matrix(values if counts else np.log1p(values)),
        obs=pd.DataFrame(
            {"day": np.repeat(["D0", "D2", "D5"], 20), "place": np.arange(60) / 60},
            index=[f"cell_{i}" for i in RNG.permutation(60)],
        ),
        obsm={"X_other": RNG.normal(size=(60, 4))},
    )


def test_the_graph_is_that_of_the_builder_and_nothing_else_changes() -> None:
    adata = cells()
    adata.obsm["X_pca"] = RNG.normal(size=(60, 5))
    before = adata.copy()
    result = gft.pp.next_cells(
        adata, method="time", time_key="day", time_method="mutual", num_neighbors=3
    )
    assert result is None
    graph, notes = build(
        "time",
        Cells(obs=before.obs, points=before.obsm["X_pca"]),
        BuilderSettings(time_key="day", time_method="mutual", num_neighbors=3),
    )
    assert (adata.obsp["next_cell_ids"] != graph.to_matrix()).nnz == 0
    assert adata.uns["next_cell_ids"]["connectivities_key"] == "next_cell_ids"
    assert adata.uns["next_cell_ids"]["params"]["time_key"] == "day"
    assert adata.uns["next_cell_ids"]["notes"].tolist() == notes
    assert (adata.X != before.X).nnz == 0
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.obsm) == set(before.obsm)


def test_without_coordinates_they_come_from_the_counts_on_the_side(tmp_path: Path) -> None:
    adata = cells()
    before = adata.X.copy()
    gft.pp.next_cells(adata, method="pseudotime", pseudotime_key="place", key_added="ahead")
    assert adata.uns["ahead"]["params"]["use_rep"] == "PCA of X"
    assert "X_pca" not in adata.obsm
    assert (before != adata.X).nnz == 0
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert (read.obsp["ahead"] != adata.obsp["ahead"]).nnz == 0
    assert read.uns["ahead"]["params"]["method"] == "pseudotime"


def test_a_copy_leaves_the_original_alone() -> None:
    adata = cells()
    copied = gft.pp.next_cells(adata, method="knn", use_rep="X_other", copy=True)
    assert "next_cell_ids" in copied.obsp
    assert not adata.obsp
    assert not adata.uns


def test_a_matrix_of_obsp_is_taken() -> None:
    adata = cells()
    adata.obsp["T_fwd"] = sp.csr_matrix(np.triu(RNG.random((60, 60))))
    gft.pp.next_cells(
        adata, method="precomputed", obsp_key="T_fwd", use_rep="X_other", num_neighbors=2
    )
    assert adata.obsp["next_cell_ids"].getnnz(axis=1).max() == 2


def test_a_velocity_graph_of_uns_is_taken_and_must_be_about_these_cells() -> None:
    adata = cells()
    cosines = np.triu(RNG.random((60, 60)), 1)
    adata.uns["velocity_graph"] = sp.csr_matrix(cosines)
    adata.uns["velocity_graph_neg"] = sp.csr_matrix(-cosines.T)
    how: dict = {"method": "precomputed", "obsp_key": "velocity_graph", "use_rep": "X_other"}
    gft.pp.next_cells(adata, **how, num_neighbors=2)
    strongest = np.sort(cosines, axis=1)[:, -2:]
    found = adata.obsp["next_cell_ids"].toarray()
    assert (found > 0).sum(axis=1).tolist() == [2] * 58 + [2, 0]
    row = found[0][found[0] > 0]
    ratio = np.exp(10 * (strongest[0, 1] - strongest[0, 0]))
    assert row.max() / row.min() == pytest.approx(ratio)
    with pytest.raises(ValueError, match="is 60 x 60, and the data hold 30 cells"):
        gft.pp.next_cells(adata[:30].copy(), **how)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_a_matrix_in_any_layout_keeps_its_direction_also_in_an_archive(
    layout: str, tmp_path: Path
) -> None:
    """SCDL takes a matrix by columns for one by rows, so what is written must be by rows."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

    from bionemo.geneformer_t.counts.scdl import neighbor_matrix

    ahead = np.triu(RNG.random((60, 60)) + 0.1, k=1).astype(np.float32)
    adata = cells()
    adata.obsp["T_fwd"] = ahead if layout == "dense" else sp.csr_matrix(ahead).asformat(layout)
    gft.pp.next_cells(
        adata, method="precomputed", obsp_key="T_fwd", use_rep="X_other", num_neighbors=2
    )
    written = adata.obsp["next_cell_ids"]
    assert written.format == "csr"
    assert (np.diff(written.indptr)[:-2] == 2).all()  # the last two have fewer ahead of them
    rows, columns = written.nonzero()
    assert (columns > rows).all()
    del adata.obsp["T_fwd"]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    SingleCellMemMapDataset(
        str(tmp_path / "scdl"), str(tmp_path / "cells.h5ad"), use_X_not_raw=True,
        load_neighbors=True,
    )  # fmt: skip
    archived = neighbor_matrix(tmp_path / "scdl")
    assert archived is not None
    np.testing.assert_allclose(archived.toarray(), written.toarray(), rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "arguments", "error", "message"),
    [
        (True, {"method": "nearest"}, ValueError, "one of knn, time"),
        (True, {"method": "knn", "neighbours": 3}, TypeError, "no setting neighbours; it has"),
        (True, {"method": "knn", "use_rep": "X_x"}, KeyError, "no array 'X_x'; it has: X_other"),
        (True, {"method": "knn", "layer": "raw"}, KeyError, "no layer 'raw'; the layers are: none"),
        (True, {"key_added": "a/b"}, ValueError, "key_added must be a name without a slash"),
        (True, {"method": "time"}, ValueError, "time_key must name a column"),
        (False, {"method": "knn"}, ValueError, "X holds no raw counts.*scanpy.pp.pca"),
    ],
)
def test_bad_arguments_are_refused(
    counts: bool, arguments: dict, error: type[Exception], message: str
) -> None:
    adata = cells(counts=counts)
    with pytest.raises(error, match=message):
        gft.pp.next_cells(adata, **arguments)
    assert not adata.obsp


@pytest.mark.slow
def test_the_package_alone_imports_nothing_heavy() -> None:
    code = (
        "import sys, bionemo.geneformer_t as g; "
        "print('scanpy' in sys.modules or 'torch' in sys.modules, callable(g.pp.next_cells))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("time", {"time_key": "day", "time_method": "mutual", "num_neighbors": 3}),
        ("pseudotime", {"pseudotime_key": "place"}),
        ("knn", {}),
    ],
)
def test_backed_cells_get_the_graph_of_cells_in_memory(tmp_path, layout, method, settings) -> None:
    adata = cells()
    adata.X = {"csr": adata.X, "csc": adata.X.tocsc(), "dense": adata.X.toarray()}[layout]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    gft.pp.next_cells(adata, method=method, **settings)
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    gft.pp.next_cells(backed, method=method, **settings)
    difference = backed.obsp["next_cell_ids"] - adata.obsp["next_cell_ids"]
    assert abs(difference).sum() < 1e-4  # sums of float32 in the order of the layout
    assert (tmp_path / "cells.h5ad").read_bytes() == before
    with pytest.raises(ValueError, match="copy=True needs a file"):
        gft.pp.next_cells(backed, method=method, copy=True, **settings)
    backed.file.close()


def test_some_of_the_cells_of_a_backed_object_are_refused_or_served(tmp_path) -> None:
    adata = cells()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    some = backed[10:50].to_memory()
    gft.pp.next_cells(some, method="knn")
    assert some.obsp["next_cell_ids"].shape == (40, 40)
    backed.file.close()


def test_without_counts_or_coordinates_there_is_nothing_to_go_by() -> None:
    adata = cells()
    adata.X = None
    with pytest.raises(ValueError, match=r"the cells have no X; .* layer='NAME' or use_raw=True"):
        gft.pp.next_cells(adata, method="knn")


@pytest.mark.parametrize("dtype", ["f2", ">f4", ">i4"])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("is_backed", [False, True])
def test_counts_in_any_type_of_number_give_the_same_graph(
    tmp_path: Path, dtype: str, layout: str, is_backed: bool
) -> None:
    adata = cells()
    gft.pp.next_cells(adata, method="knn")
    expected = adata.obsp.pop("next_cell_ids")
    counts = adata.X.toarray().astype(dtype) if layout == "dense" else adata.X.asformat(layout)
    if layout != "dense":
        counts.data = counts.data.astype(dtype)
    adata.X = counts
    if is_backed:
        adata.write_h5ad(tmp_path / "cells.h5ad")
        adata = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    gft.pp.next_cells(adata, method="knn")
    assert abs(adata.obsp["next_cell_ids"] - expected).sum() < 1e-4


@pytest.mark.parametrize("dtype", ["f2", ">f4", ">f8"])
def test_a_graph_and_coordinates_in_any_type_of_number_are_taken(dtype: str) -> None:
    adata = cells()
    weights = sp.csr_matrix(np.triu(RNG.integers(1, 9, (60, 60)) / 8, 1))
    adata.obsp["exact"] = weights.copy()
    weights.data = weights.data.astype(dtype)
    adata.obsp["T_fwd"] = weights
    adata.obsm["X_pca"] = RNG.normal(size=(60, 3)).astype(dtype)
    for key in ("exact", "T_fwd"):
        gft.pp.next_cells(adata, method="precomputed", obsp_key=key, key_added=f"{key}_next")
    assert (adata.obsp["exact_next"] != adata.obsp["T_fwd_next"]).nnz == 0


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("f4", np.inf, "X holds no raw counts"),
        ("f4", np.nan, "X holds no raw counts"),
        ("f2", 70000, "X: counts must be finite"),  # beyond the largest 16-bit float
        ("f2", 4097, "a count of 4096 is beyond 2,048"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_counts_that_are_no_numbers_are_refused(dtype: str, value: float, message: str) -> None:
    adata = cells()
    values = adata.X.toarray()
    values[0, 0] = value
    adata.X = values.astype(dtype)
    with pytest.raises(ValueError, match=message):
        gft.pp.next_cells(adata, method="knn")


def elsewhere(place: str) -> tuple[anndata.AnnData, dict[str, object]]:
    """Cells whose counts are in a layer or in raw, with other values in X, and how to say so."""
    adata = cells()
    log = adata.X.copy()
    log.data = np.log1p(log.data)
    if place == "layer":
        adata.layers["counts"], adata.X = adata.X, log
        return adata, {"layer": "counts"}
    adata.raw = adata.copy()
    adata.X = log
    return adata, {"use_raw": True}


@pytest.mark.parametrize("place", ["layer", "raw"])
def test_counts_are_taken_from_where_they_are(place: str) -> None:
    adata, choice = elsewhere(place)
    counts = adata.layers["counts"] if place == "layer" else adata.raw.X
    plain = anndata.AnnData(counts.copy(), obs=adata.obs)
    gft.pp.next_cells(adata, method="knn", **choice)
    gft.pp.next_cells(plain, method="knn")
    assert (adata.obsp["next_cell_ids"] != plain.obsp["next_cell_ids"]).nnz == 0
    source = {"layer": "layers['counts']", "raw": "raw.X"}[place]
    assert adata.uns["next_cell_ids"]["params"]["use_rep"] == f"PCA of {source}"
    del adata.obsp["next_cell_ids"]
    with pytest.raises(ValueError, match="not both; got layer='counts' and use_raw=True"):
        gft.pp.next_cells(adata, method="knn", layer="counts", use_raw=True)


def test_numbers_stored_as_objects_are_counts_and_text_is_refused() -> None:
    adata = cells()
    gft.pp.next_cells(adata, method="knn")
    other = cells()
    other.X = adata.X.toarray().astype(object)
    gft.pp.next_cells(other, method="knn")
    assert abs(adata.obsp["next_cell_ids"] - other.obsp["next_cell_ids"]).sum() < 1e-4
    other.X[0, 0] = "many"
    with pytest.raises(ValueError, match=r"adata\.X: expected numbers; could not convert string"):
        gft.pp.next_cells(other, method="knn")


def test_what_is_no_gene_has_no_influence_as_in_prediction_and_embedding() -> None:
    adata = cells()
    genes = adata.copy()
    gft.pp.next_cells(genes, method="knn")
    antibodies = anndata.AnnData(sp.csr_matrix(RNG.poisson(900, (60, 5)).astype(np.float32)))
    both = anndata.AnnData(
        sp.csr_matrix(sp.hstack([adata.X, antibodies.X])),
        obs=adata.obs,
        var=pd.DataFrame(
            {"feature_types": ["Gene Expression"] * 40 + ["Antibody Capture"] * 5},
            index=[f"g{i}" for i in range(45)],
        ),
    )
    gft.pp.next_cells(both, method="knn")
    assert abs(both.obsp["next_cell_ids"] - genes.obsp["next_cell_ids"]).sum() < 1e-4


@pytest.mark.parametrize("counts", [True, False])
def test_expression_for_cytotrace_is_log_normalised_once(
    monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    seen = []

    def stopped(_method: str, given: Cells, _settings: BuilderSettings) -> None:
        seen.append(given.expression.toarray())
        raise InterruptedError

    monkeypatch.setattr("bionemo.geneformer_t.pp.build", stopped)
    adata = cells(counts=counts)
    adata.obsm["X_pca"] = RNG.normal(size=(60, 3))
    with pytest.raises(InterruptedError):
        gft.pp.next_cells(adata, method="trajectory", trajectory_method="cytotrace_kernel")
    values = adata.X.toarray()
    scaled = np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4) if counts else values
    np.testing.assert_allclose(seen[0], scaled, rtol=1e-5)
