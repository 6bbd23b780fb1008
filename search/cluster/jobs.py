"""Trials as those who train see them: one job after another, and word of what became of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from features.errors import EmofuseError
from models.family import Resources
from search.cluster.capacity import Capacity
from search.recipe.limits import Asha
from search.run.ending import Ending
from search.run.folder import RunFolder
from search.run.spec import TrialSpec


@dataclass(frozen=True)
class Job:
    """One trial to be trained: configuration `number` of an entry on the partition of `spec`.

    One that has not begun by `start_by_s` (seconds since 1970; None: whenever) would end after the search's budget.
    """

    number: int
    spec: TrialSpec
    start_by_s: float | None = None

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


class JobQueue(Protocol):
    """Where workers get trials, and where they tell how these ended: a queue with its bookkeeping."""

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

    def stopped(self, job: Job, wall_s: float, gpu_s: float) -> None:
        """The trial was stopped at its checkpoint after so long, since a budget is over: hand it out again in time."""
        ...

    def pruned(self, job: Job) -> bool:
        """Its configuration was stopped early on another partition."""
        ...

    def finished(self, job: Job) -> bool:
        """Its configuration is finished on another partition."""
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


class Source(JobQueue, Protocol):
    """A queue of trials of one run, with what is known of all of them."""

    run: RunFolder

    def peek(self) -> Job | None:
        """The trial that `next` would hand out, which stays where it is."""
        ...

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

    def limit_to(self, capacity: Capacity) -> None:
        """From now on ask for no more than these machines have."""
        ...
