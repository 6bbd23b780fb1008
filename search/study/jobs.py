"""Which trial comes next: the entries of a stage take turns, and a configuration's partitions follow one another."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from features.errors import EmofuseError
from models.space import Choice, Float, Parameter, Space

if TYPE_CHECKING:  # a status needs neither Optuna nor the families
    from search.recipe.recipe import Entry
    from search.run.failures import Kind
    from search.study.studies import EntryStudy
    from search.trial.trial import TrialSpec


@dataclass(frozen=True)
class Ending:
    """How a trial, or a whole configuration, ended.

    `value` is its held-out accuracy: of a `pruned` one (stopped early) the last that was reported, of a `failed` one
    None.
    """

    status: Literal["finished", "pruned", "failed"]
    value: float | None = None
    epochs: int = 0
    wall_s: float = 0.0
    reason: str = ""
    kind: "Kind | None" = None


@dataclass(frozen=True)
class Job:
    """One trial to be trained: configuration `number` of an entry on the partition of `spec`."""

    number: int
    spec: "TrialSpec"

    @cached_property
    def key(self) -> str:
        """The trial key."""
        return self.spec.trial_key

    @property
    def configuration(self) -> tuple[str, int]:
        """What the trials of one configuration share."""
        return self.spec.entry, self.number

    def __str__(self) -> str:
        return str(self.spec)


class Source(Protocol):
    """Where those who train get trials, and where they tell what became of them: a queue with its bookkeeping."""

    @property
    def exhausted(self) -> bool:
        """Nothing will come any more."""
        ...

    def next(self) -> Job | None:
        """The next trial, or None when there is none now."""
        ...

    def put_back(self, job: Job) -> None:
        """Hand `job` out again."""
        ...

    def end(self, job: Job, ending: Ending) -> None:
        """A trial ended."""
        ...

    def pruned(self, job: Job) -> bool:
        """Its configuration was stopped early on another partition."""
        ...

    def stopping(self) -> bool:
        """The search shall stop now."""
        ...

    def give_up(self, reason: EmofuseError) -> None:
        """No trial can go on, for this reason."""
        ...

    def lost(self, job: Job, out_of_memory: bool) -> None:
        """The trial's process died, as far as is known for lack of memory, and the trial is started again."""
        ...


class Queue:
    """The trials of one stage.

    `specs(entry, point)` are a configuration's trials, one for each partition. `known(spec)` tells how a trial of an
    earlier run ended, or None; such a trial is never handed out. `skipped(job, ending)` hears of trials that are not
    worth a start, because ASHA stopped their configuration on another partition: an ensemble takes a configuration as a
    whole.
    """

    def __init__(
        self,
        studies: Sequence["EntryStudy"],
        specs: Callable[[str, Mapping[str, Any]], Sequence["TrialSpec"]],
        known: Callable[["TrialSpec"], Ending | None],
        skipped: Callable[[Job, Ending], None],
    ):
        self._turns = deque(studies)
        self._studies = {study.entry: study for study in studies}
        self._specs, self._known, self._skipped = specs, known, skipped
        self._ready: deque[Job] = deque()
        self._endings: dict[tuple[str, int], dict[str, Ending | None]] = {}

    @property
    def exhausted(self) -> bool:
        """Every trial was handed out, or needs none."""
        return not self._ready and all(study.spent for study in self._turns)

    def next(self) -> Job | None:
        """The next trial; None when there is none, or (unless `exhausted`) when a study waits for results first."""
        while not self._ready and self._ask():
            pass
        return self._ready.popleft() if self._ready else None

    def put_back(self, job: Job) -> None:
        """Hand `job` out again, before all others."""
        self._ready.appendleft(job)

    def end(self, job: Job, ending: Ending) -> None:
        """Tell how a trial ended; the study hears of its configuration once all partitions have."""
        endings = self._endings[job.configuration]
        endings[job.spec.partition] = ending
        if ending.status == "pruned":
            for other in [waiting for waiting in self._ready if waiting.configuration == job.configuration]:
                self._ready.remove(other)
                skip = Ending("pruned", reason=f"not started: stopped early on partition {job.spec.partition}")
                endings[other.spec.partition] = skip
                self._skipped(other, skip)
        known = [ending for ending in endings.values() if ending is not None]
        if len(known) == len(endings):
            self._studies[job.spec.entry].settle(job.number, _whole(known))

    def pruned(self, job: Job) -> bool:
        """Whether this trial's configuration was stopped early on another partition."""
        return any(ending and ending.status == "pruned" for ending in self._endings[job.configuration].values())

    def _ask(self) -> bool:
        for _ in range(len(self._turns)):
            study = self._turns[0]
            self._turns.rotate(-1)
            asked = study.ask()
            if asked is not None:
                self._admit(study.entry, *asked)
                return True
        return False

    def _admit(self, entry: str, number: int, point: Mapping[str, Any]) -> None:
        jobs = [Job(number, spec) for spec in self._specs(entry, point)]
        self._endings[entry, number] = {job.spec.partition: None for job in jobs}
        ended = [(job, ending) for job in jobs if (ending := self._known(job.spec)) is not None]
        over = {job.key for job, _ in ended}
        self._ready.extend(job for job in jobs if job.key not in over)
        for job, ending in ended:
            self.end(job, ending)


def _whole(endings: Sequence[Ending]) -> Ending:
    statuses = {ending.status for ending in endings}
    if "failed" in statuses:
        return Ending("failed")
    values = [ending.value for ending in endings if ending.value is not None]
    epochs = min((ending.epochs for ending in endings if ending.value is not None), default=0)
    mean = sum(values) / len(values) if values else None
    return Ending("pruned" if "pruned" in statuses else "finished", mean, epochs)


def budget(entry: "Entry") -> int:
    """How many configurations an entry gets: its `trials`, or all points of a small space."""
    return int(min(entry.trials, count_points(entry.effective_space())))


def count_points(space: Space) -> float:
    """How many different points a space has; infinite with a real-valued hyperparameter."""
    return math.prod(_count(parameter) for parameter in space.values())


def _count(parameter: Parameter) -> float:
    if isinstance(parameter, Choice):
        return len(parameter.values)
    if parameter.low == parameter.high:
        return 1
    return math.inf if isinstance(parameter, Float) else parameter.high - parameter.low + 1
