"""What was spent on a run so far, entry by entry, from its files alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.budget.parts import Part, read_parts
from search.budget.worked import read_worked
from search.run.ended import Ended


@dataclass(frozen=True)
class EntrySpent:
    """The trials of an entry that were begun and ended, their hours added up, and how much of it came to nothing.

    `wasted_hours` are those of the `failed` trials. `mean_s` and `mean_gpu_s` are what a finished trial took (of a GPU:
    seconds times its share); None before the first.
    """

    entry: str
    trials: int = 0
    finished: int = 0
    failed: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    wasted_hours: float = 0.0
    mean_s: float | None = None
    mean_gpu_s: float | None = None


@dataclass(frozen=True)
class Spent:
    """The hours for which a search worked on the run, and what each entry has cost; refits are no part of it."""

    hours: float
    entries: Mapping[str, EntrySpent]

    @property
    def trials(self) -> int:
        """Trials of all entries."""
        return sum(entry.trials for entry in self.entries.values())

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all entries."""
        return sum(entry.gpu_hours for entry in self.entries.values())

    def of(self, entry: str) -> EntrySpent:
        """What an entry has cost."""
        return self.entries.get(entry, EntrySpent(entry))


def read_spent(run: Path, ended: Iterable[Ended]) -> Spent:
    """What the trials that `ended`, and those that were stopped on the way, have cost."""
    of_entry: dict[str, list[Ended]] = defaultdict(list)
    parts: dict[str, list[Part]] = defaultdict(list)
    for trial in ended:
        if trial.partition != "full" and not _never_begun(trial):
            of_entry[trial.entry].append(trial)
    for part in read_parts(run):
        parts[part.entry].append(part)
    names = sorted(of_entry.keys() | parts.keys())
    return Spent(read_worked(run) / 3600, {name: _entry(name, of_entry[name], parts[name]) for name in names})


def _never_begun(trial: Ended) -> bool:
    return trial.status == "pruned" and trial.epochs == 0 and trial.wall_s == 0


def _entry(name: str, ended: Sequence[Ended], parts: Sequence[Part]) -> EntrySpent:
    earlier: dict[str, float] = defaultdict(float)
    for part in parts:
        earlier[part.trial_key] += part.wall_s
    finished = [trial for trial in ended if trial.status == "finished"]
    failed = [trial for trial in ended if trial.status == "failed"]

    def hours(trials: Sequence[Ended]) -> float:
        return sum(trial.wall_s + earlier[trial.trial_key] for trial in trials) / 3600

    return EntrySpent(
        name,
        len(ended),
        len(finished),
        len(failed),
        (sum(trial.wall_s for trial in ended) + sum(part.wall_s for part in parts)) / 3600,
        (sum(trial.gpu_s for trial in ended) + sum(part.gpu_s for part in parts)) / 3600,
        hours(failed),
        hours(finished) * 3600 / len(finished) if finished else None,
        sum(trial.gpu_s for trial in finished) / len(finished) if finished else None,
    )
