"""Rights of what is made in a folder that a group shares.

New files inherit the folder's group where its setgid bit is set, but their rights follow the umask
of the writer, and a usual umask keeps the rest of the group out. Where the group may write to a
folder, it may write to what is made there.
"""

import stat
from pathlib import Path


def share_like(folder: Path, *made: Path) -> None:
    """Give files and folders the group's rights, and the setgid bit, of the folder they are in.

    Nothing is changed where the group may not write to the folder: the umask alone decides then.
    """
    mode = folder.stat().st_mode
    if not mode & stat.S_IWGRP:
        return
    for path in made:
        old = path.lstat().st_mode
        if stat.S_ISLNK(old):
            continue
        rights = mode & (stat.S_IRWXG | stat.S_ISGID)
        if not stat.S_ISDIR(old):
            rights &= stat.S_IRGRP | stat.S_IWGRP
        if old | rights != old:
            path.chmod(stat.S_IMODE(old | rights))


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, with the rights of the first that was there.

    Raises:
        OSError: It cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    share_like(path.parent, path)
