"""A copy of an .h5ad with some entries added or replaced, written block by block.

Everything else is copied as it is stored, so that no matrix is ever held in memory. The copy
appears whole or not at all.
"""

import errno
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from anndata.io import write_elem

from bionemo.geneformer_t.data.hdf5 import open_hdf5
from bionemo.geneformer_t.files import whole_file

_DICT = {"encoding-type": "dict", "encoding-version": "0.1.0"}
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to write to, which takes its place when the context ends without error.

    Raises:
        OSError: The disk is full.
    """
    with whole_file(path) as partial, partial.open("w+b", buffering=0) as raw:
        watched = _Watched(raw)
        try:
            with h5py.File(watched, "w") as file:
                yield file
        finally:
            if watched.error is not None:
                raise watched.error


class _Watched(io.RawIOBase):
    """A file that keeps its first error to be raised when HDF5 is done with it.

    HDF5 writes much of its content when it closes files and data sets. Where that fails, h5py is
    left with names of things that are gone, and clearing them away ends the process (SIGSEGV, h5py
    3). So it is told that all went well, and the file is thrown away afterwards.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def readinto(self, buffer: Any) -> int | None:
        return self._raw.readinto(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = self.error or error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def updated_copy(
    source: Path, target: Path, replaced: Mapping[str, tuple[str, ...]]
) -> Iterator[h5py.File]:
    """A file to write to, which takes the place of `target` when the context ends without error.

    Args:
        source: The .h5ad to copy.
        target: Where the copy goes; may be `source` itself.
        replaced: Groups, such as `obsm`, and the entries of them that are not copied.

    Raises:
        OSError: The target cannot be written.
    """
    with whole_hdf5(target) as new:
        free, needed = shutil.disk_usage(target.parent).free, source.stat().st_size
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes and more are needed, {free:,} are free")
        with open_hdf5(source) as old:
            _copy(old, new, replaced)
        yield new


def add_array(file: h5py.File, group: str, key: str, shape: tuple[int, int]) -> h5py.Dataset:
    """An empty array of 32-bit floats under a group, to be filled by blocks of rows."""
    array = file[group].create_dataset(key, shape=shape, dtype="float32")
    array.attrs.update(_ARRAY)
    return array


def add_value(file: h5py.File, group: str, key: str, value: Any) -> None:
    """Any value that AnnData can write, under a group."""
    write_elem(file[group], key, value)


def _copy(old: h5py.File, new: h5py.File, replaced: Mapping[str, tuple[str, ...]]) -> None:
    new.attrs.update(old.attrs)
    for name in old:
        if name not in replaced:
            old.copy(name, new)
    for name, left_out in replaced.items():
        group = new.create_group(name)
        group.attrs.update(old[name].attrs if name in old else _DICT)
        for key in old.get(name, {}):
            if key not in left_out:
                old[name].copy(key, group)
