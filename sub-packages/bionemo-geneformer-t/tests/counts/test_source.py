"""A file of counts that does not hold together is refused by what is wrong with it."""

import h5py
import numpy as np
import pytest

from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.source import check_cell_ids


def without(name):
    def change(file):
        del file[name]

    return change


def of_another_shape(file):
    del file["X"]
    file["X"] = np.ones((3, 2), dtype=np.float32)


def without_an_index(file):
    del file["obs"].attrs["_index"], file["obs"]["_index"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("X"), "holds no X; expected raw counts in X"),
        (without("obs"), "holds no obs"),
        (without("var"), "holds no var"),
        (of_another_shape, r"X has shape \(3, 2\), but obs and var name 5 cells and 4 genes"),
        (without_an_index, "obs names no index; read the file and write it again with a current"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(write_split, change, message):
    path = write_split() / "data.h5ad"
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ValueError, match=message) as refusal, h5ad_source(path):
        pass
    assert "data.h5ad" in str(refusal.value)


def test_an_error_of_the_system_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), h5ad_source(tmp_path / "none.h5ad"):
        pass


def test_a_split_without_cells_is_refused():
    with pytest.raises(ValueError, match=r"data\.h5ad holds no cells"):
        check_cell_ids((), "data.h5ad")
