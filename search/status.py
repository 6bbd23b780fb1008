"""How a search stands, from its folder alone."""

import fcntl
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from search.jobs import budget
from search.predictions import Footer, prediction_files, read_footer
from search.recipe import Entry, StageName
from search.runfolder import Outcome, RunFolder


@dataclass(frozen=True)
class EntryStatus:
    """One entry's trials (configurations times partitions): how many there shall be, and how they ended.

    `best` is the highest held-out accuracy of a configuration, the mean over its partitions; `best_config` its key.
    `reason` is why the first failed trial failed, `failures` are the records of all of them.
    """

    stage: StageName
    entry: str
    family: str
    trials: int
    finished: int
    pruned: int
    failed: int
    left: int
    best: float | None
    best_config: str | None
    reason: str | None
    failures: tuple[Outcome, ...] = ()


@dataclass(frozen=True)
class Status:
    """A run's entries in the recipe's order; `running` tells whether a search works on it now."""

    run: Path
    running: bool
    entries: tuple[EntryStatus, ...]

    @property
    def left(self) -> int:
        """How many trials are still to be trained."""
        return sum(entry.left for entry in self.entries)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"run": str(self.run), "running": self.running, "entries": [asdict(entry) for entry in self.entries]}

    def check(self) -> None:
        """EmofuseError when an entry has no finished trial and none is left to train."""
        for entry in self.entries:
            if not entry.finished and not entry.left:
                raise EmofuseError(
                    f"{self.run}: none of the {entry.trials} trials of entry {entry.entry!r} finished; the first one: "
                    f"{entry.reason or 'stopped early'} (see {self.run / 'trials'})."
                )

    def table(self) -> str:
        """The entries as lines of aligned text."""
        rows: list[tuple[str, ...]] = [
            ("stage", "entry", "trials", "finished", "pruned", "failed", "left", "best held-out accuracy")
        ]
        for e in self.entries:
            best = "-" if e.best is None else f"{e.best:.3f}"
            numbers = (e.trials, e.finished, e.pruned, e.failed, e.left)
            rows.append((e.stage, e.entry, *map(str, numbers), best))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = zip(row, widths, strict=True)
            lines.append("  ".join(f"{v:<{w}}" if i < 2 else f"{v:>{w}}" for i, (v, w) in enumerate(cells)))
        return "\n".join(lines)


def read_status(run: RunFolder) -> Status:
    """Count what lies in the run's folder."""
    footers: dict[str, list[Footer]] = defaultdict(list)
    for path in prediction_files(run.path):
        footer = read_footer(path)
        footers[footer.entry].append(footer)
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in run.outcomes():
        outcomes[outcome.entry].append(outcome)
    entries = [
        _entry_status(entry, stage, run.recipe.partition_names(stage), footers[entry.name], outcomes[entry.name])
        for stage, entry in run.recipe.all_entries()
    ]
    return Status(run.path, is_running(run.path), tuple(entries))


def _entry_status(
    entry: Entry, stage: StageName, partitions: Sequence[str], footers: Sequence[Footer], outcomes: Sequence[Outcome]
) -> EntryStatus:
    # Refits (partition `full`) lie in the same folder.
    footers = [footer for footer in footers if footer.partition in partitions]
    ended = [outcome for outcome in outcomes if outcome.partition in partitions]
    failed = [outcome for outcome in ended if outcome.status == "failed"]
    trials = budget(entry) * len(partitions)
    best = max(means(footers, partitions).items(), key=lambda item: item[1], default=(None, None))
    return EntryStatus(
        stage=stage,
        entry=entry.name,
        family=entry.family,
        trials=trials,
        finished=len(footers),
        pruned=len(ended) - len(failed),
        failed=len(failed),
        left=max(0, trials - len(footers) - len(ended)),
        best=best[1],
        best_config=best[0],
        reason=failed[0].reason if failed else None,
        failures=tuple(failed),
    )


def means(footers: Sequence[Footer], partitions: Sequence[str]) -> Mapping[str, float]:
    """The mean held-out accuracy of each configuration, by its key, that is finished on all partitions."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for footer in footers:
        values[footer.config_key][footer.partition] = footer.metrics["accuracy"]
    return {key: sum(v.values()) / len(v) for key, v in values.items() if set(v) >= set(partitions)}


def is_running(run: Path) -> bool:
    """Whether a search works on the run now (seen from this machine, or over a file system that shares locks)."""
    try:
        with (run / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # never started, or a file system without locks
    return False


@contextmanager
def exclusive(run: Path) -> Iterator[None]:
    """Hold the run's lock, which the system frees even when the process is killed; EmofuseError if another holds it."""
    with (run / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmofuseError(
                f"{run}: another search works on this run; wait for it, stop it, or choose another folder with -o."
            ) from None
        yield
