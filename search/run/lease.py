"""One search at a time on a run: a lock on its folder, which the system frees even when its holder is killed, and a
lease on an object store, which has no locks.
"""

import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO

from features.disk.sealed import open_line, sealed_line
from features.disk.stores import in_a_line
from features.errors import EmofuseError
from features.progress import say

# How often the holder writes; one that has not written three times in a row is taken for dead.
BEAT_S = 10.0
LEASE_S = 3 * BEAT_S
LOCK_PATIENCE_S = 3.0


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
    """Hold the run's lock, EmofuseError if another holds it.

    Who looks whether a run is locked holds it for a moment, and a search that was just stopped for as long as it takes
    to end.
    """
    with (run / ".lock").open("ab") as file:
        until = time.monotonic() + LOCK_PATIENCE_S
        while not _locked(file):
            if time.monotonic() >= until:
                raise EmofuseError(
                    f"{run}: another search works on this run; wait for it, stop it, or choose another folder with -o."
                )
            time.sleep(0.05)
        yield


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True)
class Lease:
    """A small object that its holder writes again and again; `place` names the run in messages."""

    place: str
    read: Callable[[], str | None]
    write: Callable[[str], None]

    def take(self) -> None:
        """Become the holder; EmofuseError when another one lives.

        The clocks of hosts and store needn't agree: a holder lives when what it writes changes.
        """
        first = self.read()
        if first is not None and not _dead_here(first):
            say(f"{self.place}: a driver was here ({_holder(first)}); looking whether it still is ...")
            until = time.monotonic() + LEASE_S
            while time.monotonic() < until and self.read() == first:
                time.sleep(min(1.0, LEASE_S / 4))
            if self.read() not in (None, first):
                raise EmofuseError(
                    f"{self.place}: another search ({_holder(first)}) works on this run; wait for it, stop it, or "
                    "choose another folder with -o."
                )
        self.beat()

    def beat(self) -> None:
        """Tell that the holder lives."""
        self.write(signed(socket.gethostname(), os.getpid()))


class Keeper:
    """While a lease is held: beats, has all written back and what is wanted sooner too, and hears who is asked to stop.

    `push` writes back the names that it is given, or without any all; `asked` reads who is asked (None: nobody).
    """

    def __init__(self, own: Lease, push: Callable[..., None], asked: Callable[[], str | None]):
        self._lease, self._push, self._asked = own, push, asked
        self._wanted: SimpleQueue[str | None] = SimpleQueue()
        self._stopping = False

    def want(self, names: Iterable[str]) -> None:
        """Have these written back at once."""
        for name in names:
            self._wanted.put(name)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the lease in a thread."""
        thread = threading.Thread(target=self._keep, name="emofuse-remote", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._wanted.put(None)
            thread.join()

    def _keep(self) -> None:
        """Until None is wanted."""
        due_s = time.monotonic() + BEAT_S
        while True:
            names = set[str | None]()
            with suppress(Empty):
                names.add(self._wanted.get(timeout=max(0.0, due_s - time.monotonic())))
                while True:
                    names.add(self._wanted.get_nowait())
            if None in names:
                return
            try:
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + BEAT_S
                    self._lease.beat()
                    self._stop_if_asked()
                    self._push()
                elif names:
                    self._push(*names)
            except OSError as error:
                say(f"{self._lease.place}: can't be written now ({in_a_line(error)}); trying again")

    def _stop_if_asked(self) -> None:
        """Once: a second signal would not wait for running epochs."""
        if not self._stopping and (text := self._asked()) is not None and is_own(text):
            self._stopping = True
            os.kill(os.getpid(), signal.SIGINT)


def signed(host: str, pid: int) -> str:
    """A line that names a process of a host, and when it was written."""
    return sealed_line({"host": host, "pid": pid, "at_s": time.time()})


def is_own(text: str) -> bool:
    """Whether such a line names this process."""
    return _told(text) == (socket.gethostname(), os.getpid())


def _told(text: str) -> tuple[str, int] | None:
    """Host and process of a holder; None for a damaged text, whose writer may live all the same."""
    data = open_line(text)
    if data is not None and isinstance(data.get("host"), str) and isinstance(data.get("pid"), int):
        return data["host"], data["pid"]
    host, _, rest = text.partition("\n")  # as earlier releases wrote it
    pid = rest.partition("\n")[0]
    return (host, int(pid)) if host and pid.isdecimal() and len(pid) < 10 else None


def _dead_here(text: str) -> bool:
    told = _told(text)
    if told is None or told[0] != socket.gethostname():
        return False
    try:
        os.kill(told[1], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _holder(text: str) -> str:
    told = _told(text)
    return f"process {told[1]} on {told[0]}" if told else "it is not told which"
