"""The process that talks to Ray for a search: it may hang or be ended with Ray, and the search's own goes on.

It has the searching process at the other end of a connection: gets `Order`s to train, asks there for every trial, and
tells there how each ended.
"""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from search.cluster.capacity import Capacity
from search.cluster.jobs import Job
from search.cluster.ray_watch import RayWatch
from search.recipe.recipe import Asha
from search.run.ending import Ending
from search.run.remote import Role, opened

# Whether to stop is asked of the searching process at most this often.
_FRESH_S = 0.2


@dataclass(frozen=True)
class Start:
    """Which Ray: arguments of `connected`; `remote` is the URI and role of a run on an object store."""

    address: str | None
    cpus: int | None
    allow_open: bool
    remote: tuple[str, Role] | None


@dataclass(frozen=True)
class Order:
    """Arguments of `run_jobs`."""

    capacity: Capacity
    asha: Asha | None
    max_epochs: Mapping[str, int]
    run: Path


class Closed(BaseException):
    """The searching process wants no more; no Exception, so that nothing between here and there holds it up."""


class RemoteQueue:
    """The trials of the searching process (a `JobQueue`), asked for over the connection."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._stopping, self._asked = False, 0.0

    @property
    def exhausted(self) -> bool:
        """Nothing will come any more."""
        return bool(self._ask("exhausted"))

    def next(self) -> Job | None:
        """The next trial, or None when there is none now."""
        job = self._ask("next")
        assert job is None or isinstance(job, Job)
        return job

    def put_back(self, job: Job) -> None:
        """Hand `job` out again."""
        self._ask("put_back", job)

    def end(self, job: Job, ending: Ending) -> None:
        """A trial ended."""
        self._ask("end", job, ending)

    def pruned(self, job: Job) -> bool:
        """Its configuration was stopped early on another partition."""
        return bool(self._ask("pruned", job))

    def stopping(self) -> bool:
        """The search shall stop now; Tune asks at every step, so this is a sign of life too."""
        if time.monotonic() - self._asked > _FRESH_S:
            self._ask("stopping")
        return self._stopping

    def give_up(self, reason: EmofuseError) -> None:
        """No trial can go on, for this reason."""
        self._ask("give_up", reason)

    def lost(self, job: Job, out_of_memory: bool) -> None:
        """The trial's process died and the trial is started again."""
        self._ask("lost", job, out_of_memory)

    def _ask(self, what: str, *arguments: Any) -> Any:
        self._connection.send((what, arguments))
        answer = self._connection.recv()
        if answer is None:
            raise Closed
        value, self._stopping = answer
        self._asked = time.monotonic()
        return value


def main(connection: Connection) -> None:
    """Start or join Ray, say what it has, and train what is ordered until the connection or Ray ends."""
    start: Start = connection.recv()
    watch = RayWatch(own=start.address is None)
    _leave_signals_to_the_search()
    try:
        _serve(connection, start, watch)
    except (Closed, EOFError, BrokenPipeError):
        pass
    except EmofuseError as error:
        connection.send(("error", (error,)))
    except Exception as error:
        connection.send(("crashed", (f"{type(error).__name__}: {error}".splitlines()[0],)))


def _serve(connection: Connection, start: Start, watch: RayWatch) -> None:
    from search.cluster.tune import connected, run_jobs

    if start.remote is not None:
        opened(*start.remote)
    with connected(start.address, start.cpus, start.allow_open) as capacity:
        _leave_signals_to_the_search()  # Ray has put its own in place
        watch.ready()
        try:
            connection.send(("ready", (capacity,)))
            while (order := connection.recv()) is not None:
                run_jobs(RemoteQueue(connection), order.capacity, order.asha, order.max_epochs, order.run)
                connection.send(("done", ()))
        finally:
            watch.done()


def _leave_signals_to_the_search() -> None:
    # Ctrl-C and a batch system strike the whole group. A handler, since what is ignored stays so in Ray's processes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
