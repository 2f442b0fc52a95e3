import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts import stored_matrix
from bionemo.geneformer_t.counts.scdl import Survey
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.data import cell_store as store_module
from bionemo.geneformer_t.data.cell_store import CellStore

WriteSplit = Callable[..., Path]


def to_dense(store: CellStore, num_genes: int = 4) -> Int[ndarray, "cell gene"]:
    dense = np.zeros((store.num_cells, num_genes), dtype=np.int64)
    for cell in range(store.num_cells):
        values, columns = store.row(cell)
        assert (np.diff(columns.astype(int)) > 0).all()
        assert (values > 0).all()
        dense[cell, columns] = values
    return dense


def with_zeros_and_duplicates(counts: Int[ndarray, "cell gene"]) -> sp.csr_matrix:
    """Each count as its columns in reverse, with a zero stored and the first value in two parts."""
    rows, columns = np.indices(counts.shape)
    values = counts.astype(np.float32).ravel()
    half = np.where(values > 1, 1, 0).astype(np.float32)
    parts = np.concatenate([values - half, half])[::-1]
    order = np.argsort(np.tile(rows.ravel(), 2)[::-1], kind="stable")
    indptr = np.arange(len(counts) + 1) * 2 * counts.shape[1]
    return sp.csr_matrix(
        (parts[order], np.tile(columns.ravel(), 2)[::-1][order], indptr), shape=counts.shape
    )


@pytest.mark.parametrize(
    "layout",
    [sp.csr_matrix, sp.csc_matrix, np.asarray, with_zeros_and_duplicates],
    ids=["csr", "csc", "dense", "disordered"],
)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_counts_come_back_from_every_layout(
    write_split: WriteSplit,
    counts: Int[ndarray, "cell gene"],
    layout: Callable[..., object],
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_matrix, "_ROWS", 2)  # several blocks
    monkeypatch.setattr(stored_matrix, "_VALUES_OF_COLUMNS", 10)
    import anndata

    split = write_split()
    data = anndata.read_h5ad(split / "data.h5ad")
    data.X = layout(counts.astype(dtype))
    data.write_h5ad(split / "data.h5ad")
    store = CellStore.open(split)
    np.testing.assert_array_equal(to_dense(store), counts)
    np.testing.assert_array_equal(store.total_counts, counts.sum(axis=1))
    assert store.cell_ids == ("c0", "c1", "c2", "c3", "c4")
    assert store.gene_names == store.genes.symbols == ("g0", "g1", "g2", "g3")


def test_rows_are_the_rows_one_after_the_other(write_split: WriteSplit) -> None:
    store = CellStore.open(write_split())
    values, columns, pointers = store.rows(1, 4)
    for i in range(3):
        here = slice(pointers[i], pointers[i + 1])
        np.testing.assert_array_equal(values[here], store.row(1 + i)[0])
        np.testing.assert_array_equal(columns[here], store.row(1 + i)[1])


def test_large_counts_are_kept(write_split: WriteSplit, counts: Int[ndarray, "cell gene"]) -> None:
    counts[1, 1] = 70_000
    np.testing.assert_array_equal(to_dense(CellStore.open(write_split(counts))), counts)


@pytest.mark.parametrize("column", ["feature_id", "ensembl_id"])
def test_genes_are_named_by_the_column_of_var_with_ids(
    write_split: WriteSplit, column: str
) -> None:
    ids = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]
    store = CellStore.open(write_split(var={"other": ["x"] * 4, column: ids}))
    assert store.gene_names == tuple(ids)
    assert store.genes.symbols == ("g0", "g1", "g2", "g3")


def test_a_store_pickles_as_its_paths(write_split: WriteSplit) -> None:
    store = CellStore.open(write_split())
    content = pickle.dumps(store)
    assert len(content) < 1000
    np.testing.assert_array_equal(to_dense(pickle.loads(content)), to_dense(store))


