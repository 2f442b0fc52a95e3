"""Files that are written whole or not at all: on disks that fill up, in programs that are killed.

Whatever is written takes shape in a hidden folder beside its final place, `.NAME.partial-HOST-...`,
is forced to the disk and then renamed, so that a reader sees the old content or the new and never a
part. While it is being written its writer holds a lock, which the system drops however the process
ends: so the next writer of the same name knows which of these folders are abandoned, and removes
them. Those of other computers, whose locks not every network file system shows, go when nothing has
changed in them for a day.
"""

import errno
import glob
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

PARTIAL = ".partial-"
"""What the name of every unfinished output contains."""
RUN_AGAIN = "Free some, then run the same command again"
"""What to do about a full disk, where nothing better is known."""
ABANDONED_AFTER = 24 * 3600.0
"""Seconds without a change after which another computer's unfinished output counts as abandoned."""

_HOST = "".join(c for c in socket.gethostname() if c.isalnum())[:40] or "unnamed"
_LONGEST = 100
"""Letters of a name that its unfinished output carries: file systems allow 255 for all of it."""
_LOCK = "lock"
_NOBODY = "new"
"""In place of the host, while the writer has no lock yet."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = re.compile(
    "No space left on device|Disk quota exceeded|File too large|[0-9]+ requested and [0-9]+ written"
)
"""How libraries that pass on no number (HDF5, safetensors, NumPy) say it."""
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
"""Numbers by which file systems say that they have no locks."""


@contextmanager
def whole_file(path: Path, advice: str = RUN_AGAIN) -> Iterator[Path]:
    """A path to write to, whose file takes the place of another when the context ends well.

    What a symbolic link leads to is replaced, not the link, and a file that is replaced hands down
    its mode. Pipes and devices, which have no content to keep, are written to directly.

    Args:
        path: Where the file goes; its folder is made where it is missing.
        advice: What to do if the disk is full.

    Raises:
        IsADirectoryError: There is a folder at this place.
        PermissionError: The file there is write-protected, or its folder cannot be written.
        OSError: The disk is full; what was there before is untouched.
    """
    final = _replaceable(path)
    if final.exists() and not final.is_file():
        yield final
        return
    with disk_full_advice(path, advice), _partial(final) as place:
        partial = place / final.name
        yield partial
        if final.exists():
            shutil.copymode(final, partial)
        sync(partial)
        partial.replace(final)
    sync(final.parent)


def require_writable(path: Path) -> None:
    """Refuse a place that `whole_file` could not write to, before the work of hours.

    Nothing stays of the trial; a folder that is missing is not made yet.

    Raises:
        IsADirectoryError: There is a folder at this place.
        NotADirectoryError: There is a file where a folder of the path should be.
        PermissionError: The file there is write-protected, or its folder cannot be written.
        OSError: The disk is full or cannot be written at all.
    """
    final = _replaceable(path)
    if os.path.exists(final) and not final.is_file():  # noqa: PTH110
        return
    folder = _folder_there(final, path)
    try:
        with disk_full_advice(path):
            Path(
                tempfile.mkdtemp(prefix=f".{final.name[:_LONGEST]}{PARTIAL}{_NOBODY}-", dir=folder)
            ).rmdir()
    except OSError as error:
        if error.errno in _FULL:
            raise
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        raise kind(f"cannot write {path}: {folder} cannot be written ({error.strerror})") from error


def require_other_file(output: Path, inputs: Mapping[str, Path]) -> None:
    """Refuse an output that would take the place of something that is read and not copied to it.

    Args:
        output: Where a file goes.
        inputs: What the user calls each file that is read.

    Raises:
        ValueError: They are one file, by whatever names.
    """
    for name, path in inputs.items():
        if path.exists() and output.exists() and output.samefile(path):
            raise ValueError(
                f"output and {name} are the same file, {path}, whose content the output does not "
                "hold and would replace; give another output"
            )


@contextmanager
def whole_folder(path: Path, advice: str = RUN_AGAIN) -> Iterator[Path]:
    """An empty folder to fill, which takes its place when the context ends well.

    Raises:
        FileExistsError: There is something at its place by then.
        PermissionError: The folder around it cannot be written.
        OSError: The disk is full; nothing is left behind.
    """
    with disk_full_advice(path, advice), _partial(path) as place:
        partial = place / path.name
        partial.mkdir()
        yield partial
        for inner in partial.rglob("*"):
            sync(inner)
        sync(partial)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        if path.exists():
            raise FileExistsError(f"{path} was filled while this ran; it is kept")
        partial.rename(path)
    sync(path.parent)


def write_text(path: Path, text: str, advice: str = RUN_AGAIN) -> None:
    """Write a file of text, in UTF-8, whole or not at all."""
    write_bytes(path, text.encode(), advice)


def write_bytes(path: Path, content: bytes, advice: str = RUN_AGAIN) -> None:
    """Write a file whole or not at all."""
    with whole_file(path, advice) as partial:
        partial.write_bytes(content)


@contextmanager
def disk_full_advice(path: Path, advice: str = RUN_AGAIN) -> Iterator[None]:
    """Say what was being written when the disk was full, and that nothing is lost.

    Raises:
        OSError: Instead of what the system or a library says.
    """
    try:
        yield
    except Exception as error:
        reason = _why_full(error)
        if reason is None:
            raise
        full = OSError(
            f"no space left for {path} ({reason}); what was written before is whole. {advice}"
        )
        full.errno = errno.ENOSPC
        raise full from error


def remove_abandoned(folder: Path, name: str | None = None) -> list[Path]:
    """Remove what killed writers have left unfinished in a folder.

    Args:
        folder: Where to look; folders in it are left alone.
        name: The file or folder whose unfinished states are meant; all by default.

    Returns:
        What was removed.
    """
    start = "*" if name is None else glob.escape(name[:_LONGEST])
    found = [path for path in folder.glob(f".{start}{PARTIAL}*-*") if path.is_dir()]
    abandoned = [path for path in found if _is_abandoned(path)]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return [path for path in abandoned if not path.exists()]


def discard(path: Path) -> None:
    """Take a file or folder out of the way at once; other processes may still have it open.

    What cannot be removed, because it is another user's, stays as an abandoned output.

    Raises:
        OSError: It cannot be moved.
    """
    aside = path.with_name(f".{path.name[:_LONGEST]}{PARTIAL}{_HOST}-{secrets.token_hex(4)}")
    with suppress(FileNotFoundError):
        path.replace(aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink()


def sync(path: Path) -> None:
    """Force a file or the names in a folder to the disk.

    Raises:
        OSError: The disk is full. Some network file systems refuse to do this at all; their files
            follow in their time.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _FULL:
            raise
    finally:
        os.close(descriptor)


