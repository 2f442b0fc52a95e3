"""Where converted data lie, how they are named, and how they come to be whole or not at all.

A cache entry is a folder whose name is a fingerprint of what it was made from. It is built beside
its final place and moved there in one step, so that a reader never sees half of one and two
processes that build the same entry both end with a good one.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Num
from numpy import ndarray

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "GENEFORMER_T_CACHE"
"""Environment variable that names the folder for caches."""

_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16


def fingerprint(files: Sequence[Path], *also: object) -> str:
    """Name the content of files without reading them whole.

    Size, time of the last change and 16 samples of 64 KiB of each file enter, and the values in
    `also`. A file of up to 1 MiB is read completely.
    """
    digest = hashlib.sha256(repr(also).encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns}".encode())
        with file.open("rb") as stream:
            for sample in range(_SAMPLES):
                stream.seek(max(0, status.st_size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:24]


def cache_places(split_dir: Path, cache_dir: Path | None = None) -> tuple[Path, ...]:
    """Folders that may hold the caches of a split, the preferred one first.

    A place that was asked for, by `cache_dir` or the environment, is the only one.
    """
    if cache_dir is not None:
        return (cache_dir,)
    if os.environ.get(CACHE_VARIABLE):
        return (Path(os.environ[CACHE_VARIABLE]),)
    return (split_dir / ".cache", Path.home() / ".cache" / "geneformer_t")


def find_or_build(name: str, places: Sequence[Path], build: Callable[[Path], None]) -> Path:
    """The cache entry of that name, built in the first writable place where there is none.

    Args:
        name: The entry's fingerprint.
        places: Folders to look in, then to build in.
        build: Fills an empty folder.

    Raises:
        PermissionError: No place can be written to.
    """
    for place in places:
        if (place / name).is_dir():
            return place / name
    refused = []
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            workshop = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place))
        except OSError as error:
            refused.append(f"{place} ({error.strerror or error})")
            continue
        return _build(workshop, place / name, build)
    raise PermissionError(
        f"the converted data need a folder that can be written to; tried {', '.join(refused)}. "
        f"Give one with cache_dir or the environment variable {CACHE_VARIABLE}"
    )


def load_or_compute(path: Path, compute: Callable[[], Num[ndarray, "..."]]) -> Num[ndarray, "..."]:
    """An array kept in a file, mapped from there; computed, and kept if that is possible."""
    if not path.is_file():
        array = compute()
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
                np.save(file, array)
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except OSError as error:
            logger.info("%s cannot be kept (%s); it is computed each time", path, error)
            return array
    return np.asarray(np.load(path, mmap_mode="r"))


def _build(workshop: Path, final: Path, build: Callable[[Path], None]) -> Path:
    try:
        build(workshop)
        workshop.chmod(0o755)  # mkdtemp makes it private, but colleagues may share the data
        try:
            workshop.replace(final)
        except OSError:
            if not final.is_dir():
                raise
            logger.info("another process has built %s meanwhile; using that", final)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return final
