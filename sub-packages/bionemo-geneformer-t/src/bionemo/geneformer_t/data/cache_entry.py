"""A cache entry: a folder that is whole, and is known to be.

It is built in a hidden folder beside its final place, under a lock, and renamed in one step, so
that a reader never sees half of one. Its manifest, written last, holds the size and the hash of
every file; an entry is opened only after it was compared with its manifest. What is put into an
entry later (encodings of its cells, successors) is an entry of its own.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.data.cache_lock import is_free
from bionemo.geneformer_t.data.content_hash import content_digest
from bionemo.geneformer_t.data.shared_modes import share_like
from bionemo.geneformer_t.files import sync

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
ABANDONED_AFTER = 24 * 3600.0
"""Seconds without a change after which another computer's unfinished folder counts as abandoned:
not every network file system hands the locks of other computers on."""
VISIBLE_WITHIN = 10.0
"""Seconds that a network file system may take to show a new name."""
_POLL = 0.1
_SUFFIX = ".geneformer_t_partial"
"""What is removed when it is abandoned must not look like anything else."""
_HOST = "".join(c for c in socket.gethostname() if c.isalnum()) or "unnamed"


def damage(entry: Path, memory: Sequence[Path] = ()) -> str | None:
    """What is wrong with an entry, against its manifest; None where nothing is.

    Files beyond those of the manifest are no damage.

    Args:
        entry: The entry's folder.
        memory: Caches that remember the hashes of large files; see `content_digest`.
    """
    try:
        _check(entry, memory)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    except ValueError as error:
        return str(error)
    return None


def unfinished(place: Path, name: str) -> Path:
    """An empty folder to build an entry in."""
    folder = unused_name(place, name)
    folder.mkdir()
    return folder


def publish(folder: Path, final: Path, memory: Sequence[Path] = ()) -> None:
    """Complete a folder and put it in its place, unless another process was faster.

    Raises:
        OSError: It cannot be put there, or does not show up there.
    """
    content = sorted(folder.rglob("*"))
    share_like(final.parent, folder, *content)
    for path in content:
        sync(path)
    _write_manifest(folder, [path for path in content if path.is_file()], memory)
    share_like(final.parent, folder / MANIFEST)
    sync(folder / MANIFEST)
    sync(folder)
    try:
        folder.replace(final)
    except OSError:
        if not appears(final):
            raise
        logger.info("another process has built %s meanwhile; using that", final)
    if not appears(final):
        raise FileNotFoundError(
            f"{final} was put in place and cannot be seen after {VISIBLE_WITHIN:.0f} s; is its "
            "folder being deleted, or its file server not answering?"
        )


def discard(path: Path) -> None:
    """Take an entry out of the way at once; other processes may still have it open.

    What is another user's may stay under a name that nobody looks for.

    Raises:
        OSError: It cannot be moved.
    """
    aside = unused_name(path.parent, path.name)
    with suppress(FileNotFoundError):
        path.replace(aside)
        _remove(aside)


def unused_name(place: Path, name: str) -> Path:
    """A name beside an entry for what is not finished; `clear_abandoned` knows it."""
    return place / f".{name}-{_HOST}-{secrets.token_hex(4)}{_SUFFIX}"


def clear_abandoned(place: Path) -> None:
    """Remove the unfinished folders whose builders are dead."""
    for path in place.glob(f".*-*-*{_SUFFIX}"):
        name, host, _ = path.name[1:].removesuffix(_SUFFIX).rsplit("-", 2)
        if (is_free(place, name) if host == _HOST else _is_still(path)) and _remove(path):
            logger.info("removed %s, which its builder left unfinished", path)


def appears(path: Path, within: float | None = None) -> bool:
    """Whether a name is there, or soon is: renames reach other clients of a file server late."""
    end = time.monotonic() + (VISIBLE_WITHIN if within is None else within)
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL)
        with suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - makes the client ask its server again
    return True


def _remove(path: Path) -> bool:
    """Remove a folder, or a file in its place; not where it is another user's."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        return True
    return False


def _is_still(folder: Path) -> bool:
    with suppress(OSError):
        newest = max(p.stat().st_mtime for p in (folder, *folder.rglob("*")))
        return time.time() - newest > ABANDONED_AFTER
    return False


def _check(entry: Path, memory: Sequence[Path]) -> None:
    """Compare an entry with its manifest, whose names are looked up among those that are there.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: It is damaged.
    """
    if not entry.is_dir():
        raise ValueError("it is no folder")
    written = _read_manifest(entry / MANIFEST)
    present = {path.relative_to(entry).as_posix(): path for path in entry.rglob("*")}
    for name, (size, digest) in written.items():
        if name not in present:
            raise ValueError(f"{name} is missing")
        status = present[name].lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{name} is no file")
        if status.st_size != size:
            raise ValueError(f"{name} holds {status.st_size:,} bytes; {size:,} were written")
        if content_digest(present[name], memory) != digest:
            raise ValueError(f"{name} does not hold what was written")


def _write_manifest(folder: Path, files: list[Path], memory: Sequence[Path]) -> None:
    written = {
        file.relative_to(folder).as_posix(): [
            file.stat().st_size, content_digest(file, memory, is_complete=True)
        ]
        for file in files
    }  # fmt: skip
    sealed = {"files": written, "sha256": _seal(written)}
    (folder / MANIFEST).write_text(json.dumps(sealed, indent=1), encoding="utf-8")


def _read_manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Names, sizes and hashes of an entry's files.

    Raises:
        ValueError: It is damaged.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["sha256"] == _seal(content["files"]):
            return {name: (size, digest) for name, (size, digest) in content["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # no JSON, or other JSON: the error below says it
    raise ValueError(f"{MANIFEST} does not hold what was written")


def _seal(written: Any) -> str:
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()
