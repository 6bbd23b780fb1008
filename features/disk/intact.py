"""Which files were found intact on this machine: they are checked once, and again when they are others.

A note for each group of files lies in a folder that only this user can write to. It holds where they lie, their sizes,
inodes and times of change, and counts until the machine is started again, at most 30 days. So the processes of one node
check a feature set once, also where the store is read-only or shared by many nodes.
"""

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from features.disk.own_folder import own_folder

_COUNTS_S = 30 * 86400
# So long who finds another process at the same check waits for its result.
_WAIT_S = 600.0
# Changes that follow one another within a tick of the file system's clock look like one.
_TICK_NS = 50_000_000
_seen: set[str] = set()


def check_once(files: Sequence[Path], check: Callable[[], None], beat: Callable[[], None] = lambda: None) -> None:
    """Call `check` unless these very files passed it on this machine before; what it raises is not remembered.

    `beat` is called while another process of this machine is at the same check.
    """
    stamp = _stamp(files)
    if stamp in _seen:
        return
    with _note(files[0].parent, beat) as note:
        if note is not None and stamp is not None and _noted(note) == stamp:
            _seen.add(stamp)
            return
        began = time.time_ns()
        check()
        if stamp is None or stamp != _stamp(files) or began - max(map(_changed_ns, files)) < _TICK_NS:
            return
        _seen.add(stamp)
        if note is not None:
            note.seek(0)
            note.truncate()
            note.write(stamp)


def _stamp(files: Sequence[Path]) -> str | None:
    """What tells these files from others, and this start of this machine from others; None where one is missing."""
    try:
        states = [path.stat() for path in files]
    except OSError:
        return None
    parts = [
        [os.path.realpath(path), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns]
        for path, s in zip(files, states, strict=True)
    ]
    return json.dumps([_machine(), parts])


def _changed_ns(path: Path) -> int:
    return path.stat().st_ctime_ns


def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return socket.gethostname()


def _noted(note: IO[str]) -> str:
    note.seek(0)
    fresh = time.time() - os.fstat(note.fileno()).st_mtime < _COUNTS_S
    return note.read() if fresh else ""


@contextmanager
def _note(place: Path, beat: Callable[[], None]) -> Iterator[IO[str] | None]:
    """The note about the files in a folder, this process' own for the while; None where there is no place for notes."""
    folder = _folder()
    # By machine: a home folder may be shared by many.
    name = hashlib.sha256(f"{_machine()} {os.path.realpath(place)}".encode()).hexdigest()[:40]
    try:
        file = (folder / name).open("a+", encoding="utf-8", errors="replace") if folder else None
    except OSError:
        file = None
    if file is None:
        yield None
        return
    with file:
        _lock(file, beat)
        yield file


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Keep other processes of this user on this machine out of `what` for a while; where there is no lock, don't."""
    folder = _folder()
    with _held(folder / f"{what}.lock") if folder else nullcontext():
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock at `path` if it can be had in time."""
    with path.open("a", encoding="utf-8") as file:
        _lock(file, lambda: None)
        yield


def _lock(file: IO[str], beat: Callable[[], None]) -> None:
    """Wait for another process at the same check, but not for ever: a check done twice does no harm."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return None
        except OSError:  # a file system without locks
            return None
        beat()
        time.sleep(0.05)


def _folder() -> Path | None:
    return own_folder("intact")
