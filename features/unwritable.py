"""What the system refuses (a full disk, no permission, a folder where a file belongs) as one sentence with the path.

A full or read-only disk is an error of its own, `Unwritable`: nothing is wrong with the work that ended with it.
"""

import errno
import getpass
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import EmofuseError, MachineFault

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SPARE = 1 << 20  # bytes; with less a disk counts as full
# How safetensors, which is written in Rust, tells of the system's errors.
_RUST_NUMBER = re.compile(r"\(os error (\d+)\)")
# How Python and pyarrow do inside of a text.
_NUMBER = re.compile(r"\[Errno (\d+)\]|errno[: ](\d+)")
_QUOTED = re.compile(r"'([^']+)'")

_SENTENCES = {
    errno.EACCES: "{user} may not read or write here; change the permissions, or choose another place.",
    errno.EISDIR: "expected a file, but this is a folder; give a file's name.",
    errno.ENOTDIR: "expected a folder, but this is a file; choose another path.",
    errno.EEXIST: "something of this name is there already; remove it, or choose another name.",
    errno.ENOENT: "no such file or folder; check the path.",
    errno.ENAMETOOLONG: "the name is longer than the file system takes; choose a shorter one.",
    errno.ELOOP: "its links lead in a circle; name the place itself.",
    errno.EBUSY: "something else holds it, or it is the folder of this shell or a mounted disk; choose another place.",
    errno.ENOTEMPTY: "the folder is not empty; choose another one, or empty it.",
    errno.EMFILE: "this process has too many files open; raise the limit (ulimit -n) and run the same command.",
}
_SENTENCES |= {
    errno.EPERM: _SENTENCES[errno.EACCES],
    errno.EXDEV: _SENTENCES[errno.EBUSY],
    errno.EINVAL: "the system can't do that with this place; choose another one.",
    errno.ENFILE: _SENTENCES[errno.EMFILE],
}
# Libraries raise these with a text alone.
_KINDS = {
    FileNotFoundError: errno.ENOENT,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
    PermissionError: errno.EACCES,
    FileExistsError: errno.EEXIST,
}


class Unwritable(MachineFault):
    """A folder can't be written to: nothing is wrong with the work that ended with it, and it may be done again."""


def unwritable(error: BaseException, folder: Path | None) -> Unwritable | None:
    """The sentence for an error that a full or read-only disk is behind; None for any other.

    `folder` is where the work writes. It is named where the error doesn't say that it was another place, and no other
    (the one for temporary files) turns out to be full. Without it no place may be named.
    """
    if isinstance(error, Unwritable):
        return error
    cause: BaseException | None = error
    while cause is not None:
        number = _number(cause)
        if number in _FULL or number == errno.EROFS:
            what, remedy = ("full", "make room") if number in _FULL else ("read-only", "make it writable")
            place = _blamed(cause, number, folder)
            found = f"{place}: expected to write here, but the" if place else "Expected to write, but a"
            return Unwritable(
                f"{found} disk is {what} (seen from {socket.gethostname()}); {remedy} and run the same command: it "
                "goes on where this one stopped."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def refused(error: OSError, folder: Path | None = None) -> EmofuseError:
    """The sentence for anything that the system refuses: the path, what is the matter, what to do.

    `folder` as in `unwritable`.
    """
    if (full := unwritable(error, folder)) is not None:
        return full
    number, path = _number(error), named_path(error)
    if number == errno.ENOTDIR and path is not None:
        path = next((str(place) for place in (Path(path), *Path(path).parents) if place.is_file()), path)
    place = f"{path}: " if path else ""
    sentence = _SENTENCES.get(number or 0)
    if sentence is None:
        reason = error.strerror or " ".join(str(error).split())[:300] or type(error).__name__
        return EmofuseError(f"{place}the system refuses it ({reason}); see to that and run the same command.")
    return EmofuseError(place + sentence.format(user=this_user()))


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
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if (number := next((number for kind, number in _KINDS.items() if isinstance(error, kind)), None)) is not None:
        return number
    if isinstance(error, shutil.Error | OSError):  # of many files at once; pyarrow's, told by a text alone
        found = _NUMBER.search(str(error))
    else:
        found = _RUST_NUMBER.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(next(filter(None, found.groups()))) if found else None


def named_path(error: BaseException) -> str | None:
    """The path that an error is about, where it says so: of two (a rename), the one that was to be made."""
    if isinstance(error, shutil.Error):
        first = error.args[0][0] if isinstance(error.args[0], list) and error.args[0] else None
        return str(first[1]) if isinstance(first, tuple) else str(error.args[0])
    if isinstance(error, OSError) and error.filename is not None:
        name = error.filename2 if error.filename2 is not None else error.filename
        return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None
    found = _QUOTED.search(str(error))
    text = found[1] if found else str(error)
    return text if "/" in text and " " not in text else None


def _blamed(error: BaseException, number: int | None, folder: Path | None) -> Path | None:
    named = named_path(error)
    if named is not None:
        inside = folder is not None and Path(named).absolute().is_relative_to(folder.absolute())
        return folder if inside else Path(named).parent
    if folder is not None and _seems(folder, number):
        return folder
    temporary = _temporary()
    return temporary if _seems(temporary, number) else folder


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # none that can be written to
        return Path("/tmp")


def _seems(folder: Path, number: int | None) -> bool:
    """Whether the folder's disk is full, or read-only, just now."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    if number == errno.EROFS:
        return bool(disk.f_flag & os.ST_RDONLY)
    return disk.f_bavail * disk.f_frsize < _SPARE or (disk.f_files > 0 and disk.f_favail == 0)


def this_user() -> str:
    """The user that this process runs as, for a sentence."""
    try:
        return f"user {getpass.getuser()}"
    except (KeyError, OSError):  # a number without a name, as in containers
        return f"user {os.getuid()}"
