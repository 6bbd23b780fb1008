"""Ray for a search: a process of its own that talks to it, started again when Ray dies."""

import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from features.disk.scratch import clear_left_behind
from features.errors import EmofuseError
from features.progress import say
from search.cluster.capacity import Capacity
from search.cluster.jobs import Job, Source
from search.cluster.ray_process import REASONS, Order, Start
from search.run.ending import Ending
from search.run.remote import remote_of

# So often Ray may die without a trial that ended between.
MAX_DEATHS = 3
# So often Ray may die while a trial runs, which may be the cause.
MAX_DEATHS_OF_A_TRIAL = 3
# Without a sign of life for so long the process hangs; a slow machine takes long to start Ray.
_SILENT_S, _START_S, _CLOSE_S = 120.0, 180.0, 20.0
# Where the four packages lie; a `search.py` of a script's own folder must not come before them.
_HOME = str(Path(__file__).resolve().parents[2])
_CODE = (
    "import sys; from multiprocessing.connection import Connection; connection = Connection(int(sys.argv[1])); "
    "sys.path[:] = connection.recv(); from search.cluster.ray_process import main; main(connection)"
)


class RayDied(Exception):
    """The Ray of this machine, or the process that talks to it, ended or hangs."""


class RayDriver:
    """Ray on this machine, or a cluster's, for the run `run`; arguments as of `ray_session`."""

    def __init__(self, run: Path, address: str | None, cpus: int | None, allow_open: bool):
        remote = remote_of(run)
        self._start = Start(address, cpus, allow_open, (remote.uri, remote.role) if remote else None)
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._handed_out: dict[str, Job] = {}
        self._deaths = 0
        self._deaths_of: Counter[str] = Counter()
        self.heard_s: float | None = None

    def __enter__(self) -> "RayDriver":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> Capacity:
        """Start or join Ray (once more when it dies at that); EmofuseError when it can't be."""
        while True:
            try:
                return self._started()
            except RayDied as death:
                self._died(death)

    def train(self, source: Source, capacity: Capacity) -> None:
        """Train the trials of `source`, with a new Ray when it dies; EmofuseError when it keeps dying."""
        while True:
            try:
                self._serve(source, capacity)
                return
            except RayDied as death:
                self._take_back(source)
                if source.stopping():
                    self.close()
                    return
                self._died(death)
                self.start()

    def close(self) -> None:
        """End the process, and with it a Ray that it started."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        self.heard_s = None
        if connection is not None:
            with suppress(OSError):
                connection.send(None)
        if process is not None:
            try:
                process.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if connection is not None:
            connection.close()

    def _started(self) -> Capacity:
        ours, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,  # Ray tells of dead nodes on stdout, which is for results
        )
        theirs.close()
        self._connection = ours
        self._send([_HOME, *sys.path])
        self._send(self._start)
        what, arguments = self._receive(_START_S)
        assert what == "ready", what
        (capacity,) = arguments
        assert isinstance(capacity, Capacity)
        return capacity

    def _serve(self, source: Source, capacity: Capacity) -> None:
        self._send(Order(capacity, source.asha, source.max_epochs, self._run))
        while True:
            what, arguments = self._receive(_SILENT_S)
            if what == "done":
                self.heard_s = None
                return
            self._send((self._answer(source, what, arguments), source.stopping()))

    def _answer(self, source: Source, what: str, arguments: tuple[Any, ...]) -> Any:
        if what == "exhausted":
            return source.exhausted
        value = getattr(source, what)(*arguments)
        if what == "next" and value is not None:
            self._handed_out[value.key] = value
        elif what in ("end", "put_back", "stopped"):
            self._handed_out.pop(arguments[0].key, None)
        if what == "end":
            self._deaths = 0
        return value

    def _send(self, message: Any) -> None:
        assert self._connection is not None
        try:
            self._connection.send(message)
        except OSError:
            raise RayDied(self._why()) from None

    def _receive(self, patience_s: float) -> tuple[str, tuple[Any, ...]]:
        """The next message; EmofuseError that came as one, RayDied when there will be none."""
        assert self._connection is not None
        started = time.monotonic()
        self.heard_s = time.time()
        try:
            while not self._connection.poll(1.0):
                # A cluster may take its time, and ends the process itself when it is gone.
                if self._start.address is None and time.monotonic() - started > patience_s:
                    raise RayDied(f"nothing was heard of it for {patience_s:.0f} s")
            what, arguments = self._connection.recv()
        except (EOFError, OSError):
            raise RayDied(self._why()) from None
        if what == "error":
            raise arguments[0]
        if what == "crashed":
            raise RayDied(arguments[0])
        return what, arguments

    def _why(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "the process that talks to it closed the connection"
        ended = f"by signal {-code}" if code < 0 else f"with code {code}"
        return REASONS.get(code, f"the process that talks to it ended {ended}")

    def _died(self, death: RayDied) -> None:
        """Clear away what is left; EmofuseError when it is not to be started again."""
        if self._process is not None:
            self._process.kill()
        self.close()
        clear_left_behind()
        if self._start.address is not None:
            raise EmofuseError(
                f"--address {self._start.address}: the cluster is out of reach ({death}); see whether its head works, "
                "start it again if it doesn't, and run the same command: it goes on where this one stopped."
            )
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            raise EmofuseError(
                f"Ray on this machine died {self._deaths} times, and no trial ended between; the last time: {death}. "
                "See whether the machine has memory and disk left (/tmp, /dev/shm), and run the same command: it goes "
                "on where this one stopped."
            )
        say(f"Ray on this machine died: {death}; starting it again ({self._deaths} of {MAX_DEATHS})")

    def _take_back(self, source: Source) -> None:
        """What was handed out goes on in the next Ray, unless it died too often while the trial ran."""
        for job in reversed(self._handed_out.values()):
            self._deaths_of[job.key] += 1
            if self._deaths_of[job.key] > MAX_DEATHS_OF_A_TRIAL:
                reason = f"Ray died {self._deaths_of[job.key]} times while it ran"
                source.end(job, Ending("failed", reason=reason, kind="lost"))
            else:
                source.lost(job, False)
                source.put_back(job)
        self._handed_out.clear()
