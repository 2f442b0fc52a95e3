"""A data frame reads the same whoever wrote it: levels, never their codes."""

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from bionemo.geneformer_t.counts.data_frames import read_frame, read_index

TEXT = h5py.string_dtype()
DAYS = pd.Categorical(["D10", "D0", "D2", None], categories=["D0", "D10", "D2"])
CELLS = ["a", "b", "c", "d"]
TOTALS = [4.0, 3.0, 2.0, 1.0]


def text(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=TEXT)


def by_anndata(file: h5py.File) -> None:
    frame = pd.DataFrame({"day": DAYS, "total": TOTALS}, index=CELLS)
    anndata.io.write_elem(file, "obs", frame)


def by_anndata_7(file: h5py.File) -> None:
    """Codes whose attribute leads to the levels."""
    by_seurat_disk(file)
    file["obs/day"].attrs["categories"] = file["obs/__categories/day"].ref


def by_seurat_disk(file: h5py.File) -> None:
    by_nobody(file)
    file["obs"].attrs.update({"_index": "_index", "encoding-type": "dataframe"})
    file["obs"].attrs.update({"encoding-version": "0.1.0", "column-order": text(["day", "total"])})


def by_nobody(file: h5py.File) -> None:
    """Neither an encoding nor an order of columns nor the name of the index."""
    file["obs/_index"], file["obs/day"] = text(CELLS), DAYS.codes.astype("i4")
    file["obs/total"] = np.array(TOTALS, dtype=">f8")
    file["obs/__categories/day"] = text(DAYS.categories)


def in_groups(file: h5py.File) -> None:
    """Categoricals as groups that do not say so."""
    by_nobody(file)
    del file["obs/day"], file["obs/__categories"]
    file["obs/day/codes"], file["obs/day/categories"] = DAYS.codes, text(DAYS.categories)


def by_anndata_6(file: h5py.File) -> None:
    """An array of records, levels in uns."""
    records = np.zeros(4, dtype=[("index", "S1"), ("day", "i1"), ("total", "f4")])
    records["index"], records["day"], records["total"] = CELLS, DAYS.codes, TOTALS
    file["obs"], file["uns/day_categories"] = records, text(DAYS.categories)


WRITERS = [by_anndata, by_anndata_7, by_seurat_disk, by_nobody, in_groups, by_anndata_6]


@pytest.mark.parametrize("write", WRITERS)
def test_levels_come_back_whoever_wrote_them(tmp_path: Path, write: Any) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        write(file)
        frame = read_frame(file, "obs", "a.h5ad")
        assert read_index(file, "obs", "a.h5ad") == tuple(CELLS)
    assert frame.index.tolist() == CELLS
    assert frame.index.name is None
    assert sorted(frame) == ["day", "total"]
    assert frame["day"].astype(object).where(frame["day"].notna(), None).tolist() == [
        *DAYS[:3],
        None,
    ]
    assert frame["total"].tolist() == TOTALS
    frame["total"].to_numpy().sum()
    anndata.AnnData(obs=frame).write_h5ad(tmp_path / "again.h5ad")


