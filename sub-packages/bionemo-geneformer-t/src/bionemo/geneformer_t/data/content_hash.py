"""Names for what files hold: SHA-256 over all their bytes, computed once for as long as they stay.

Size and time of the last change do not tell two contents apart, since anybody can set that time. A
file's change time (ctime) is set by the system alone, at each write and each change of its times;
so a hash is remembered beside the file's device, inode, size, mtime and ctime, and taken from there
while all five are the same. Two cases are hashed each time: a file that changed within the last two
seconds, since the next write may leave the same ctime, and one in a read-only image (whole seconds
everywhere, as squashfs has them), since another image may have the same numbers.
"""

import hashlib
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from bionemo.geneformer_t.files import write_text

MEMORY = ".hashes"
"""Folder inside a cache that remembers hashes."""
SETTLED_AFTER = 2.0
"""Seconds: coarser than the clocks of all file systems in use."""
ALWAYS_READ = 1 << 20
"""Files of up to so many bytes are always hashed, which takes a millisecond."""

_SECOND = 1_000_000_000


def fingerprint(files: Sequence[Path], *also: object, memory: Sequence[Path] = ()) -> str:
    """Name the content of files, and their names below the folder that they share.

    Args:
        files: Regular files.
        also: Values that enter too.
        memory: Caches that may remember hashes; see `content_digest`.
    """
    digest = hashlib.sha256(repr(also).encode())
    above = os.path.commonpath([file.parent for file in files]) if files else ""
    for file in files:
        name, content = os.path.relpath(file, above), content_digest(file, memory)
        digest.update(f"{name}:{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def path_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of all files of a folder."""
    if path.is_file():
        return content_digest(path)
    digest = hashlib.sha256()
    for file in sorted(child for child in path.rglob("*") if child.is_file()):
        digest.update(f"{file.relative_to(path)}:{content_digest(file)}\n".encode())
    return digest.hexdigest()


def content_digest(file: Path, memory: Sequence[Path] = (), *, is_complete: bool = False) -> str:
    """SHA-256 of a file.

    Args:
        file: A regular file, or a link to one.
        memory: Caches that may remember the hash. It is looked for in all of them and kept in the
            first that can be written to.
        is_complete: Nobody else writes to this file, so that it may be remembered at once.
    """
    before = file.stat()
    if before.st_size > ALWAYS_READ:
        for folder in memory:
            remembered = _recall(folder, before)
            if remembered is not None:
                return remembered
    started = time.time()
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if before.st_size > ALWAYS_READ and _state(file.stat()) == _state(before):
        is_settled = started - max(before.st_mtime, before.st_ctime) > SETTLED_AFTER
        if (is_settled or is_complete) and not _may_be_in_an_image(file, before):
            _remember(memory, before, digest)
    return digest


def file_states(files: Sequence[Path]) -> list[tuple[int, ...]]:
    """Device, inode, size and mtime of each: another after most changes, whatever is written.

    Raises:
        FileNotFoundError: There is no such file any more.
    """
    return [_state(file.stat())[:4] for file in files]


def _state(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )  # fmt: skip


def _may_be_in_an_image(file: Path, status: os.stat_result) -> bool:
    if status.st_ctime_ns % _SECOND or status.st_ctime_ns != status.st_mtime_ns:
        return False
    return bool(os.statvfs(file).f_flag & os.ST_RDONLY)


def _record(folder: Path, status: os.stat_result) -> Path:
    """One for each file: a changed file takes the place of what it was. Inodes are a host's own."""
    key = repr((socket.gethostname(), status.st_dev, status.st_ino))
    return folder / MEMORY / hashlib.sha256(key.encode()).hexdigest()[:24]


def _recall(folder: Path, status: os.stat_result) -> str | None:
    try:
        state, digest = json.loads(_record(folder, status).read_bytes())
    except (OSError, ValueError, TypeError):  # not there, or damaged: then it is computed again
        return None
    is_digest = isinstance(digest, str) and len(digest) == hashlib.sha256().digest_size * 2
    return digest if is_digest and state == list(_state(status)) else None


def _remember(memory: Sequence[Path], status: os.stat_result, digest: str) -> None:
    for folder in memory:
        try:
            write_text(_record(folder, status), json.dumps([_state(status), digest]))
        except OSError:  # a hash that is not remembered is only computed again
            continue
        return
