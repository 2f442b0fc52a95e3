"""Copies of .h5ad files in which some entries are replaced keep all others, of any age of file."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy

TYPES = pd.Categorical(["b", "a", "b", None], categories=["b", "a", "rare"], ordered=True)


@pytest.fixture
def old_file(tmp_path):
    """As anndata 0.7 wrote it: codes of a column, and a reference that leads to its levels."""
    cells = anndata.AnnData(
        np.eye(4, 3), obs=pd.DataFrame({"number": np.arange(4)}, index=list("wxyz"))
    )
    cells.obsm["X_pca"] = np.ones((4, 2))
    path = tmp_path / "old.h5ad"
    cells.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        obs.create_dataset("type", data=TYPES.codes)
        levels = obs.create_dataset(
            "__categories/type", data=TYPES.categories.tolist(), dtype=h5py.string_dtype()
        )
        levels.attrs["ordered"] = True
        obs["type"].attrs["categories"] = levels.ref
        obs.attrs["column-order"] = np.array(["number", "type"], dtype=object)
        obs.attrs["encoding-version"] = "0.1.0"
        for name in ("number", "_index"):
            for attribute in list(obs[name].attrs):
                del obs[name].attrs[attribute]
    return path


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
@pytest.mark.parametrize("in_place", [False, True])
def test_levels_that_a_reference_leads_to_are_kept(old_file, tmp_path, in_place):
    before = anndata.read_h5ad(old_file)
    assert before.obs["type"].tolist()[:3] == ["b", "a", "b"]
    target = old_file if in_place else tmp_path / "new.h5ad"
    with updated_copy(old_file, target, {"obsm": ("X_pca",), "uns": ()}) as file:
        add_value(file, "obsm", "X_pca", np.zeros((4, 2)))
    after = anndata.read_h5ad(target)
    pd.testing.assert_frame_equal(after.obs, before.obs)
    assert after.obs["type"].dtype == TYPES.dtype
    assert not after.obsm["X_pca"].any()
    with h5py.File(target) as file:
        assert set(file["obs"]) == {"__categories", "_index", "number", "type"}
        levels = file[file["obs/type"].attrs["categories"]]
        assert levels == file["obs/__categories/type"]
