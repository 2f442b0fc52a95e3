"""A copy of an .h5ad with some entries added or replaced, written block by block.

Everything else is copied as it is stored, so that no matrix is ever held in memory. The copy
appears whole or not at all.
"""

import errno
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from anndata.io import write_elem

from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.files import whole_file

_PAGE = 1 << 16
_DICT = {"encoding-type": "dict", "encoding-version": "0.1.0"}
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}


class WholeFile(h5py.File):
    """An HDF5 file on a disk that may be full; `check` says so in the middle of long work."""

    def __init__(self, disk: "_Disk") -> None:
        super().__init__(disk, "w")
        self._disk = disk

    def check(self) -> None:
        """Raise the error of the disk, if there was one."""
        if self._disk.error is not None:
            raise self._disk.error


@contextmanager
def whole_hdf5(path: Path) -> Iterator[WholeFile]:
    """An HDF5 file to write to, which takes its place when the context ends without error.

    Raises:
        OSError: The disk is full.
    """
    with whole_file(path) as partial, partial.open("w+b", buffering=0) as raw:
        disk = _Disk(raw.fileno())
        try:
            with WholeFile(disk) as file:
                yield file
        finally:
            if disk.error is not None:
                raise disk.error


class _Disk(io.RawIOBase):
    """A file that keeps its first error, and what is written from then on, to itself.

    HDF5 writes much of its content when it closes files and data sets. Where that fails, h5py is
    left with names of things that are gone, and clearing them away ends the process (SIGSEGV, h5py
    3). So HDF5 is told that all went well, finds again what it wrote, and the file is thrown away
    when it is done.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = self._size = 0
        self._kept: dict[int, bytearray] = {}
        """Number of a page -> its content, where the disk did not take it."""
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._size)[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self.error = self.error or error
        return self._size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, self._size - self._at)]
        there = os.pread(self._descriptor, len(view), self._at)
        view[: len(there)] = there
        view[len(there) :] = bytes(len(view) - len(there))
        for page, inside, of_view in self._pages(len(view)) if self._kept else ():
            if page in self._kept:
                view[of_view] = self._kept[page][inside]
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._descriptor, view[done:], self._at + done)
            except OSError as error:
                self.error = error
        if self.error is not None:
            for page, inside, of_view in self._pages(len(view)):
                if page not in self._kept:
                    there = os.pread(self._descriptor, _PAGE, page * _PAGE)
                    self._kept[page] = bytearray(there.ljust(_PAGE, b"\0"))
                self._kept[page][inside] = view[of_view]
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def _pages(self, length: int) -> Iterator[tuple[int, slice, slice]]:
        """The pages of the next bytes: number, where in the page, and where in the bytes."""
        start, end = self._at, self._at + length
        for page in range(start // _PAGE, -(-end // _PAGE)):
            first, last = max(start, page * _PAGE), min(end, (page + 1) * _PAGE)
            inside = slice(first - page * _PAGE, last - page * _PAGE)
            yield page, inside, slice(first - start, last - start)


@contextmanager
def updated_copy(
    source: Path, target: Path, replaced: Mapping[str, tuple[str, ...]]
) -> Iterator[WholeFile]:
    """A file to write to, which takes the place of `target` when the context ends without error.

    Args:
        source: The .h5ad to copy.
        target: Where the copy goes; may be `source` itself.
        replaced: Groups, such as `obsm`, and the entries of them that are not copied.

    Raises:
        OSError: The target cannot be written.
    """
    with whole_hdf5(target) as new:
        disk, needed = shutil.disk_usage(target.parent), source.stat().st_size
        if disk.total and disk.free < needed:  # some disks that computers share tell no sizes
            raise OSError(
                errno.ENOSPC, f"{needed:,} bytes and more are needed, {disk.free:,} are free"
            )
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
    """Copy all but some entries; references lead to the copies of what they led to.

    anndata 0.7 stored codes that lead to their levels by a reference, which HDF5 empties otherwise.
    """
    new.attrs.update(old.attrs)
    for name in old:
        if name not in replaced:
            old.copy(name, new, expand_refs=True)
    for name, left_out in replaced.items():
        group = new.create_group(name)
        group.attrs.update(old[name].attrs if name in old else _DICT)
        for key in old.get(name, {}):
            if key not in left_out:
                old[name].copy(key, group, expand_refs=True)
