"""The encodings of all cells of a split, computed once and mapped from then on.

They are kept beside the converted cells under a fingerprint of what they depend on: the cells, the
token of each column and the medians. Cells are kept whole, since which genes a pair needs depends
on its settings.
"""

import errno
import hashlib
import logging
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Integer
from numpy import ndarray
from torch.utils.data import DataLoader, Dataset

from bionemo.geneformer_t.counts.mapped_arrays import PageKeeper, map_npy
from bionemo.geneformer_t.data.cache import open_or_build
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.ragged import offsets_of

logger = logging.getLogger(__name__)

_TOKENS, _OFFSETS = "tokens.npy", "offsets.npy"
_FORMAT = "geneformer-t tokens 2"
_BLOCK = 1 << 20
"""Tokens that a process encodes at once."""
_FEW = 1 << 22
"""So many tokens are encoded before other processes would have started."""


class TokenCache:
    """Encodings mapped from a folder. Pickles as its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tokens, self._offsets = map_npy(folder / _TOKENS), map_npy(folder / _OFFSETS)
        if len(self._tokens) != self._offsets[-1]:
            raise ValueError(f"{folder} holds {len(self._tokens)} of {self._offsets[-1]} tokens")
        self._pages = PageKeeper(self._tokens)

    def __reduce__(self) -> tuple[type["TokenCache"], tuple[Path]]:
        return TokenCache, (self.folder,)

    def rows_of(self, cells: Int[ndarray, " cell"]) -> list[Integer[ndarray, " _"]]:
        """The tokens of each cell, highest rank value first."""
        self._pages.count(len(cells))
        starts, stops = self._offsets[cells].tolist(), self._offsets[cells + 1].tolist()
        return [self._tokens[start:stop] for start, stop in zip(starts, stops, strict=True)]


def with_cache(tokens: CellTokens) -> CellTokens:
    """The same tokens, read from a cache, which is built where there is none.

    Where it cannot be kept, cells are encoded whenever they are needed, and the log says so.
    """
    place = tokens.store.path
    try:
        cache = open_or_build(_name(tokens), [place], partial(_build, tokens), TokenCache)
    except OSError as error:
        logger.warning(
            "encoded cells cannot be kept in %s (%s); they are encoded whenever they are needed, "
            "which gives the same batches more slowly", place, error.strerror or error,
        )  # fmt: skip
        return tokens
    return tokens.read_from(cache.rows_of)


def _name(tokens: CellTokens) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    for array in (tokens.token_of_column, tokens.median_of_id):
        digest.update(array.tobytes())
    return f"tokens-{digest.hexdigest()[:24]}"


def _build(tokens: CellTokens, folder: Path) -> None:
    offsets = offsets_of(tokens.num_genes)
    total = int(offsets[-1])
    dtype = np.dtype("uint16" if len(tokens.median_of_id) <= 1 << 16 else "uint32")
    free = shutil.disk_usage(folder).free
    if free < total * dtype.itemsize:
        raise OSError(errno.ENOSPC, f"{total * dtype.itemsize:,} bytes needed, {free:,} free")
    np.save(folder / _OFFSETS, offsets)
    with (folder / _TOKENS).open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (total,)}
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
        file.truncate(begin + total * dtype.itemsize)
    blocks = _Blocks(tokens, offsets, folder / _TOKENS, begin, dtype)
    # DataLoader's workers end by themselves when this process is killed. Without a generator of its
    # own it would draw from the global one, and a run that finds the cache would differ.
    loader = DataLoader(
        blocks, batch_size=None, num_workers=_num_workers(total), generator=torch.Generator()
    )
    with Progress(f"encoding {tokens.store.where}", total, "token") as bar:
        for written in loader:
            bar.update(written)


class _Blocks(Dataset[int]):
    """Item i encodes the cells of block i into their place in the file, and counts the tokens."""

    def __init__(
        self,
        tokens: CellTokens,
        offsets: Int[ndarray, " cells_plus_1"],
        path: Path,
        begin: int,
        dtype: np.dtype,
    ) -> None:
        last = np.searchsorted(offsets, np.arange(_BLOCK, offsets[-1], _BLOCK))
        self.bounds = np.unique([0, *last, len(offsets) - 1])
        self.places = offsets[self.bounds]
        self.tokens, self.path, self.begin, self.dtype = tokens, path, begin, dtype

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, block: int) -> int:
        cells = np.arange(self.bounds[block], self.bounds[block + 1])
        encoded = self.tokens.encode_cells(cells).values.astype(self.dtype)
        assert len(encoded) == self.places[block + 1] - self.places[block]
        with self.path.open("r+b") as file:
            file.seek(self.begin + int(self.places[block]) * self.dtype.itemsize)
            file.write(encoded.tobytes())
        return len(encoded)


def _num_workers(total: int) -> int:
    """One process for each core that this one may use, or none for few tokens."""
    if total <= _FEW:
        return 0
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
