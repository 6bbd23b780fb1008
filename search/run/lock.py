"""One search at a time on a run's folder: a lock that the system frees even when its holder is killed."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import EmofuseError


def is_locked(run: Path) -> bool:
    """Whether a process of a machine that shares this file system's locks works on the run."""
    try:
        with (run / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # never started, or a file system without locks
    return False


@contextmanager
def exclusive(run: Path) -> Iterator[None]:
    """Hold the run's lock, EmofuseError if another holds it."""
    with (run / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmofuseError(
                f"{run}: another search works on this run; wait for it, stop it, or choose another folder with -o."
            ) from None
        yield
