"""Folders that nobody but this user looks into: where Ray's sockets and its token lie, and local mirrors of runs.

A session's folder is locked while its process lives. The next one finds a folder that a killed process left by its free
lock, and removes it; a lock is freed however a process ends, and holds in containers that share /tmp too.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import EmofuseError

# Not TMPDIR: Ray's sockets lie below, and a socket's path may have 107 bytes.
ROOT = Path("/tmp")
_LOCK = "lock"
# A folder is made a moment before it is locked.
_YOUNG_S = 60.0


@contextmanager
def session_folder(root: Path = ROOT) -> Iterator[Path]:
    """A new folder `emofuse-<uid>-<random>` below `root`, mode 0700, removed at the end."""
    _refuse_open_root(root)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=root))
    try:
        refuse_shared(folder)
        with unfinished(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """A process that is killed in here leaves a `folder` (`emofuse-...`) that `clear_left_behind` removes."""
    with (folder / _LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            (folder / _LOCK).unlink(missing_ok=True)


def private_folder(path: Path) -> Path:
    """The folder `path`, made where it is absent, closed to others; EmofuseError where it is another user's."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _mine(path):
        path.chmod(0o700)
    refuse_shared(path)
    return path


def refuse_shared(folder: Path) -> None:
    """EmofuseError unless `folder` is a folder (no link) of this user that nobody else may enter."""
    found = folder.lstat()
    if not (_mine(folder) and stat.S_IMODE(found.st_mode) & 0o077 == 0):
        raise EmofuseError(
            f"{folder}: expected a folder of this user (uid {os.geteuid()}) with mode 0700, but it is "
            f"{stat.filemode(found.st_mode)} of uid {found.st_uid}, so others could look into it; remove it."
        )


def clear_left_behind(root: Path = ROOT) -> list[Path]:
    """Remove this user's folders `emofuse-...` whose process was killed; returns them."""
    removed = []
    for folder in root.glob("emofuse-*"):
        with suppress(OSError):
            if _mine(folder) and _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _prefix() -> str:
    return f"emofuse-{os.geteuid()}-"


def _mine(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        # What a smoke test leaves is meant to stay.
        if not folder.name.startswith(_prefix()):
            return False
        # Killed before it locked, or of a release that knew no locks, whose processes then name the folder.
        return time.time() - folder.stat().st_mtime > _YOUNG_S and not _named_by_a_process(folder)
    return True


def _named_by_a_process(folder: Path) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                return True
    return False


def _refuse_open_root(root: Path) -> None:
    """A folder that anybody may rename others' folders in protects nothing."""
    found = root.stat()
    shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if shared or found.st_uid not in (0, os.geteuid()):
        raise EmofuseError(
            f"{root}: expected root's folder with the sticky bit (mode 1777), but it is {stat.filemode(found.st_mode)} "
            f"of uid {found.st_uid}, so others could put their folders in the place of ours; set it right."
        )
