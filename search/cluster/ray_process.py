"""The process that talks to Ray for a search: it may hang or be ended with Ray, and the search's own goes on.

It has the searching process at the other end of a connection: gets `Order`s to train, asks there for every trial, and
tells there how each ended.

A call into Ray whose control service was killed blocks for a minute and then ends the process; without its raylet the
trials wait for ever. So threads watch, and end the process with a code that tells why.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from search.cluster.capacity import Capacity
from search.cluster.jobs import Job
from search.recipe.limits import Asha
from search.run.ending import Ending
from search.run.remote import Role, opened

# Exit codes; Ray's own processes by its names for them.
EXIT_CODES = {"gcs_server": 81, "raylet": 82, "unresponsive": 83, "orphan": 84}
REASONS = {
    EXIT_CODES["gcs_server"]: "its control service (gcs_server) ended",
    EXIT_CODES["raylet"]: "its raylet ended",
    EXIT_CODES["unresponsive"]: "its control service did not answer, or told of no living node",
}
_EVERY_S = 0.2
# Asked this often, and unanswered for so long, it is as good as dead.
_ASK_EVERY_S, _PATIENCE_S = 2.0, 25.0
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

    def stopped(self, job: Job, wall_s: float, gpu_s: float) -> None:
        """The trial was stopped at its checkpoint, since a budget is over."""
        self._ask("stopped", job, wall_s, gpu_s)

    def pruned(self, job: Job) -> bool:
        """Its configuration was stopped early on another partition."""
        return bool(self._ask("pruned", job))

    def finished(self, job: Job) -> bool:
        """Its configuration is finished on another partition."""
        return bool(self._ask("finished", job))

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


class RayWatch:
    """Ends this process when the one that started it is gone, and, for a Ray of its own, when that is.

    `ready` tells that Ray works now and may be asked, `done` that what follows is its end.
    """

    def __init__(self, own: bool):
        self._own = own
        self._parent = os.getppid()
        self._done = threading.Event()
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._answered: float | None = None
        threading.Thread(target=self._look, name="ray-watch", daemon=True).start()

    def follow(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """From here on the process `name` (one of EXIT_CODES) must not end."""
        self._processes.append((name, process))

    def follow_all(self) -> None:
        """Follow what Ray starts from here on, at once: for one that is killed early Ray waits 30 s."""
        from ray._private import services

        start = services.start_ray_process

        def followed(command: list[str], process_type: str, *arguments: Any, **options: Any) -> Any:
            info = start(command, process_type, *arguments, **options)
            if process_type in EXIT_CODES:
                self.follow(process_type, info.process)
            return info

        services.start_ray_process = followed

    def ready(self) -> None:
        """Ask Ray now and then from here on."""
        self._answered = time.monotonic()
        if self._own:
            threading.Thread(target=self._ask, name="ray-ask", daemon=True).start()

    def done(self) -> None:
        """Ray's processes end because they shall."""
        self._done.set()

    def _look(self) -> None:
        while True:
            time.sleep(_EVERY_S)
            if os.getppid() != self._parent:
                os._exit(EXIT_CODES["orphan"])
            if not self._own or self._done.is_set():
                continue
            for name, process in tuple(self._processes):
                if process.poll() is not None and not self._done.is_set():
                    os._exit(EXIT_CODES[name])
            if self._answered is not None and time.monotonic() - self._answered > _PATIENCE_S:
                os._exit(EXIT_CODES["unresponsive"])

    def _ask(self) -> None:
        import ray

        while not self._done.wait(_ASK_EVERY_S):
            with suppress(Exception):  # what is no answer counts as none
                if any(node["Alive"] for node in ray.nodes()):
                    self._answered = time.monotonic()


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
    watch.follow_all()
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
