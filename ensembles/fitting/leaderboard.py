"""All members and ensembles of a run, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.evaluation.intervals import Interval, accuracy_intervals
from ensembles.evaluation.metrics import summaries
from ensembles.fitting.ensemble import Ensemble, readable_ensembles
from ensembles.predictions.scan import without_collector
from ensembles.predictions.sets import read_run


@dataclass(frozen=True)
class MemberRow:
    """One member. `mean_accuracy` is the mean over its partitions' own held-out rows, `accuracy` and what follows are
    of all of them pooled; `test_accuracy` is None unless asked for. `epochs` are the best epochs' mean, `wall_s` the
    sum over its trials, `coverage` the share of held-out clips that it could score. `interval` and `test_interval` are
    intervals over groups, None where none was asked for or there is one group only.
    """

    name: str
    entry: str
    family: str
    hyperparameters: str
    mean_accuracy: float
    accuracy: float
    unweighted_accuracy: float
    log_loss: float
    coverage: float
    test_accuracy: float | None
    epochs: float
    wall_s: float
    interval: Interval | None = None
    test_interval: Interval | None = None


@dataclass(frozen=True)
class Leaderboard:
    """Members by pooled held-out accuracy, best first, and the run's ensembles by nested accuracy."""

    partitions: tuple[str, ...]
    n_clips: int
    n_groups: int
    members: tuple[MemberRow, ...]
    ensembles: tuple[Ensemble, ...]
    left_out: Mapping[str, str]


@without_collector()
def leaderboard(
    run: Path,
    partitions: Sequence[str] | None = None,
    *,
    test: bool = False,
    split: str | None = None,
    intervals: int | None = 0,
) -> Leaderboard:
    """Score every member of a run on its held-out rows; with `test` also on the test clips (a final look).

    `split` restricts the held-out rows to one split of the clip table. The best `intervals` members (None: all) get
    their intervals.
    """
    predictions = read_run(run, partitions, split)
    held_out = predictions.held_out
    places = {member.name: m for m, member in enumerate(held_out.members)}
    accuracies, recalls, losses = (values.tolist() for values in summaries(held_out.y, held_out.P))
    on_test: list[float] | None = predictions.test.accuracies().tolist() if test else None
    covered = held_out.valid.mean(axis=1).tolist()
    rows = [
        MemberRow(
            name=member.name,
            entry=member.entry,
            family=member.footer.family,
            hyperparameters=short(member.footer.hyperparameters),
            mean_accuracy=_mean(member.accuracies.values()) if member.accuracies else accuracies[m],
            accuracy=accuracies[m],
            unweighted_accuracy=recalls[m],
            log_loss=losses[m],
            coverage=covered[m],
            test_accuracy=on_test[m] if on_test else None,
            epochs=_mean(footer.best_epoch for footer in member.trials.values()),
            wall_s=sum(footer.wall_s for footer in member.trials.values()),
        )
        for m, member in enumerate(held_out.members)
    ]
    rows.sort(key=lambda row: (-row.accuracy, row.log_loss, row.name))
    shown = [places[row.name] for row in rows[:intervals]]
    right = np.array([held_out.P[m].argmax(axis=1) == held_out.y for m in shown], float)
    bounds = accuracy_intervals(right.reshape(len(shown), len(held_out.y)), held_out.groups)
    on_tests = predictions.test.intervals(shown) if test and shown else [None] * len(shown)
    for i, pair in enumerate(zip(bounds, on_tests, strict=True)):
        rows[i] = replace(rows[i], interval=pair[0], test_interval=pair[1])
    ensembles = readable_ensembles(run)
    return Leaderboard(
        partitions=predictions.partitions,
        n_clips=len(held_out.y),
        n_groups=len(set(held_out.groups)),
        members=tuple(rows),
        ensembles=tuple(sorted(ensembles, key=_worth, reverse=True)),
        left_out=predictions.left_out,
    )


def short(hyperparameters: Mapping[str, Any]) -> str:
    """Hyperparameters on one line: `lr=0.001, hidden=64`."""
    return ", ".join(f"{name}={_brief(value)}" for name, value in sorted(hyperparameters.items()))


def _brief(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def _worth(ensemble: Ensemble) -> float:
    nested = ensemble.scores["ensemble"].get("nested")
    return nested.accuracy if nested else -1.0
