"""Where converted data lie, how they are named, and how they come to be whole or not at all.

A cache entry is a folder whose name is a fingerprint of what it was made from. It is built in a
workshop beside its final place and moved there in one step, so that a reader never sees half of
one. One process builds an entry; others wait for it.
"""

import errno
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Num
from numpy import ndarray

from bionemo.geneformer_t.data.workshop import (
    clear_abandoned,
    new_workshop,
    only_builder,
    publish,
)

T = TypeVar("T")

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "GENEFORMER_T_CACHE"
"""Environment variable that names the folder for caches."""

_NEARLY_NOTHING = 1 << 20
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
    return (split_dir / ".cache", *_home_cache())


def _home_cache() -> tuple[Path, ...]:
    """The user's own cache folder; none where the system knows no home, as in some containers."""
    try:
        return (Path.home() / ".cache" / "geneformer_t",)
    except RuntimeError:
        return ()


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
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            refused.append(f"{place} ({error.strerror or error})")
            continue
        with disk_full_advice(place):
            return _build(place, name, build)
    raise PermissionError(
        f"the converted data need a folder that can be written to; tried {', '.join(refused)}. "
        f"Give one with cache_dir or the environment variable {CACHE_VARIABLE}"
    )


def open_or_build(
    name: str,
    places: Sequence[Path],
    build: Callable[[Path], None],
    opened: Callable[[Path], T],
) -> T:
    """Open a cache entry; build it anew, once, where it is damaged or is being deleted.

    Args:
        name: The entry's fingerprint.
        places: Folders to look in, then to build in.
        build: Fills an empty folder.
        opened: Opens the entry's folder.

    Raises:
        PermissionError: No place can be written to.
        FileNotFoundError: The entry was deleted again.
        ValueError: What was just built cannot be opened.
    """
    path = find_or_build(name, places, build)
    try:
        return opened(path)
    except (FileNotFoundError, ValueError, EOFError) as error:
        logger.warning("%s is not whole (%s); it is built anew", path, error)
    _discard(path)
    return opened(find_or_build(name, places, build))


@contextmanager
def disk_full_advice(place: Path) -> Iterator[None]:
    """Say what to do where a disk is full.

    Raises:
        OSError: Instead of the system's own, which does not name the place.
    """
    try:
        yield
    except OSError as error:
        # NumPy's own message about a short write carries no number
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or (
            error.errno is None and shutil.disk_usage(place).free < _NEARLY_NOTHING
        )
        if not is_full:
            raise
        full = OSError(
            f"no space left in {place} for the converted data ({error.strerror or error}); nothing "
            f"unfinished was kept. Free some, or name another folder with cache_dir or the "
            f"environment variable {CACHE_VARIABLE}"
        )
        full.errno = errno.ENOSPC
        raise full from error


def load_or_compute(path: Path, compute: Callable[[], Num[ndarray, "..."]]) -> Num[ndarray, "..."]:
    """An array kept in a file, mapped from there; computed, and kept if that is possible."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except FileNotFoundError:
        pass
    except (ValueError, EOFError) as error:
        logger.warning("%s is damaged (%s); it is computed anew", path, error)
    array = compute()
    try:
        _keep(array, path)
    except OSError as error:
        logger.info("%s cannot be kept (%s); it is computed each time", path, error)
    return array


def _keep(array: Num[ndarray, "..."], path: Path) -> None:
    """Write an array whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
        partial = Path(file.name)
        try:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _build(place: Path, name: str, build: Callable[[Path], None]) -> Path:
    final = place / name
    clear_abandoned(place)
    with only_builder(place, name, final.is_dir):
        if final.is_dir():
            return final
        workshop = new_workshop(place, name)
        try:
            build(workshop)
            publish(workshop, final)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return final


def _discard(path: Path) -> None:
    """Take an entry out of the way at once; other processes may still have it open."""
    if not path.exists():
        return
    try:
        aside = new_workshop(path.parent, path.name)
        path.replace(aside / path.name)
    except OSError as error:
        raise PermissionError(
            f"{path} is not whole and cannot be replaced ({error}); remove it, or name another "
            f"folder with cache_dir or the environment variable {CACHE_VARIABLE}"
        ) from error
    shutil.rmtree(aside, ignore_errors=True)
