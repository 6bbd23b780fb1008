"""A whole search: the stages of a recipe one after another, on Ray or in this process.

The run's folder is the truth: what lies there is not done again, so the same command starts, resumes and extends a
search.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from features.progress import say
from features.unwritable import writing
from models.family import Resources
from models.pulse import Stopped
from search.cluster.capacity import Capacity
from search.cluster.interrupts import Interrupts
from search.cluster.tune import connected, run_jobs
from search.recipe.inputs import source, split_layer
from search.recipe.recipe import Asha, Recipe
from search.run.folder import RunFolder
from search.run.remote import remote_of
from search.study.activations import ensure_entry_activations
from search.study.encoders import train_encoders
from search.study.jobs import Job, Source
from search.study.retries import failed_outcomes, queue_retries
from search.study.stage_jobs import StageJobs, ending_of
from search.study.studies import open_journal
from search.trial.attempts import attempt_trial
from search.trial.heartbeats import searching
from search.trial.remote_trial import attempt_remote_trial
from search.trial.trial import TrialResult, entry_spec
from search.watch.status import Status, exclusive, read_status
from search.watch.status_view import stopped_text


class Trials(Source, Protocol):
    """A source of jobs that `Workers` can train."""

    run: RunFolder

    @property
    def asha(self) -> Asha | None:
        """When trials may be stopped early; None: never."""
        ...

    @property
    def max_epochs(self) -> Mapping[str, int]:
        """The longest that a trial of each entry can train."""
        ...

    @property
    def requests(self) -> Mapping[str, Resources]:
        """What each trial of an entry asks of a node: of these jobs, and of those that follow."""
        ...

    def place(self, capacity: Capacity) -> None:
        """From now on ask for no more than these machines have."""
        ...


class Workers:
    """Who trains: Ray's processes (on this machine with `cpus` CPUs, or the cluster at `address`), or this process.

    `most` bounds how many trials run at once, whatever there is room for.
    """

    def __init__(
        self, address: str | None = None, cpus: int | None = None, in_process: bool = False, most: int | None = None
    ):
        self._address, self._cpus, self._in_process, self._most = address, cpus, in_process, most
        self._ray = ExitStack()
        self._capacity: Capacity | None = None

    def __enter__(self) -> "Workers":
        return self

    @property
    def dashboard(self) -> str:
        """The address of Ray's dashboard; empty where there is none."""
        return self._capacity.dashboard if self._capacity else ""

    def __exit__(self, *error: object) -> None:
        self._ray.close()
        self._capacity = None

    def train(self, jobs: Trials, interrupts: Interrupts) -> None:
        """Train all trials of `jobs`; Ray is started when the first one is there."""
        job = jobs.next()
        if self._in_process:
            while job is not None:
                with interrupts.deferred(), suppress(Stopped):
                    jobs.end(job, ending_of(_attempt(jobs.run, job)))
                job = jobs.next()
        elif job is not None:
            jobs.put_back(job)
            if self._capacity is None:
                self._capacity = self._ray.enter_context(connected(jobs.run.path, self._address, self._cpus))
                interrupts.install()  # Ray has put its own in place
            self._capacity.refuse_unmet(jobs.requests)
            jobs.place(replace(self._capacity, asked=tuple(jobs.requests.values())))
            with interrupts.deferred():
                run_jobs(jobs, replace(self._capacity, most=self._most), jobs.asha, jobs.max_epochs, jobs.run.path)


def _attempt(run: RunFolder, job: Job) -> TrialResult:
    remote = remote_of(run.path)
    return attempt_remote_trial(remote.uri, job.spec) if remote else attempt_trial(job.spec)


def run_search(
    recipe: Recipe,
    *,
    clips: Path,
    store: Path,
    out: Path,
    stills: Path | None = None,
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Status:
    """Start a search, or continue the one that lies at `out`; returns how it stands at the end.

    `retry_failed` tries again what failed before. EmofuseError when the search is told to stop; `Status.check` tells
    whether every entry has a finished trial.
    """
    with writing(out):
        return _search(RunFolder.prepare(out, recipe, clips, store, stills), workers or Workers(), retry_failed)


def _search(run: RunFolder, workers: Workers, retry_failed: bool) -> Status:
    remote = remote_of(run.path)
    with (
        remote.held() if remote else nullcontext(),
        exclusive(run.path),
        Interrupts(run.path) as interrupts,
        workers,
        searching(run.path, lambda: workers.dashboard),
        _saying_how_far(run, interrupts),
    ):
        _check_features(run)
        journal = open_journal(run.journal)
        if retry_failed:
            queue_retries(run, journal, failed_outcomes(run))
        for stage in run.recipe.stages:
            for entry in stage.entries.values():
                ensure_entry_activations(run, entry)
            if remote:
                remote.push()
            if stage.stage == "fusion":
                train_encoders(run, stage, workers, interrupts)
                if remote:
                    remote.pull("predictions", "models", "encodings")
            workers.train(StageJobs(run, stage, journal, interrupts), interrupts)
            if remote:
                remote.pull("predictions", "trials", "models")
    return read_status(run)


@contextmanager
def _saying_how_far(run: RunFolder, interrupts: Interrupts) -> Iterator[None]:
    try:
        yield
    finally:
        if interrupts.stopping:
            say(stopped_text(read_status(run), len(list((run.path / "checkpoints").glob("*/*")))))


def _check_features(run: RunFolder) -> None:
    """Tell of missing features before hours of training; a backbone's layers and weights come later."""
    for stage, entry in run.recipe.all_entries():
        if stage != "fusion" and not any(split_layer(source(spec)) for spec in entry.input_specs().values()):
            entry_spec(run, stage, entry.model_copy(update={"weights_from": None}))
