"""All members and ensembles of a run, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.evaluation.intervals import Interval, accuracy_interval
from ensembles.evaluation.metrics import score
from ensembles.fitting.ensemble import Ensemble, readable_ensembles
from ensembles.predictions.sets import read_run


@dataclass(frozen=True)
class MemberRow:
    """One member. `mean_accuracy` is the mean over its partitions' own held-out rows, `accuracy` and what follows are
    of all of them pooled; `test_accuracy` is None unless asked for. `epochs` are the best epochs' mean, `wall_s` the
    sum over its trials, `coverage` the share of held-out clips that it could score. `interval` and `test_interval` are
    bootstrap intervals over groups, None where none was asked for or there is one group only.
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
    their intervals, some milliseconds each.
    """
    predictions = read_run(run, partitions, split)
    held_out = predictions.held_out
    places = {member.name: m for m, member in enumerate(held_out.members)}
    rows = []
    for m, member in enumerate(held_out.members):
        scores = score(held_out.y, held_out.P[m])
        rows.append(
            MemberRow(
                name=member.name,
                entry=member.entry,
                family=member.footer.family,
                hyperparameters=short(member.footer.hyperparameters),
                mean_accuracy=_mean(member.accuracies.values()) if member.accuracies else scores.accuracy,
                accuracy=scores.accuracy,
                unweighted_accuracy=scores.unweighted_accuracy,
                log_loss=scores.log_loss,
                coverage=float(held_out.valid[m].mean()),
                test_accuracy=predictions.test.score(predictions.test.P[m]).accuracy if test else None,
                epochs=_mean(footer.best_epoch for footer in member.trials.values()),
                wall_s=sum(footer.wall_s for footer in member.trials.values()),
            )
        )
    rows.sort(key=lambda row: (-row.accuracy, row.log_loss, row.name))
    for i, row in enumerate(rows[:intervals]):
        m = places[row.name]
        right = (held_out.P[m].argmax(axis=1) == held_out.y).astype(float)
        on_test = predictions.test.interval(predictions.test.P[m]) if test else None
        rows[i] = replace(row, interval=accuracy_interval(right, held_out.groups), test_interval=on_test)
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


def _mean(values) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else 0.0


def _worth(ensemble: Ensemble) -> float:
    nested = ensemble.scores["ensemble"].get("nested")
    return nested.accuracy if nested else -1.0
