"""Disks that are full or read-only: one sentence at the end of the work, and no half files before it."""

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import EmofuseError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# How safetensors, which is written in Rust, tells of the system's errors.
_NUMBER = re.compile(r"\(os error (\d+)\)")


class Unwritable(EmofuseError):
    """A folder can't be written to: nothing is wrong with the work that ended with it, and it may be done again."""


def unwritable(error: BaseException, folder: Path) -> Unwritable | None:
    """The sentence for an error that a full or read-only disk is behind; None for any other."""
    if isinstance(error, Unwritable):
        return error
    cause: BaseException | None = error
    while cause is not None:
        number = _number(cause)
        if number in _FULL or number == errno.EROFS:
            what, remedy = ("full", "make room") if number in _FULL else ("read-only", "make it writable")
            return Unwritable(
                f"{folder}: expected to write here, but the disk is {what} (seen from {socket.gethostname()}); "
                f"{remedy} and run the same command: it goes on where this one stopped."
            )
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell of a full or read-only disk by `Unwritable`; `folder` is what the sentence names."""
    try:
        yield
    except Exception as error:
        told = unwritable(error, folder)
        if told is None or told is error:
            raise
        raise told from error


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _NUMBER.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None
