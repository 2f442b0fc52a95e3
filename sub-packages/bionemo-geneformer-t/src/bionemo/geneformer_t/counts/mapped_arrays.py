"""Files mapped as arrays, whose pages are given back after reading.

Pages of a mapped file count as resident memory of every process that has touched them, so that a
pass over a large data set would seem to need all of it, and batch systems that count like that end
such jobs. Pages given back stay in the system's cache; reading them again costs a microsecond.
"""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

CELLS_KEPT = 8
"""Cells that are read before pages are given back: one cell may map 2 MiB of each array, because
systems map the neighbourhood of what is read, or whole large pages."""

_GIVES_BACK = hasattr(mmap, "MADV_DONTNEED")


def map_array(path: Path, dtype: np.dtype, offset: int = 0) -> Shaped[ndarray, " value"]:
    """The content of a file from an offset on, read only."""
    if path.stat().st_size == offset:
        return np.zeros(0, dtype=dtype)
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapping, dtype=dtype, offset=offset)


def map_npy(path: Path) -> Shaped[ndarray, " value"]:
    """A one-dimensional array that `numpy.save` wrote, read only.

    Raises:
        ValueError: The file is damaged.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{path} is in version {version} of NumPy's format; expected (1, 0)")
        _, _, dtype = np.lib.format.read_array_header_1_0(file)
        return map_array(path, dtype, offset=file.tell())


def reserve(folder: Path) -> None:
    """Have the disk space of all arrays of a folder now, where the file system can.

    Mapped arrays are files with holes; a disk that fills up while they are written would end the
    process without a word (SIGBUS).

    Raises:
        OSError: There is not enough.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:
        return
    for path in folder.rglob("*.npy"):
        size = path.stat().st_size
        if size:
            with path.open("r+b") as file:
                allocate(file.fileno(), 0, size)


class PageKeeper:
    """Counts the cells read from mapped arrays and gives their pages back from time to time."""

    def __init__(self, *arrays: Shaped[ndarray, "..."]) -> None:
        views: list[Any] = [array.base for array in arrays if array.size]
        self._mappings: list[mmap.mmap] = [view.obj for view in views]
        self._read = 0

    def count(self, cells: int) -> None:
        """Note that so many cells are about to be read."""
        self._read += cells
        if self._read > CELLS_KEPT:
            self._read = cells
            self.give_back()

    def give_back(self) -> None:
        """Drop the pages from this process; arrays and views of them stay valid."""
        for mapping in self._mappings if _GIVES_BACK else []:
            mapping.madvise(mmap.MADV_DONTNEED)
