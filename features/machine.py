"""Whose fault an exception is: the clip's that was read, or the machine's that read it.

The machine's are told by `MachineFault` and recorded nowhere: what can't be imported here, no place for temporary files
or caches, no more open files, a full or read-only disk.
"""

import errno
import re
import socket
from pathlib import Path
from types import TracebackType

from features.errors import MachineFault
from features.unwritable import named_path, this_user, unwritable

_AGAIN = "and run the same command: it goes on where this one stopped"
_OPEN_FILES = {errno.EMFILE, errno.ENFILE}
# Without a path these are not about a file that was opened already, as the clip's is.
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_PLACES = {errno.ENOENT, errno.ENOTDIR, *_FORBIDDEN}
# numba's words where it finds no folder for the machine code of librosa's functions.
_NO_CACHE = "cannot cache function"
_IMPORTING = "<frozen importlib"
# How the loader tells of a library that OpenCV links and a bare system lacks, and what brings them all on Debian.
_SHARED = re.compile(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object file")
_OPENCV = {"libGL", "libxcb", "libX11", "libgthread-2", "libglib-2"}
_DEBIAN = "libgl1 libglib2.0-0"


def machine_fault(
    error: BaseException, what: str, *, media: Path | None = None, folder: Path | None = None, extra: str | None = None
) -> MachineFault | None:
    """The sentence for an error that is this machine's fault; None where it is the fault of what was worked on.

    `what` could not be done ("Feature set 'is10'"); `media` is the file that was read, where any other file that can't
    be used is the machine's fault; `folder` is where the work writes, `extra` the pip extra that `what` needs.
    """
    if isinstance(error, MachineFault):
        return error
    if (full := unwritable(error, folder)) is not None:
        return full
    remedy = _remedy(error, media, extra)
    if remedy is None:
        return None
    said = " ".join(str(error).split())[:300] or type(error).__name__
    kind = "" if isinstance(error, ImportError | OSError) else f"{type(error).__name__}: "
    return MachineFault(f"{what} can't run on {socket.gethostname()} ({kind}{said}); {remedy}, {_AGAIN}.")


def raise_machine_fault(error: BaseException, media: Path) -> None:
    """Raise what is no fault of the file that was read: MachineFault, or MemoryError as it is."""
    # FFmpeg also "lacks memory" for what a damaged header asks for.
    if isinstance(error, MemoryError) and not type(error).__module__.startswith("av."):
        raise error
    if (fault := machine_fault(error, "What reads media", media=media)) is not None:
        raise fault


def _remedy(error: BaseException, media: Path | None, extra: str | None) -> str | None:
    if _NO_CACHE in str(error):
        return f"set NUMBA_CACHE_DIR to a folder that {this_user()} can write to"
    if isinstance(error, ModuleNotFoundError) or isinstance(error.__cause__, ModuleNotFoundError):
        return f"install it with: pip install 'emofuse{f'[{extra}]' if extra else ''}'"
    if isinstance(error, OSError) and error.errno in _OPEN_FILES:
        return "raise the limit of open files (ulimit -n)"
    if isinstance(error, ImportError) and (found := _SHARED.search(str(error))):
        known = f" (Debian: apt install {_DEBIAN})" if found[1].partition(".")[0] in _OPENCV else ""
        return f"install the system's library {found[1]}{known}"
    if isinstance(error, ImportError) or _while_importing(error.__traceback__):
        return "mend what can't be imported, or install emofuse anew"
    if not isinstance(error, OSError) or error.errno is None:
        return None  # as Pillow tells of damaged pictures
    path = named_path(error) if error.filename is not None else None
    if path is None:
        # FFmpeg tells of damage by the system's numbers, without a path where it decodes.
        elsewhere = error.errno in _PLACES and type(error).__module__ == "builtins"
        return f"set TMPDIR to a folder that {this_user()} can write to" if elsewhere else None
    if media is None or _same(path, media):
        return None
    return f"let {this_user()} use that place" if error.errno in _FORBIDDEN else "see to that place"


def _while_importing(trace: TracebackType | None) -> bool:
    """Whether the error came up while a module was imported: that has nothing to do with any clip."""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        trace = trace.tb_next
    return False


def _same(path: str, media: Path) -> bool:
    named = Path(path.removeprefix("file:"))
    return named == media or named.absolute() == media.absolute()
