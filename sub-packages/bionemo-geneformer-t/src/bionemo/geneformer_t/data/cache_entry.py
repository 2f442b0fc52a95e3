"""A cache entry: a folder that is whole, and is known to be.

Cache entries are atomic: built in a temporary directory, then renamed (`files.whole_folder`). The
manifest, written last, holds the size and the hash of every file; an entry is opened only after it
was compared with its manifest. What is put into an entry later (encodings of its cells, successors)
is an entry of its own.
"""

import errno
import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.data.content_hash import content_digest
from bionemo.geneformer_t.data.shared_modes import share_like
from bionemo.geneformer_t.files import whole_folder

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
VISIBLE_WITHIN = 10.0
"""Seconds that a network file system may take to show a new name."""
_POLL = 0.1


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


@contextmanager
def new_entry(final: Path, memory: Sequence[Path] = ()) -> Iterator[Path]:
    """An empty folder to fill, which becomes the entry unless another process was faster.

    Args:
        final: The entry's folder.
        memory: Caches that remember the hashes of large files.

    Raises:
        OSError: It cannot be put there, or does not show up there.
    """
    is_filled = False
    try:
        with whole_folder(final) as folder:
            yield folder
            is_filled = True
            _complete(folder, final.parent, memory)
    except OSError as error:
        is_there = isinstance(error, FileExistsError) or error.errno == errno.ENOTEMPTY
        if not (is_filled and is_there and appears(final)):
            raise
        logger.info("another process has built %s meanwhile; using that", final)
    if not appears(final):
        raise FileNotFoundError(
            f"{final} was put in place and cannot be seen after {VISIBLE_WITHIN:.0f} s; is its "
            "folder being deleted, or its file server not answering?"
        )


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


def _complete(folder: Path, place: Path, memory: Sequence[Path]) -> None:
    """Give what was built the rights that are usual in its place, and write its manifest."""
    content = sorted(folder.rglob("*"))
    share_like(place, folder, *content)
    written = {
        file.relative_to(folder).as_posix(): [
            file.stat().st_size, content_digest(file, memory, is_complete=True)
        ]
        for file in content if file.is_file()
    }  # fmt: skip
    sealed = {"files": written, "sha256": _seal(written)}
    (folder / MANIFEST).write_text(json.dumps(sealed, indent=1), encoding="utf-8")
    share_like(place, folder / MANIFEST)


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
