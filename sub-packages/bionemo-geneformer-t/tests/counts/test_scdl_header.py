"""An archive is read as its files are, or refused; its header may be out of date."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts.scdl_header import check_type
from bionemo.geneformer_t.data.cell_store import CellStore

WriteSplit = Callable[..., Path]


@pytest.fixture
def new_archive(write_split: WriteSplit, tmp_path: Path) -> Callable[..., SingleCellMemMapDataset]:
    """A function that writes counts as an archive of a type."""

    def write(name: str, counts: Int[ndarray, "cell gene"], dtype: str) -> SingleCellMemMapDataset:
        h5ad = write_split(counts, folder=f"{name}_split") / "data.h5ad"
        path = str(tmp_path / name)
        return SingleCellMemMapDataset(path, str(h5ad), use_X_not_raw=True, data_dtype=dtype)

    return write


def reopened(archive: SingleCellMemMapDataset) -> SingleCellMemMapDataset:
    return SingleCellMemMapDataset(archive.data_path)


def to_dense(archive: SingleCellMemMapDataset) -> Int[ndarray, "cell gene"]:
    store = CellStore.open(Path(archive.data_path))
    dense = np.zeros((len(store), 4), dtype=np.int64)
    for cell in range(len(store)):
        values, columns = store.row(cell)
        dense[cell, columns] = values
    return dense


TYPES = ["uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("written", TYPES)
def test_counts_of_every_type_come_back(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], written: str
) -> None:
    np.testing.assert_array_equal(to_dense(new_archive("archive", counts, written)), counts)


@pytest.mark.parametrize("cast", TYPES)
@pytest.mark.parametrize("written", ["uint8", "uint16", "uint32", "float16", "float64"])
def test_what_was_cast_after_reopening_is_refused_unless_it_reads_the_same(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], written: str, cast: str
) -> None:
    archive = reopened(new_archive("archive", counts, written))
    archive.cast_data_to_dtype(cast)
    if cast == written:
        np.testing.assert_array_equal(to_dense(archive), counts)
        return
    with pytest.raises(ValueError, match=r"archive.* header .*: bionemo|header .*bionemo-scdl"):
        to_dense(archive)


@pytest.mark.parametrize(
    ("written", "cast"), [("uint16", "float16"), ("float16", "uint16"), ("uint8", "float32")]
)
def test_what_was_cast_without_the_old_header_is_read(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], written: str, cast: str
) -> None:
    """The way out that the error names."""
    archive = reopened(new_archive("archive", counts, written))
    archive.header = None
    archive.cast_data_to_dtype(cast)
    np.testing.assert_array_equal(to_dense(archive), counts)


def test_what_was_joined_after_reopening_is_read_where_types_stayed(
    new_archive: Callable[..., Any],
    counts: Int[ndarray, "cell gene"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    archive = reopened(new_archive("archive", counts, "uint16"))
    other = new_archive("other", counts[:3] * 1000, "uint16")
    archive.concat(other)
    with pytest.raises(ValueError, match="ids must be unique"):  # both name c0, c1, c2
        to_dense(archive)
    assert "the header has the lengths from before archives were joined" in caplog.text


@pytest.mark.parametrize(
    "dtypes", [("uint8", "uint16"), ("uint8", "uint32"), ("float16", "float32")]
)
def test_what_was_joined_after_reopening_is_refused_where_types_changed(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], dtypes: tuple[str, str]
) -> None:
    archive = reopened(new_archive("archive", counts, dtypes[0]))
    archive.concat(new_archive("other", counts * 20, dtypes[1]))
    with pytest.raises(ValueError, match=r"damaged SCDL archive.* tells of other lengths: bionemo"):
        to_dense(archive)


def test_rows_that_need_a_wider_type_after_joining_are_noticed(
    new_archive: Callable[..., Any],
) -> None:
    counts = np.full((40, 4), 2)
    archive = reopened(new_archive("archive", counts, "uint16"))
    archive.concat(new_archive("other", counts, "uint16"))  # 320 values: row_ptr is 16-bit now
    with pytest.raises(ValueError, match="damaged SCDL archive"):
        to_dense(archive)


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (np.array([1, 2, 65_504], dtype=np.float16), np.uint16),
        (np.array([0, 1, 2048], dtype=np.float32), np.uint32),
        (np.array([1, 3], dtype=np.float64), np.uint64),
        (np.array([0, 1, 65_535], dtype=np.uint16), np.float16),
        (np.array([7], dtype=np.uint32), np.float32),
        (np.array([1, 0, 2], dtype=np.uint64), np.float64),
    ],
)
def test_bits_of_the_other_type_are_told_from_counts(values: ndarray, read: type) -> None:
    check_type(values, Path("archive"))
    with pytest.raises(ValueError, match=f"says that counts are {np.dtype(read).name}, but their"):
        check_type(values.view(read), Path("archive"))


@pytest.mark.parametrize(
    "values", [[15_360, 15_361, 1], [20_000, 40_001], [65_535], [0], []], ids=str
)
def test_large_counts_are_counts(values: list[int]) -> None:
    check_type(np.array(values, dtype=np.uint16), Path("archive"))


@pytest.mark.parametrize("content", [b"", b"SCDL", bytes(100), b"\xff" * 100])
def test_a_damaged_header_is_named(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], content: bytes
) -> None:
    archive = Path(new_archive("archive", counts, "uint16").data_path)
    (archive / "header.sch").write_bytes(content)
    with pytest.raises(ValueError, match=r"header\.sch is damaged"):
        CellStore.open(archive)


@pytest.mark.parametrize("damage", ["the folder", "its tables"])
def test_cells_that_lost_their_names_are_refused(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], damage: str
) -> None:
    archive = Path(new_archive("archive", counts, "uint16").data_path)
    if damage == "the folder":
        shutil.rmtree(archive / "obs_features")
    else:
        for table in (archive / "obs_features").glob("*.parquet"):
            table.unlink()
    with pytest.raises(ValueError, match="lost obs_features, which named 5 cells by its header"):
        CellStore.open(archive)


@pytest.mark.parametrize("name", ["obs_features", "var_features"])
@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(100)])
def test_a_damaged_table_is_named(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"], name: str, content: bytes
) -> None:
    archive = Path(new_archive("archive", counts, "uint16").data_path)
    (archive / name / "dataframe_0.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}/dataframe_0\.parquet is damaged"):
        CellStore.open(archive)


def test_rows_that_overlap_are_refused(
    new_archive: Callable[..., Any], counts: Int[ndarray, "cell gene"]
) -> None:
    archive = Path(new_archive("archive", counts, "uint16").data_path)
    rows = np.fromfile(archive / "row_ptr.npy", dtype=np.uint8)
    rows[1:3] = rows[2:0:-1]
    rows.tofile(archive / "row_ptr.npy")
    with pytest.raises(ValueError, match="its rows overlap"):
        CellStore.open(archive)
