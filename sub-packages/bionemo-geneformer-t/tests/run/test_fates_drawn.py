"""What `gft.tl` wrote is what the report draws; what is missing is refused or left out."""

import anndata
import numpy as np
import pandas as pd
import pytest
from two_forks import two_forks

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
from bionemo.geneformer_t.report.fate_section import fate_section
from bionemo.geneformer_t.run.fates import fates
from bionemo.geneformer_t.run.fates_drawn import BY_THIS, UNKNOWN, fate_results
from bionemo.geneformer_t.run.report import ReportSettings, _stored_fates


def test_everything_that_is_stored_is_drawn(tmp_path) -> None:
    cells = two_forks()
    cells.obs["fate_steps"] = np.arange(cells.n_obs, dtype=float)
    cells.uns["fates"] = {"params": {"cluster_key": "cluster", "transitions_key": "other"}}
    cells.obsp["other"] = cells.obsp.pop("T_geneformer_t")
    cells.uns["fate_drivers_params"] = {"notes": ["20 cells are the units"]}
    choices = gft.tl.compare_fates(
        cells, ["A", "B", "C"], cluster_key="cluster", transitions_key="other", min_cells=1
    )
    cells.write_h5ad(tmp_path / "fates.h5ad")
    found = _stored_fates(tmp_path / "fates.h5ad", None, "mine")
    assert found.fates.equals(cells.obsm["fates"])
    np.testing.assert_array_equal(found.coordinates, cells.obsm["X_umap"])
    assert list(found.cluster.categories) == [*cells.obs["cluster"].cat.categories]
    assert found.transitions.nnz == cells.obsp["other"].nnz
    np.testing.assert_array_equal(found.steps, cells.obs["fate_steps"])
    assert found.driver_notes == ["20 cells are the units"]
    section = fate_section(found)
    assert section["drivers"] is not None
    assert section["steps"] is not None
    assert section["table"] is not None
    pd.testing.assert_frame_equal(found.by_choice, choices)
    assert section["choices"] is not None


def test_fates_alone_are_enough() -> None:
    cells = two_forks()
    del cells.uns["fate_drivers"], cells.obsp["T_geneformer_t"], cells.obs["terminal_state"]
    found = fate_results(cells)
    assert found.cluster is found.transitions is found.drivers is found.terminal is found.steps
    assert fate_section(found)["maps"] is not None


def test_cells_without_an_embedding_get_one() -> None:
    cells = two_forks()
    del cells.obsm["X_umap"]
    cells.layers["counts"] = cells.X.copy()
    cells.X = -cells.X.astype(np.float32)  # what was read is the layer
    cells.uns["T_geneformer_t"] = {"params": {"layer": "counts"}}
    found = fate_results(cells)
    assert found.coordinates.shape == (cells.n_obs, 2)
    assert np.isfinite(found.coordinates).all()
    assert found.map_name == "UMAP"


def test_the_page_says_whose_transitions_fates_follow() -> None:
    cells = two_forks()
    assert fate_results(cells).notes == []
    assert fate_results(cells, model="mine").notes == [UNKNOWN]
    cells.uns["T_geneformer_t"] = {"model": "mine", "params": {}}
    assert fate_results(cells, model="mine").notes == [BY_THIS]
    assert BY_THIS in fate_section(fate_results(cells, model="mine"))["sentences"]
    with pytest.raises(ValueError, match=r"by another model than this checkpoint; give the chec"):
        fate_results(cells, model="yours")
    cells.uns["fates"] = {"model": "before", "params": {}}  # transitions were made again since
    with pytest.raises(ValueError, match=r"by another model than this checkpoint"):
        fate_results(cells, model="mine")
    assert fate_results(cells, model="before").notes == [BY_THIS]


def test_fates_keep_the_model_that_their_transitions_are_by(
    tiny_data_dir, untrained_checkpoint, tmp_path
) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")
    gft.tl.transitions(cells, untrained_checkpoint, num_successors=4)
    cells.obs["third"] = np.array(["one", "two", "start"])[np.arange(cells.n_obs) % 3]
    cells.write_h5ad(tmp_path / "going.h5ad")
    gft.tl.fates(cells, ["one", "two"], cluster_key="third")
    fates(
        input=tmp_path / "going.h5ad", output=tmp_path / "fates.h5ad", terminal=("one", "two"),
        cluster_key="third",
    )  # fmt: skip
    model = summarise_checkpoint(untrained_checkpoint).fingerprint
    assert cells.uns["fates"]["model"] == model
    assert anndata.read_h5ad(tmp_path / "fates.h5ad").uns["fates"]["model"] == model
    del cells.uns["T_geneformer_t"]  # a matrix of another tool
    gft.tl.fates(cells, ["one", "two"], cluster_key="third")
    assert cells.uns["fates"]["model"] == ""


def test_what_is_missing_is_named(tmp_path) -> None:
    cells = two_forks()
    with pytest.raises(KeyError, match="obs has no column 'kind'; it has: cluster"):
        fate_results(cells, "kind")
    cells.uns["fates_by_choice"] = pd.DataFrame({"choice": ["found"]})
    with pytest.raises(ValueError, match=r"the table of gft\.tl\.compare_fates; it has no other"):
        fate_results(cells)
    del cells.obsm["fates"]
    with pytest.raises(KeyError, match=r"run gft\.tl\.fates first"):
        fate_results(cells)
    with pytest.raises(FileNotFoundError, match="fates: expected an"):
        _stored_fates(tmp_path / "none.h5ad", None, "mine")
    assert ReportSettings(checkpoint=tmp_path, data_dir=tmp_path).fates is None