def _replaceable(path: Path) -> Path:
    """Where a file goes, for which there is no folder and no write-protected file there.

    Raises:
        IsADirectoryError: There is a folder.
        PermissionError: There is such a file.
    """
    final = path.resolve() if os.path.islink(path) else path  # noqa: PTH114 - pathlib raises
    # where a folder on the way may not be looked into; these are False
    if os.path.isdir(final):  # noqa: PTH112
        raise IsADirectoryError(f"cannot write {path}: there is a folder of this name")
    if os.path.isfile(final) and not os.access(final, os.W_OK):  # noqa: PTH113
        raise PermissionError(f"cannot write {path}: it is there and write-protected")
    return final


def _folder_there(final: Path, path: Path) -> Path:
    """The folder of a place, or the nearest above it that exists.

    Raises:
        NotADirectoryError: It is a file.
    """
    folder = next(place for place in final.absolute().parents if os.path.exists(place))  # noqa: PTH110
    if not folder.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {folder} is a file, not a folder")
    return folder


@contextmanager
def _partial(final: Path) -> Iterator[Path]:
    """A locked hidden folder beside a place, which is gone in the end."""
    _folder_there(final, final)
    final.parent.mkdir(parents=True, exist_ok=True)
    name = final.name[:_LONGEST]
    remove_abandoned(final.parent, final.name)
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{name}{PARTIAL}{_NOBODY}-", dir=final.parent))
    except PermissionError as error:
        raise PermissionError(
            f"cannot write {final}: its folder {final.parent} cannot be written"
        ) from error
    lock = FileLock(new / _LOCK, timeout=0, fallback_to_soft=False)
    place = new.with_name(new.name.replace(f"{PARTIAL}{_NOBODY}-", f"{PARTIAL}{_HOST}-"))
    try:
        with suppress(NotImplementedError, OSError):  # without locks, age tells what is abandoned
            lock.acquire()
        new.rename(place)  # it takes the name that others look for when its lock is held
        yield place
    finally:
        lock.release()
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def _is_abandoned(place: Path) -> bool:
    """Whether the writer of an unfinished output is certainly dead."""
    host = place.name.rpartition(PARTIAL)[2].split("-", 1)[0]
    if host == _HOST and os.path.exists(place / _LOCK):  # noqa: PTH110 - False in others' folders
        lock = FileLock(place / _LOCK, timeout=0, fallback_to_soft=False)
        try:
            lock.acquire()
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                return False  # it is held, or not ours to look at
        else:
            lock.release()
            return True
    with suppress(OSError):
        newest = max(path.stat().st_mtime for path in (place, *place.rglob("*")))
        return time.time() - newest > ABANDONED_AFTER
    return False


def _why_full(error: BaseException) -> str | None:
    """What an error, or one that led to it, says of a full disk; None where it is no such error."""
    cause: BaseException | None = error
    reason = None
    while cause is not None:  # the first of them knows best
        said = _FULL_WORDS.search(str(cause))
        if isinstance(cause, OSError) and cause.errno in _FULL:
            reason = cause.strerror or reason or str(cause)
        elif said:
            reason = said[0]
        cause = cause.__cause__ or cause.__context__
    return reason
