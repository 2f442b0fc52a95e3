"""HDF5 files show what they hold and nothing of other files; filters are named."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.counts.formats import open_input
from bionemo.geneformer_t.counts.h5ad import backed_cells, h5ad_source
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.data.cell_store import CellStore

ZSTD = 32015


def external_link(group: h5py.Group, name: str, secret: Path) -> None:
    group[name] = h5py.ExternalLink(str(secret), "/x")


def external_storage(group: h5py.Group, name: str, secret: Path) -> None:
    group.create_dataset(name, shape=(4,), dtype="i4", external=[(str(secret), 0, 16)])


def virtual(group: h5py.Group, name: str, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="i8")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=(4,))
    group.create_virtual_dataset(name, layout)


LEADS_OUT = {
    external_link: "is a link into another file",
    external_storage: "keeps its values outside of the file",
    virtual: "is a virtual dataset",
}
Change = Callable[[h5py.Group, str, Path], None]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that only its owner should see."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(4)
    return tmp_path / "secret.h5"


def h5ad(path: Path) -> tuple[Path, str]:
    var = pd.DataFrame(index=["g", "h"])
    anndata.AnnData(np.ones((2, 2)), obs=pd.DataFrame(index=["a", "b"]), var=var).write_h5ad(path)
    return path, "obs"


def loom(path: Path) -> tuple[Path, str]:
    with h5py.File(path, "w") as file:
        file["matrix"], file["row_attrs/Gene"] = np.ones((2, 2)), ["g", "h"]
        file["col_attrs/CellID"] = ["a", "b"]
    return path, "col_attrs"


def tenx(path: Path) -> tuple[Path, str]:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = [1, 1], [0, 1], [0, 1, 2]
        group["barcodes"], group["features/id"] = ["a", "b"], ["g", "h"]
        group["features/name"] = ["g", "h"]
    return path, "matrix/features"


@pytest.mark.parametrize("change", LEADS_OUT)
@pytest.mark.parametrize("write", [h5ad, loom, tenx])
def test_no_input_shows_another_file(tmp_path: Path, secret: Path, write, change: Change) -> None:
    path, group = write(tmp_path / {h5ad: "a.h5ad", loom: "a.loom", tenx: "a.h5"}[write])
    with open_input(path) as opened:
        assert sum(block.counts.sum() for block in opened.counts.blocks()) in {2, 4}
    with h5py.File(path, "r+") as file:
        change(file[group], "leak", secret)
    with (
        pytest.raises(ValueError, match=f"{group}/leak {LEADS_OUT[change]}.*secret") as refusal,
        open_input(path),
    ):
        pass
    assert "Write the file again" in str(refusal.value)


@pytest.mark.parametrize("change", LEADS_OUT)
def test_no_data_folder_shows_another_file(tmp_path: Path, secret: Path, change: Change) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    path, _ = h5ad(folder / "data.h5ad")
    with h5py.File(path, "r+") as file:
        change(file["obs"], "leak", secret)
    with pytest.raises(ValueError, match=LEADS_OUT[change]):
        CellStore.open(folder, tmp_path / "cache")
    with pytest.raises(ValueError, match=LEADS_OUT[change]), h5ad_source(path):
        pass


@pytest.mark.parametrize("change", [external_storage, virtual])
def test_levels_elsewhere_in_the_file_are_looked_at_as_well(
    tmp_path: Path, secret: Path, change: Change
) -> None:
    path, _ = h5ad(tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/day"] = np.zeros(2, dtype="i1")
        change(file, "levels", secret)
        file["obs/day"].attrs["categories"] = file["levels"].ref
        order = np.array(["day"], dtype=h5py.string_dtype())
        file["obs"].attrs["column-order"] = order
    with pytest.raises(ValueError, match=LEADS_OUT[change]), open_input(path):
        pass


def test_links_inside_of_a_file_are_followed_and_circles_end(tmp_path: Path) -> None:
    path, _ = h5ad(tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["layers"]["same"] = file["X"]
        file["uns"]["soft"] = h5py.SoftLink("/X")
        file["uns"]["circle"] = file["uns"]
    with open_hdf5(path) as file:
        assert file["layers/same"][:].tolist() == file["uns/soft"][:].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(("code", "name"), [(ZSTD, "zstd"), (32001, "blosc"), (32004, "lz4")])
@pytest.mark.parametrize("where", ["obs", "X"])
def test_a_filter_that_is_missing_is_named(
    tmp_path: Path, code: int, name: str, where: str
) -> None:
    """Values that say that they passed the filter; none has, and none is read."""
    if h5py.h5z.filter_avail(code):
        pytest.skip(f"{name} is installed here")
    path, _ = h5ad(tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        if where == "X":
            del file["X"]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((2, 2))
        made.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
        place = (file["obs"], b"extra") if where == "obs" else (file, b"X")
        space = h5py.h5s.create_simple((2, 2))
        made = h5py.h5d.create(place[0].id, place[1], h5py.h5t.NATIVE_INT32, space, made)
        made.write_direct_chunk((0, 0), bytes(16))
    message = (
        rf"a\.h5ad: .* is compressed with {name} \(HDF5 filter {code}\).*pip install hdf5plugin"
    )
    with pytest.raises(ValueError, match=message), open_input(path):
        pass


def test_a_file_that_is_cut_off_is_no_leak(tmp_path: Path) -> None:
    path, _ = h5ad(tmp_path / "a.h5ad")
    half = tmp_path / "half.loom"
    half.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cannot be read as \.loom.*truncated"), open_hdf5(half):
        pass


@pytest.mark.parametrize("content", [b"", b"cells"])
def test_a_file_of_another_kind_is_not_called_truncated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5ad").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.h5ad cannot be read as \.h5ad: it is empty, damaged"):
        backed_cells(tmp_path / "a.h5ad", "input")
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"expected an \.h5ad.*a\.csv, which is no HDF5 file$"):
        backed_cells(tmp_path / "a.csv", "input")


def test_a_checkpoint_is_no_file_of_cells(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.ckpt", "w") as archive:
        archive.writestr("data", "x")
    with (
        pytest.raises(ValueError, match=r"expected an \.h5ad file with cells; got .*zip archive"),
        open_hdf5(tmp_path / "model.ckpt"),
    ):
        pass


def test_backed_cells_stay_in_their_file(tmp_path: Path) -> None:
    cells = backed_cells(h5ad(tmp_path / "a.h5ad")[0], "input")
    assert cells.isbacked
    assert cells.shape == (2, 2)
    cells.file.close()
    with pytest.raises(FileNotFoundError, match="fates: expected"):
        backed_cells(tmp_path / "none.h5ad", "fates")