def test_the_conversion_is_done_once_and_again_for_other_data(
    write_split: WriteSplit, counts: Int[ndarray, "cell gene"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    split = write_split()
    paths = {CellStore.open(split).path for _ in range(3)}
    assert len(paths) == 1
    assert len([r for r in caplog.records if "X, 5 cells x 4 genes" in r.message]) == 1
    other = write_split(counts + 1, folder="other")
    shutil.copy(other / "data.h5ad", split / "data.h5ad")
    np.testing.assert_array_equal(to_dense(CellStore.open(split)), counts + 1)


def open_in_process(split: Path, barrier, results) -> None:  # type: ignore[no-untyped-def]
    barrier.wait(timeout=60)
    results.put(int(CellStore.open(split).total_counts.sum()))


def test_two_processes_at_once_both_end_well(
    write_split: WriteSplit, counts: Int[ndarray, "cell gene"]
) -> None:
    split = write_split(np.tile(counts, (500, 1)))
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=open_in_process, args=(split, barrier, results)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    totals = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert totals == [500 * counts.sum()] * 2
    assert len(list((split / ".cache").iterdir())) == 1


def test_a_data_folder_that_cannot_be_written_to_is_cached_elsewhere(
    write_split: WriteSplit, tmp_path: Path, counts: Int[ndarray, "cell gene"]
) -> None:
    split = write_split()
    (split / ".cache").write_text("in the way, for root may write to read-only folders")
    store = CellStore.open(split)
    assert store.path.parent == tmp_path / "home" / ".cache" / "geneformer_t"
    np.testing.assert_array_equal(to_dense(store), counts)


def test_a_cache_made_earlier_serves_a_read_only_folder(write_split: WriteSplit) -> None:
    split = write_split()
    path = CellStore.open(split).path
    everything = [split, *split.rglob("*")]
    modes = {item: item.stat().st_mode for item in everything}
    for item in everything:
        item.chmod(0o555 if item.is_dir() else 0o444)
    try:
        assert CellStore.open(split).path == path
    finally:
        for item, mode in modes.items():
            item.chmod(mode)


@pytest.mark.parametrize("place", ["archive itself", "folder scdl"])
def test_an_archive_written_by_scdl_is_used_in_place(
    write_split: WriteSplit, tmp_path: Path, counts: Int[ndarray, "cell gene"], place: str
) -> None:
    h5ad = write_split(var={"feature_id": ["g0", "g1", "g2", "g3"]}) / "data.h5ad"
    split = tmp_path / "archive"
    archive = split if place == "archive itself" else split / "scdl"
    archive.parent.mkdir(exist_ok=True)
    SingleCellMemMapDataset(str(archive), str(h5ad), use_X_not_raw=True)
    for _ in range(2):  # the cache inside an archive is no part of it
        store = CellStore.open(split)
    assert store.archive == archive
    assert store.cell_ids == ("c0", "c1", "c2", "c3", "c4")
    assert store.gene_names == ("g0", "g1", "g2", "g3")
    np.testing.assert_array_equal(to_dense(store), counts)
    np.testing.assert_array_equal(store.total_counts, counts.sum(axis=1))


def test_an_archive_with_stored_zeros_is_written_anew(
    write_split: WriteSplit, tmp_path: Path, counts: Int[ndarray, "cell gene"]
) -> None:
    split = write_split(with_zeros_and_duplicates(counts))
    (tmp_path / "archive").mkdir()
    SingleCellMemMapDataset(
        str(tmp_path / "archive" / "scdl"), str(split / "data.h5ad"), use_X_not_raw=True
    )
    store = CellStore.open(tmp_path / "archive")
    assert store.archive == store.path / "scdl"
    np.testing.assert_array_equal(to_dense(store), counts)


def test_an_archive_that_was_written_without_cell_names_numbers_them(
    write_split: WriteSplit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As versions of SCDL do that keep no obs_features and no header."""
    h5ad = write_split() / "data.h5ad"
    SingleCellMemMapDataset(str(tmp_path / "archive"), str(h5ad), use_X_not_raw=True)
    shutil.rmtree(tmp_path / "archive" / "obs_features")
    (tmp_path / "archive" / "header.sch").unlink()
    for name, dtype in (("col_ptr", np.uint32), ("row_ptr", np.uint64)):
        path = tmp_path / "archive" / f"{name}.npy"
        np.fromfile(path, dtype=np.uint8).astype(dtype).tofile(path)
    assert CellStore.open(tmp_path / "archive").cell_ids == ("0", "1", "2", "3", "4")
    assert "names no cells; they are numbered from 0" in caplog.text


def test_an_archive_cut_short_is_refused(write_split: WriteSplit, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    SingleCellMemMapDataset(str(archive), str(write_split() / "data.h5ad"), use_X_not_raw=True)
    content = (archive / "data.npy").read_bytes()
    (archive / "data.npy").write_bytes(content[:-4])
    with pytest.raises(ValueError, match="damaged SCDL archive"):
        CellStore.open(archive)
    (archive / "data.npy").write_bytes(content[:-3])
    with pytest.raises(ValueError, match=r"data\.npy is truncated"):
        CellStore.open(archive)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        CellStore.open(tmp_path / "nowhere")


def test_a_folder_without_cells_says_what_it_holds(write_split: WriteSplit) -> None:
    split = write_split()
    (split / "data.h5ad").rename(split / "cells.h5ad")
    with pytest.raises(FileNotFoundError, match=r"expected data\.h5ad.*it holds cells\.h5ad"):
        CellStore.open(split)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(write_split: WriteSplit, share: float) -> None:
    split = write_split()
    content = (split / "data.h5ad").read_bytes()
    (split / "data.h5ad").write_bytes(content[: int(share * len(content))])
    why = "truncated" if share else "it is empty, damaged or of another kind"
    with pytest.raises(ValueError, match=rf"data\.h5ad cannot be read.*{why}"):
        CellStore.open(split)


def test_duplicate_cell_ids_are_named(write_split: WriteSplit) -> None:
    with pytest.warns(UserWarning, match="not unique"):
        split = write_split(cell_ids=["a", "b", "a", "c", "c"])
    with pytest.raises(ValueError, match=r"2 occur more than once \(a, c\)"):
        CellStore.open(split)


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "negative"), (np.nan, "NaN"), (1.0986, "log-normalised")],
)
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_what_is_no_raw_count_is_refused(
    write_split: WriteSplit,
    counts: Int[ndarray, "cell gene"],
    value: float,
    message: str,
    layout: Callable[..., object],
) -> None:
    matrix = counts.astype(np.float32)
    matrix[3, 0] = value
    split = write_split(layout(matrix))
    with pytest.raises(ValueError, match=rf"data\.h5ad: X.*{message}"):
        CellStore.open(split)
    assert not list((split / ".cache").iterdir())


def test_a_matrix_of_zeros_is_refused(write_split: WriteSplit) -> None:
    with pytest.raises(ValueError, match="every count is zero"):
        CellStore.open(write_split(np.zeros((3, 4))))


def test_real_counts_come_back(real_data: Path, tmp_path: Path) -> None:
    import anndata

    shutil.copy(real_data / "ipsc_cm_human.h5ad", tmp_path / "data.h5ad")
    store = CellStore.open(tmp_path)
    dense = anndata.read_h5ad(tmp_path / "data.h5ad").X.toarray()
    np.testing.assert_array_equal(to_dense(store, dense.shape[1]), dense)


def test_real_log_normalised_values_are_refused(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "erythroid_mouse_lognorm.h5ad", tmp_path / "data.h5ad")
    with pytest.raises(ValueError, match="log-normalised"):
        CellStore.open(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda store: (store.path / "total_counts.npy").write_bytes(b"\x93NUMPY"),
        lambda store: os.truncate(store.archive / "data.npy", 2),
        lambda store: shutil.rmtree(store.archive),
    ],
)
def test_a_damaged_cache_is_built_anew(
    write_split: WriteSplit, damage: Callable[[CellStore], object]
) -> None:
    split = write_split()
    store = CellStore.open(split)
    expected = to_dense(store)
    damage(store)
    np.testing.assert_array_equal(to_dense(CellStore.open(split)), expected)


def test_an_open_store_outlives_its_cache(write_split: WriteSplit) -> None:
    store = CellStore.open(write_split())
    expected = [store.row(cell)[0].tolist() for cell in range(len(store))]
    shutil.rmtree(store.path)
    assert [store.row(cell)[0].tolist() for cell in range(len(store))] == expected


def test_input_that_changes_while_it_is_read_is_refused(
    write_split: WriteSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = write_split()
    original = store_module.survey

    def survey(source: CountSource) -> Survey:
        os.utime(split / "data.h5ad", (0, 0))
        return original(source)

    monkeypatch.setattr(store_module, "survey", survey)
    with pytest.raises(ValueError, match=r"data\.h5ad changed while being read"):
        CellStore.open(split)
    assert not list((split / ".cache").iterdir())


CONVERT = """
import sys
from pathlib import Path
from bionemo.geneformer_t.data.cell_store import CellStore
try:
    CellStore.open(Path(sys.argv[1]), Path(sys.argv[2]))
except OSError as error:
    print(error)
print([p.name for p in Path(sys.argv[2]).iterdir() if p.name != ".hashes"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [64, 1536])
def test_a_disk_that_is_full_stops_the_conversion_with_a_message(
    write_split: WriteSplit, tmp_path: Path, kilobytes: int
) -> None:
    """Mapped files on a full disk would end the process without one."""
    rng = np.random.default_rng(0)
    split = write_split(rng.poisson(1.0, (1000, 500)) + 1)  # 500,000 values of 2 + 4 bytes
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size={kilobytes}k none {disk} && exec "$@"'
    call = ["unshare", "-rm", "sh", "-c", script, "sh"]
    if subprocess.run([*call, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one (unshare -rm)")
    finished = subprocess.run(
        [*call, sys.executable, "-c", CONVERT, str(split), str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    message, left = finished.stdout.splitlines()
    assert message.startswith(f"no space left for {disk}/")
    assert left == "[]"
