"""Opens HDF5 files, and only those that hold all that they show.

HDF5 lets a file point elsewhere: a link may lead into another file, a dataset may keep its values
in other files (external storage) or put them together from datasets of other files (a virtual
dataset). A file from a stranger could so show any file that its reader may read. All objects are
therefore looked at before a value is read, and such a file is refused.

The same look finds datasets that need a compression filter which is not installed.
"""

import importlib
import importlib.util
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from h5py import h5d, h5g, h5l, h5o, h5z

_FILTERS = {
    4: "szip", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle",
    32013: "zfp", 32015: "zstd", 32017: "sz", 32018: "fcidecomp", 32024: "sz3", 32026: "blosc2",
    32028: "sperr",
}  # fmt: skip
"""Numbers under which filters are registered with the HDF Group."""
_ENDINGS = {".h5ad", ".loom", ".h5", ".hdf5"}
_PLUGINS = "hdf5plugin"
_WRITE_ANEW = (
    "Write the file again so that it holds all its values: read it where you trust it, and write "
    "it with anndata's write_h5ad or with h5repack"
)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An .h5ad, .loom or other HDF5 file, read only.

    Raises:
        ValueError: It is no complete HDF5 file, leads into other files, or needs a compression
            filter that is not installed.
    """
    with reading(path):
        file = h5py.File(path, "r")
    with file:
        with reading(path):
            _check_objects(file, path)
        yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell a damaged file from a bug: HDF5 reports both as OSError without an error number."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        if not h5py.is_hdf5(path):
            raise ValueError(_other_kind(path)) from error
        raise ValueError(
            f"{path} cannot be read as {path.suffix or 'HDF5'} ({error}); is it truncated? Copy or "
            "write it again"
        ) from error


def _other_kind(path: Path) -> str:
    """What is wrong with a file that does not begin as HDF5 does."""
    if path.suffix in _ENDINGS:
        return (
            f"{path} cannot be read as {path.suffix}: it is empty, damaged or of another kind, and "
            "no HDF5 file. Copy or write it again"
        )
    what = " but a zip archive, as checkpoints are" if zipfile.is_zipfile(path) else ""
    return f"expected an .h5ad file with cells; got {path}, which is no HDF5 file{what}"


def check_dataset(dataset: h5d.DatasetID, name: str, path: Path) -> None:
    """Refuse a dataset whose values are in other files or cannot be decompressed.

    Raises:
        ValueError: Names the dataset, and the file or the filter.
    """
    made = dataset.get_create_plist()
    if made.get_layout() == h5d.VIRTUAL:
        raise ValueError(
            f"{path}: {name} is a virtual dataset: its values are read from other datasets "
            f"({_named(made.get_virtual_filename(0))} for example). Such files are not read. "
            f"{_WRITE_ANEW}"
        )
    if made.get_external_count():
        raise ValueError(
            f"{path}: {name} keeps its values outside of the file (external storage, in "
            f"{_named(made.get_external(0)[0])}). Other files are not read. {_WRITE_ANEW}"
        )
    for number in range(made.get_nfilters()):
        code, _, _, label = made.get_filter(number)
        if not _is_available(code):
            known = _FILTERS.get(code) or _named(label) or "unknown"
            raise ValueError(
                f"{path}: {name} is compressed with {known} (HDF5 filter {code}), which is not "
                f"installed: `pip install {_PLUGINS}` brings it, and it is then found here; or "
                "write the file again with gzip, as adata.write_h5ad(path, compression='gzip')"
            )


def _check_objects(file: h5py.File, path: Path) -> None:
    """Look at every object that can be reached, without reading any value."""
    pending, seen = [("", h5g.open(file.id, b"/"))], set()
    while pending:
        parent, group = pending.pop()
        for link in group:
            name = f"{parent}/{_named(link)}".lstrip("/")
            kind = group.links.get_info(link).type
            if kind == h5l.TYPE_SOFT:
                continue  # leads to a name in this file, which the walk meets by itself
            if kind != h5l.TYPE_HARD:
                target = group.links.get_val(link)[0] if kind == h5l.TYPE_EXTERNAL else "unknown"
                raise ValueError(
                    f"{path}: {name} is a link into another file ({_named(target)}). Other files "
                    f"are not read. {_WRITE_ANEW}"
                )
            item = h5o.open(group, link)
            info = h5o.get_info(item)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            if isinstance(item, h5d.DatasetID):
                check_dataset(item, name, path)
            elif isinstance(item, h5g.GroupID):
                pending.append((name, item))


def _is_available(code: int) -> bool:
    """Whether values that passed a filter can be read; looks for further filters once needed."""
    if h5z.filter_avail(code):
        return True
    if importlib.util.find_spec(_PLUGINS) is None:
        return False
    importlib.import_module(_PLUGINS)  # registers its filters
    return bool(h5z.filter_avail(code))


def _named(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
