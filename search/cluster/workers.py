"""Executors of trials: this process, this machine's Ray, or the cluster at an address."""

import time
from dataclasses import replace

from features.errors import WrongUse
from features.progress import say
from models import pulse
from models.pulse import Stopped
from search.cluster.capacity import Capacity
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job, Source
from search.cluster.ray_driver import RayDriver
from search.run.folder import RunFolder
from search.run.remote import remote_of
from search.trial.attempts import attempt_trial, gpu_seconds
from search.trial.remote_trial import attempt_remote_trial
from search.trial.trial import TrialResult


class Workers:
    """Executes trials: in Ray's processes (on this machine with `cpus` CPUs, or the cluster at `address`), or here.

    `max_concurrent` bounds how many trials run at once, whatever there is room for; `allow_open`: also on a cluster
    that asks nobody for a token. `embedded`: the process is someone else's, so stopping never ends it. WrongUse for
    settings that exclude others.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus: int | None = None,
        in_process: bool = False,
        max_concurrent: int | None = None,
        allow_open: bool = False,
        embedded: bool = False,
    ):
        if in_process and (address or cpus or max_concurrent):
            raise WrongUse(
                "--in-process trains in this process alone: leave out --address, --cpus and --max-concurrent."
            )
        if address and cpus:
            raise WrongUse("--cpus is for Ray on this machine: the cluster at --address has its own.")
        self._address, self._cpus = address, cpus
        self._in_process, self._max_concurrent = in_process, max_concurrent
        self._allow_open, self.embedded = allow_open, embedded
        self._driver: RayDriver | None = None
        self._capacity: Capacity | None = None

    def __enter__(self) -> "Workers":
        return self

    @property
    def dashboard(self) -> str:
        """The address of Ray's dashboard; empty where there is none."""
        return self._capacity.dashboard if self._capacity else ""

    @property
    def heard_s(self) -> float | None:
        """When Ray's side gave its last sign of life (seconds since 1970); None where none is waited for."""
        return self._driver.heard_s if self._driver else None

    def __exit__(self, *error: object) -> None:
        if self._driver is not None:
            self._driver.close()
        self._driver = self._capacity = None

    def train(self, jobs: Source, interrupts: Interrupts) -> None:
        """Train all trials of `jobs`; Ray is started when the first one is there."""
        if self._in_process:
            while (job := jobs.next()) is not None:
                with interrupts.deferred():
                    self._attempt(jobs, job, interrupts)
        elif jobs.peek() is not None:
            if self._driver is None or self._capacity is None:
                say(f"joining the Ray cluster at {self._address}" if self._address else "starting Ray on this machine")
                self._driver = RayDriver(jobs.run.path, self._address, self._cpus, self._allow_open)
                self._capacity = self._driver.start()
            self._capacity.refuse_unmet(jobs.requests)
            capacity = replace(self._capacity, max_concurrent=self._max_concurrent)
            jobs.limit_to(replace(capacity, asked=tuple(jobs.requests.values())))
            with interrupts.deferred():
                self._driver.train(jobs, capacity)

    def _attempt(self, jobs: Source, job: Job, interrupts: Interrupts) -> None:
        began = time.monotonic()
        try:
            result = _trained(jobs.run, job)
        except Stopped:
            wall_s = time.monotonic() - began
            jobs.stopped(job, wall_s, gpu_seconds(job.spec, wall_s))
        else:
            jobs.end(job, result.ending)
        if not interrupts.stopping:  # the trial may have ended before it heard of it
            pulse.forget_stop()


def _trained(run: RunFolder, job: Job) -> TrialResult:
    remote = remote_of(run.path)
    return attempt_remote_trial(remote.uri, job.spec) if remote else attempt_trial(job.spec)
