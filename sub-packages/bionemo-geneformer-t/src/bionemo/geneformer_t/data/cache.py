"""Where converted data are kept, and how they are found, built and built again.

A cache entry is a folder whose name is a fingerprint of what it was made from. It is opened only
where it is whole; where it is missing or damaged it is built, by one process, while others wait for
it. A place that cannot be used is passed over for the next one, and the log says so.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Num
from numpy import ndarray

from bionemo.geneformer_t.data.cache_entry import damage, new_entry
from bionemo.geneformer_t.data.cache_lock import only_builder
from bionemo.geneformer_t.data.content_hash import file_states, fingerprint
from bionemo.geneformer_t.data.shared_modes import make_folder
from bionemo.geneformer_t.files import discard, disk_full_advice, remove_abandoned

T = TypeVar("T")

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "GENEFORMER_T_CACHE"
"""Environment variable that names the folder for caches."""

_ADVICE = (
    f"Free some, or name another folder with cache_dir or the environment variable {CACHE_VARIABLE}"
)
_ARRAY = "array.npy"
_Distrusted = tuple[tuple[int, int], str]
"""Device and inode of an entry that could not be opened, and why."""


class _UnusableError(Exception):
    """A place cannot be written to, or a damaged entry there cannot be moved."""


def cache_places(split_dir: Path, cache_dir: Path | None = None) -> tuple[Path, ...]:
    """Folders that may hold the caches of a split, the preferred one first.

    That is the one that was asked for, by `cache_dir` or the environment, or `.cache` in the
    split's folder; and the user's own, for when it cannot be used.
    """
    asked_for = cache_dir or os.environ.get(CACHE_VARIABLE)
    preferred = Path(asked_for) if asked_for else split_dir / ".cache"
    return tuple(dict.fromkeys((preferred, *own_place())))


def own_place() -> tuple[Path, ...]:
    """The user's own cache, where the user has a home."""
    try:
        return (Path.home() / ".cache" / "geneformer_t",)
    except RuntimeError:  # no HOME, and a user whom the system does not know
        return ()


def open_or_build(
    name: str,
    places: Sequence[Path],
    build: Callable[[Path], None],
    opened: Callable[[Path], T],
) -> T:
    """Open a cache entry; build it where it is missing or damaged, or is deleted meanwhile.

    Args:
        name: The entry's fingerprint.
        places: Folders to look in and to build in, in this order.
        build: Fills an empty folder.
        opened: Opens the entry's folder.

    Raises:
        PermissionError: No place can be written to.
        TimeoutError: Another process has been building it for too long.
        FileNotFoundError: The entry was deleted again.
        ValueError: What was just built cannot be opened.
    """
    path = _find_or_build(name, places, build)
    try:
        return opened(path)
    except (FileNotFoundError, ValueError, EOFError) as error:
        distrusted = (_identity(path), str(error))
    return opened(_find_or_build(name, places, build, distrusted))


def build_unchanged(
    files: Sequence[Path],
    *also: object,
    memory: Sequence[Path],
    build: Callable[[Path], None],
) -> tuple[str, Callable[[Path], None]]:
    """The fingerprint of files, and a builder that refuses files that change while it reads them.

    Args:
        files: What the builder reads.
        also: Values that enter the fingerprint too.
        memory: Caches that may remember hashes.
        build: Fills an empty folder from the files.
    """
    states = file_states(files)
    name = fingerprint(files, *also, memory=memory)

    def checked(folder: Path) -> None:
        build(folder)
        if file_states(files) != states or fingerprint(files, *also, memory=memory) != name:
            raise ValueError(
                f"{', '.join(map(str, files[:3]))} changed while being read; is another program "
                "still writing? Start again when it is done"
            )

    return name, checked


def load_or_compute(path: Path, compute: Callable[[], Num[ndarray, "..."]]) -> Num[ndarray, "..."]:
    """An array kept as an entry inside another one, mapped from there.

    Args:
        path: The entry's folder.
        compute: Computes the array, also where it cannot be kept.
    """
    if not path.parent.is_dir():  # an entry that was deleted is not made again
        return compute()
    try:
        return open_or_build(
            path.name,
            [path.parent],
            lambda folder: np.save(folder / _ARRAY, compute()),
            lambda entry: np.asarray(np.load(entry / _ARRAY, mmap_mode="r")),
        )
    except OSError as error:
        logger.info("%s cannot be kept (%s); it is computed each time", path, error)
        return compute()


def _find_or_build(
    name: str,
    places: Sequence[Path],
    build: Callable[[Path], None],
    distrusted: _Distrusted | None = None,
) -> Path:
    refused: list[str] = []
    for place in places:
        problem = _problem(place, name, distrusted)
        if problem is None:
            return place / name
        try:
            _check_writable(place)
            with disk_full_advice(place / name, _ADVICE):
                path = _build(place, name, build, distrusted)
        except _UnusableError as error:
            refused.append(f"{place} ({error})")
            if os.path.lexists(place / name):
                logger.warning(
                    "%s is not whole (%s) and cannot be replaced (%s)", place / name, problem, error
                )
            continue
        if refused:
            logger.warning("converted data are kept in %s, not in %s", place, ", ".join(refused))
        return path
    raise PermissionError(
        f"the converted data need a folder that can be written to; tried {', '.join(refused)}. "
        f"Give one with cache_dir or the environment variable {CACHE_VARIABLE}"
    )


def _problem(place: Path, name: str, distrusted: _Distrusted | None) -> str | None:
    """What keeps an entry from being used; None where nothing does."""
    entry = place / name
    if not os.path.lexists(entry):
        return "it is not there"
    if distrusted is not None and _identity(entry) == distrusted[0]:
        return distrusted[1]
    return damage(entry, (place, *own_place()))


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.lstat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _check_writable(place: Path) -> None:
    try:
        make_folder(place)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        is_other = os.path.lexists(place) and not place.is_dir()
        reason = "it is no folder" if is_other else error.strerror or str(error)
        raise _UnusableError(reason) from error


def _build(
    place: Path, name: str, build: Callable[[Path], None], distrusted: _Distrusted | None
) -> Path:
    final = place / name
    for path in remove_abandoned(place):
        logger.info("removed %s, which its builder left unfinished", path)
    with only_builder(place, name):
        problem = _problem(place, name, distrusted)
        if problem is None:
            return final
        if os.path.lexists(final):
            logger.warning("%s is not whole (%s); it is built again", final, problem)
            try:
                discard(final)
            except OSError as error:
                raise _UnusableError(f"{name} in it is in the way: {error}") from error
        with new_entry(final, (place, *own_place())) as folder:
            build(folder)
    return final