@pytest.mark.filterwarnings("ignore:.*[zZ]arr")
def test_zarr_of_anndata_7_names_its_levels_by_path(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    obs = group.create_group("obs")
    obs.create_array("_index", data=np.array(CELLS))
    obs.create_array("day", data=DAYS.codes.astype("i4"))
    obs.create_array("__categories/day", data=np.array(DAYS.categories.tolist()))
    obs.attrs.update({"_index": "_index", "column-order": ["day"], "encoding-type": "dataframe"})
    obs["day"].attrs["categories"] = "__categories/day"
    frame = read_frame(group, "obs", "a.zarr")
    assert frame["day"].tolist()[:3] == ["D10", "D0", "D2"]
    assert frame.index.tolist() == CELLS


def test_a_name_that_index_and_column_share_is_the_columns(tmp_path: Path) -> None:
    index = pd.Index(CELLS, name="barcode")
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        anndata.io.write_elem(file, "obs", pd.DataFrame({"barcode": CELLS}, index=index))
        frame = read_frame(file, "obs", "a.h5ad")
    assert frame.index.name is None
    assert frame.index.tolist() == CELLS


def codes_beyond(file: h5py.File) -> None:
    by_seurat_disk(file)
    file["obs/day"][0] = 3


def lost_levels(file: h5py.File) -> None:
    by_seurat_disk(file)
    file["obs/day"].attrs["categories"] = "elsewhere/day"


def without_a_column(file: h5py.File) -> None:
    by_seurat_disk(file)
    del file["obs/total"]


def of_unequal_length(file: h5py.File) -> None:
    by_nobody(file)
    del file["obs/total"]
    file["obs/total"] = [1.0, 2.0]


def two_values_a_row(file: h5py.File) -> None:
    by_nobody(file)
    file["obs/pair"] = np.zeros((4, 2))


def without_an_index(file: h5py.File) -> None:
    by_nobody(file)
    del file["obs/_index"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (codes_beyond, r"'day' of obs holds codes of 3 levels \(D0, D10, D2\).* are -1 to 3"),
        (lost_levels, "holds codes, and their levels 'elsewhere/day' are not there"),
        (without_a_column, "'total' of obs is announced and not there"),
        (of_unequal_length, "'total' of obs has 2 values, its index 4"),
        (two_values_a_row, "'pair' of obs holds no single value for each row"),
        (without_an_index, "obs names no index"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_way_out(
    tmp_path: Path, change: Any, message: str
) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        change(file)
        with pytest.raises(ValueError, match=rf"^a\.h5ad.*{message}.*write it"):
            read_frame(file, "obs", "a.h5ad")


def enumerated(file: h5py.File) -> None:
    """A factor as hdf5r writes it: an enumeration."""
    by_nobody(file)
    del file["obs/day"], file["obs/__categories"]
    kind = h5py.enum_dtype({"D10": 1, "D0": 2, "D2": 3}, basetype="i1")
    file["obs"].create_dataset("day", data=np.array([1, 2, 3, 2], dtype="i1"), dtype=kind)
    file["obs"].create_dataset("dead", data=np.array([True, False, False, True]))


def enumerated_records(file: h5py.File) -> None:
    kind = h5py.enum_dtype({"D10": 1, "D0": 2, "D2": 3}, basetype="i1")
    records = np.zeros(4, dtype=[("index", "S1"), ("day", kind), ("dead", "?")])
    records["index"], records["day"], records["dead"] = CELLS, [1, 2, 3, 2], [1, 0, 0, 1]
    file["obs"] = records


@pytest.mark.parametrize("write", [enumerated, enumerated_records])
def test_numbers_of_an_enumeration_are_its_names(tmp_path: Path, write: Any) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        write(file)
        frame = read_frame(file, "obs", "a.h5ad")
    assert frame["day"].tolist() == ["D10", "D0", "D2", "D0"]
    assert frame["dead"].astype(bool).tolist() == [True, False, False, True]


def of_a_newer_version(file: h5py.File) -> None:
    by_anndata(file)
    file["obs/total"].attrs["encoding-version"] = "9.0.0"


def of_another_tool(file: h5py.File) -> None:
    by_anndata(file)
    file["obs/total"].attrs["encoding-type"] = "polars-series"


def levels_of_another_tool(file: h5py.File) -> None:
    by_anndata(file)
    file["obs/day/categories"].attrs["encoding-type"] = "polars-series"


def encoded_codes_beyond(file: h5py.File) -> None:
    by_anndata(file)
    file["obs/day/codes"][0] = 7


def encoded_without_levels(file: h5py.File) -> None:
    by_anndata(file)
    del file["obs/day/categories"]


def a_matrix(file: h5py.File) -> None:
    by_anndata(file)
    del file["obs/total"]
    anndata.io.write_elem(file["obs"], "total", sp.csr_matrix(np.eye(4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            of_a_newer_version,
            "'total' of obs has an encoding that the installed anndata .* newer one",
        ),
        (of_another_tool, "'total' of obs has an encoding.*'polars-series'.* take the column out"),
        (levels_of_another_tool, "'day' of obs has an encoding.*'polars-series'"),
        (encoded_codes_beyond, r"'day' of obs is damaged \(codes need to be.*write it again"),
        (encoded_without_levels, "'day' of obs is damaged .*categories.*write it again"),
        (a_matrix, "'total' of obs holds no single value for each row.*write it again"),
    ],
)
def test_what_anndata_cannot_decode_is_named_with_file_column_and_way_out(
    tmp_path: Path, change: Any, message: str
) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        change(file)
        with pytest.raises(ValueError, match=rf"^a\.h5ad: column {message}"):
            read_frame(file, "obs", "a.h5ad")
