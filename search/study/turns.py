"""Whose turn it is: the entries one after another, or the one whose next configuration promises the ensemble most."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from features.progress import say
from models.metrics import Metric, in_words, told
from search.cluster.jobs import Job
from search.goal.flow import Standing, mixed, order
from search.goal.history import FusedHistory, Name, finished_configurations, without_gain
from search.recipe.recipe import Recipe, Stage
from search.run.ended import Ended, read_ended
from search.run.ending import Ending
from search.run.folder import RunFolder
from search.run.planned import read_asked, read_metric
from search.run.remote import remote_of
from search.sampling.studies import EntryStudy
from search.study.account import Account

# How much of a configuration's value to its study is what it adds to the ensemble.
GAIN_WEIGHT = 0.5

_NONE = 0.0, 0.0  # of a configuration that did not finish


class Turns(Protocol):
    """Who is asked for the next configuration, and what finished ones are worth to their studies."""

    @property
    def over(self) -> bool:
        """Nobody shall be asked any more."""
        ...

    def order(self) -> Sequence[EntryStudy]:
        """The first of these that has a configuration now gets the turn."""
        ...

    def took(self, entry: str) -> None:
        """It had one."""
        ...

    def worths(self, entry: str) -> Mapping[int, float] | None:
        """What its finished configurations are worth, by number; None: their own values."""
        ...

    def ended(self, jobs: Sequence[Job], ending: Ending, fusible: bool) -> None:
        """A configuration ended; `jobs` are its trials, and whether an ensemble can take it (`Watched.ended`)."""
        ...


class EqualTurns:
    """The entries one after another, until their configurations are spent; with `mix` it says what these are worth."""

    def __init__(self, studies: Sequence[EntryStudy], watched: "Watched | None" = None, mix: "Mix | None" = None):
        self._studies, self._watched, self._mix = deque(studies), watched, mix

    @property
    def over(self) -> bool:
        """Nothing more is gained, and all that was asked for by an earlier run was handed out."""
        return not self.order()

    def order(self) -> Sequence[EntryStudy]:
        """From the one that has waited longest; where others' results count, what an earlier run asked for is first."""
        stored = [study for study in self._studies if study.replaying]
        if self._watched is not None and self._watched.over:
            return stored
        return (stored if self._mix is not None else []) or list(self._studies)

    def took(self, entry: str) -> None:
        """It goes to the end, and those that had nothing before it."""
        while self._studies[-1].entry != entry:
            self._studies.rotate(-1)

    def worths(self, entry: str) -> Mapping[int, float] | None:
        """Their own values, or the mix."""
        return None if self._mix is None else self._mix.worths(entry)

    def ended(self, jobs: Sequence[Job], ending: Ending, fusible: bool) -> None:
        """The fused score hears of it, where someone looks at it."""
        if self._mix is not None:
            self._mix.ended(jobs, ending)
        if self._watched is not None and fusible:
            self._watched.ended(jobs)


class EnsembleTurns:
    """One budget for all entries, that of their `shares` together, which flows to where the ensemble gains most.

    What an earlier run asked for comes first, so a search that goes on decides from the same results.
    """

    def __init__(self, studies: Sequence[EntryStudy], shares: Mapping[str, int], watched: "Watched"):
        self._studies = {study.entry: study for study in studies}
        self._shares, self._watched = shares, watched
        self._asked: Counter[str] = Counter()
        self._mix = Mix(list(self._studies), watched)

    @property
    def over(self) -> bool:
        """The budget is spent, or nothing more is gained and all that an earlier run asked for was handed out."""
        spent = self._asked.total() >= sum(self._shares.values())
        return spent or (self._watched.over and not self._stored())

    def order(self) -> Sequence[EntryStudy]:
        """Those with configurations of an earlier run first, then by expected gain."""
        if stored := self._stored():
            return stored
        gains = self._watched.gains()
        standings = [
            Standing(
                entry,
                self._shares[entry],
                self._asked[entry],
                [gains.get(k, _NONE)[1] for _, k in sorted(keys.items())],
            )
            for entry, keys in self._mix.keys.items()
        ]
        return [self._studies[entry] for entry in order(standings)]

    def _stored(self) -> list[EntryStudy]:
        return [study for study in self._studies.values() if study.replaying]

    def took(self, entry: str) -> None:
        """One of the budget is spent."""
        self._asked[entry] += 1

    def worths(self, entry: str) -> Mapping[int, float] | None:
        """The mix."""
        return self._mix.worths(entry)

    def ended(self, jobs: Sequence[Job], ending: Ending, fusible: bool) -> None:
        """The fused score hears of it."""
        self._mix.ended(jobs, ending)
        if fusible:
            self._watched.ended(jobs)


