"""How a search stands, from its folder alone."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from features.terminal import command
from models.metrics import told
from search.budget.left import Standing, left_by_entry, standings, unclaimed
from search.budget.pace import Pace, measure
from search.budget.told import Books, read_books
from search.goal.history import had_enough
from search.run.ended import Ended, read_ended_and_damaged
from search.run.layout import Layout, Outcome
from search.run.planned import read_asked, read_no_gain, read_plan
from search.trial.heartbeats import Heartbeat, SearchBeat, is_running, read_running, read_search
from search.watch.following import after_fit
from search.watch.gpus import GpuUse, gpu_use


@dataclass(frozen=True)
class EntryStatus:
    """One entry's trials (configurations times partitions): how many there shall be, and how they ended.

    `left` are those that have not ended, the `running` ones included. `best` is what the best
    configuration reached of `metric`, the mean over its partitions; `best_config` its key. `reason` is why the first
    failed trial failed. `earlier` are trials that ended and that the recipe doesn't ask for any more (another search
    space, metric, fewer trials, other partitions): they count nowhere else. `rungs` are the epochs after which ASHA may
    stop a trial.
    """

    stage: str
    entry: str
    family: str
    trials: int
    finished: int
    running: int
    pruned: int
    failed: int
    left: int
    best: float | None
    best_config: str | None
    reason: str | None
    earlier: int = 0
    rungs: Sequence[int] = ()
    metric: str = "accuracy"


@dataclass(frozen=True)
class Status:
    """A run's entries in the recipe's order; `running` tells whether a search works on it now.

    `fusible` are the partitions to choose so that a configuration is finished on all of them; empty: no choice is
    needed, None: nothing is finished that could be fused. `now` are the trials that are trained at this moment, `pace`
    how fast the search goes (None: it doesn't), `failures` the records of those that failed, `mixed` whether some clips
    have labels over time, `damaged` what is wrong with files whose trials therefore count as not ended, one sentence
    each, `asha_by_default` whether ASHA may stop trials though the recipe says nothing of it. `open` are trials that no
    entry got yet (`goal: ensemble`); `enough`: `stop_when` ended the run, and no more trials than were asked for count.
    `books` are what was spent and what may be.
    """

    run: Path
    running: bool
    entries: tuple[EntryStatus, ...]
    search: SearchBeat | None = None
    now: tuple[Heartbeat, ...] = ()
    gpus: tuple[GpuUse, ...] = ()
    pace: Pace | None = None
    failures: tuple[Outcome, ...] = ()
    mixed: bool = False
    damaged: tuple[str, ...] = ()
    fusible: tuple[str, ...] | None = ()
    asha_by_default: bool = False
    open: int = 0
    enough: bool = False
    books: Books = field(default_factory=Books)

    def following(self, run: str) -> str:
        """What to do with the predictions of the run that is called `run`, a sentence with a command that works."""
        if self.fusible is None:
            backbone = next(
                (entry.entry for entry in self.entries if entry.stage == "backbone" and entry.finished), None
            )
            if backbone is None:
                return "No trial has finished, so there is nothing to fuse."
            weights = command("search", "run", "RECIPE", "--weights", f"ENTRY={run}:{backbone}")
            return f"No models of clips to fuse. Another recipe's ENTRY starts from the backbone by: {weights}"
        if (done := after_fit(self.run, run)) is not None:
            return done
        partitions = [word for name in self.fusible for word in ("--partition", name)]
        task = ["--task", "regression"] if self.mixed else []
        return f"Next: {command('ensemble', 'fit', run, *task, *partitions)}"

    @property
    def total(self) -> int:
        """How many trials there shall be."""
        return sum(entry.trials for entry in self.entries) + self.open

    @property
    def left(self) -> int:
        """How many trials have not ended."""
        return sum(entry.left for entry in self.entries) + self.open

    def as_data(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "run": str(self.run),
            "running": self.running,
            "entries": [asdict(entry) for entry in self.entries],
            "search": asdict(self.search) if self.search else None,
            "now": [{**asdict(beat), "epoch": beat.epoch} for beat in self.now],
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "pace": asdict(self.pace) if self.pace else None,
            "failures": [asdict(outcome) for outcome in self.failures],
            "damaged": list(self.damaged),
            "asha_by_default": self.asha_by_default,
            "open": self.open,
            "enough": self.enough,
            **self.books.as_data(),
        }

    def check(self) -> None:
        """EmofuseError when an entry has no finished trial and none is left to train."""
        for entry in self.entries:
            if entry.trials and not entry.finished and not entry.left:
                raise EmofuseError(
                    f"{self.run}: none of the {entry.trials} trials of entry {entry.entry!r} finished; the first one: "
                    f"{entry.reason or 'stopped early'} (see {self.run / 'trials'})."
                )


def read_status(run: Layout) -> Status:
    """Count what lies in the run's folder."""
    now_s = time.time()
    (plan, asha_by_default), search = read_plan(run.path), read_search(run.path)
    ended, bad = read_ended_and_damaged(run.path)
    over = {trial.trial_key for trial in ended}
    beats = tuple(beat for beat in read_running(run.path) if beat.trial_key not in over)
    running = Counter(beat.entry for beat in beats)
    searched = Counter(trial.entry for trial in ended if trial.partition != "full")  # refits lie in the same folder
    enough = had_enough(run.path)
    counted = standings(plan, ended, read_asked(run.path), enough)
    entries = tuple(_entry_status(one, searched[name], running[name]) for name, one in counted.items())
    books = read_books(run.path, ended)
    active = is_running(run.path, search)
    pace = None
    if active and search is not None:
        left = left_by_entry(counted, enough)
        pace = measure(ended, beats, left, search.started_s, now_s, books, read_no_gain(run.path) is not None)
    trials = (trial for one in counted.values() for trial in one.present)
    failed = (run.outcome(trial.trial_key) for trial in trials if trial.status == "failed")
    failures = tuple(outcome for outcome in failed if outcome is not None)
    damaged = tuple(str(error) for error in bad)
    of_clips = [planned for planned in plan if planned.stage != "backbone"]
    over_time = {planned.entry for planned in of_clips if planned.continuous}
    return Status(
        run.path,
        active,
        entries,
        search,
        beats,
        gpu_use(beats),
        pace,
        failures,
        bool(over_time) and len(over_time) < len(of_clips),
        damaged,
        _fusible([trial for trial in ended if not over_time or trial.entry in over_time]),
        asha_by_default,
        0 if enough else sum(unclaimed(counted.values()).values()),
        enough,
        books,
    )


def _fusible(ended: Sequence[Ended]) -> tuple[str, ...] | None:
    """See `Status.fusible`: an ensemble pools members that are finished on the same partitions."""
    found: dict[str, set[str]] = defaultdict(set)
    for trial in ended:
        if trial.status == "finished" and trial.partition not in ("full", "stills"):
            found[trial.config_key].add(trial.partition)
    partitions = Counter(name for its in found.values() for name in its)
    if not partitions:
        return None
    if any(len(its) == len(partitions) for its in found.values()):
        return ()
    return (max(sorted(partitions), key=lambda name: partitions[name]),)


def _entry_status(one: Standing, searched: int, running: int) -> EntryStatus:
    planned, ended = one.planned, one.present
    counts = Counter(trial.status for trial in ended)
    compared = (planned.choose_on,) if planned.choose_on else planned.partitions
    best = max(means(ended, compared).items(), key=lambda item: item[1], default=(None, None))
    return EntryStatus(
        stage=planned.stage,
        entry=planned.entry,
        family=planned.family,
        trials=one.trials,
        finished=counts["finished"],
        running=running,
        pruned=counts["pruned"],
        failed=counts["failed"],
        left=one.left,
        best=None if best[1] is None else told(planned.searched, best[1]),
        best_config=best[0],
        reason=next((trial.reason for trial in ended if trial.status == "failed"), None),
        earlier=searched - len(ended),
        rungs=planned.rungs,
        metric=planned.searched,
    )


def means(ended: Sequence[Ended], partitions: Sequence[str]) -> Mapping[str, float]:
    """The mean value, over partitions and seeds, of each configuration that is finished on all of them, by its key."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in ended:
        if trial.status == "finished" and trial.value is not None and trial.partition in partitions:
            values[trial.config_key][trial.partition].append(trial.value)
    whole = {key: its for key, its in values.items() if set(its) >= set(partitions)}
    return {key: sum(sum(v) / len(v) for v in its.values()) / len(its) for key, its in whole.items()}