class Mix:
    """What configurations are worth to their studies: half their own rank, half that of what they would add."""

    def __init__(self, entries: Sequence[str], watched: "Watched"):
        self._watched = watched
        self.keys: dict[str, dict[int, str]] = {entry: {} for entry in entries}
        self._own: dict[str, dict[int, float]] = {entry: {} for entry in entries}

    def worths(self, entry: str) -> Mapping[int, float] | None:
        """Of an entry's finished configurations, by number."""
        gains = self._watched.gains()
        known = {number: gains[key][0] for number, key in self.keys[entry].items() if key in gains}
        return mixed(self._own[entry], known, GAIN_WEIGHT)

    def ended(self, jobs: Sequence[Job], ending: Ending) -> None:
        """A configuration has ended, with these trials."""
        job = jobs[0]
        self.keys[job.spec.entry][job.number] = job.spec.config_key
        if ending.status == "finished" and ending.value is not None:
            self._own[job.spec.entry][job.number] = ending.value


class Watched:
    """The fused score of a run while it is searched; `no_gain` configurations without a new best of it are enough.

    It begins with the configurations that are finished, but for those that are `to_come` (entry and key): they have
    not been asked for again yet, and decide no sooner than they did.
    """

    def __init__(self, run: RunFolder, no_gain: int | None, to_come: Callable[[Name], bool]):
        entries = [(stage, entry) for stage, entry in run.recipe.all_entries() if stage != "backbone"]
        partitions = {e.name: run.recipe.partition_names(stage) for stage, e in entries if not e.continuous}
        self._run, self._no_gain = run, no_gain
        self._metric: Metric = read_metric(run.path)
        self._history = FusedHistory(run.path, partitions, self._metric)
        finished = finished_configurations(read_ended(run.path), partitions)
        self._history.follow({name: trials for name, trials in finished.items() if not to_come(name)})
        self._gains: dict[str, tuple[float, float]] | None = None
        self._told = False

    @property
    def over(self) -> bool:
        """So many have finished without bringing the fused score above what it was."""
        points = self._history.points
        over = self._no_gain is not None and without_gain(points) >= self._no_gain
        if over and not self._told:
            best = max(point.fused for point in points)
            say(
                f"stop_when: {without_gain(points)} configurations have brought no more than the fused "
                f"{in_words(self._metric)} of {told(self._metric, best):.3f}, so no other is started."
            )
        self._told = over
        return over

    def gains(self) -> Mapping[str, tuple[float, float]]:
        """What each configuration, by its key, would add to the ensemble of the others, and what it does add."""
        if self._gains is None:
            self._gains = {key: gain for (_, key), gain in self._history.gains().items()}
        return self._gains

    def ended(self, jobs: Sequence[Job]) -> None:
        """Let a configuration join, whose trials are finished on all partitions with the first seed at least."""
        spec = jobs[0].spec
        if self._history.has((spec.entry, spec.config_key)):
            return
        if remote := remote_of(self._run.path):
            remote.pull(f"predictions/family={spec.entry}")
        now_s = time.time()
        trials = [
            Ended(j.key, spec.config_key, spec.entry, j.spec.partition, "finished", 0.0, 0, 0.0, "", now_s)
            for j in jobs
            if not j.spec.repeat
        ]
        self._history.join((spec.entry, spec.config_key), trials)
        self._gains = None


def turns_of(run: RunFolder, stage: Stage, studies: Sequence[EntryStudy], account: Account) -> Turns:
    """The turns that the run's recipe asks for in a stage; backbones are no members, so theirs are equal."""
    recipe: Recipe = run.recipe
    if stage.stage == "backbone" or (recipe.goal == "best" and recipe.stop_when is None):
        return EqualTurns(studies)
    watched = Watched(run, recipe.stop_when.no_gain if recipe.stop_when else None, _to_come(run, studies, account))
    if not recipe.flows(stage.stage):
        mix = Mix([study.entry for study in studies], watched) if recipe.goal == "ensemble" else None
        return EqualTurns(studies, watched, mix)
    asked = {name: entry.planned_configurations for name, entry in stage.entries.items()}
    return EnsembleTurns(studies, asked, watched)


def _to_come(run: RunFolder, studies: Sequence[EntryStudy], account: Account) -> Callable[[Name], bool]:
    """Whether a configuration that is finished will be asked for again, since the journal has lost it.

    A journal that was deleted, or of which a killed driver had not brought the end to an object store yet, knows
    less than there is. What earlier recipes asked for is not asked for again.
    """
    stored = {study.entry: {account.key(study.entry, point) for point in study.points} for study in studies}
    earlier = {
        entry: {key for of_study in by_study.values() for key in of_study.values()}
        for entry, by_study in read_asked(run.path).items()
    }

    def to_come(name: Name) -> bool:
        entry, key = name
        if entry not in stored or key in stored[entry]:
            return False
        return key in account.known(entry).values() or key not in earlier.get(entry, ())

    return to_come
