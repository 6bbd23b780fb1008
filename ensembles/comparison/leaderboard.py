"""All members and ensembles of a run, side by side."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ensembles.comparison.seeds import seeds_of
from ensembles.evaluation.intervals import Interval, accuracy_intervals
from ensembles.evaluation.metrics import recalls as class_recalls
from ensembles.evaluation.metrics import score, summaries
from ensembles.evaluation.spread import Spread
from ensembles.fitting.cost import seconds_per_clip
from ensembles.predictions.scan import without_collector
from ensembles.predictions.sealed_scores import Look, TestLabels, looked_at
from ensembles.predictions.sets import RunPredictions, TestScores, read_refits, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import readable_ensembles
from features.errors import EmofuseError
from features.progress import say_once
from models.metrics import Metric, told
from search.run.planned import read_metric

_NESTED = ("interval", "test_interval", "recalls", "test_recalls", "over_seeds", "test_over_seeds")


@dataclass(frozen=True)
class MemberRow:
    """One member. `mean_accuracy` is the mean over its partitions' own held-out rows, `accuracy` and what follows are
    of all of them pooled; `test_accuracy` is None unless asked for. `epochs` are the best epochs' mean, `wall_s` the
    sum over its trials, `coverage` the share of held-out clips that it could score. `interval` and `test_interval` are
    intervals over groups, None where none was asked for or there is one group only. `fit_accuracy` is on the clips that
    it was fitted on, `recalls` and `test_recalls` are by class; they too are None where they weren't asked for.
    `over_seeds` and `test_over_seeds` are mean and spread of the metrics over trainings with several seeds; the other
    columns are of the first.
    `predict_s` are its models' seconds per clip (`ensembles.fitting.cost`), None where they weren't measured.
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
    macro_average_precision: float = 0.0
    fit_accuracy: float | None = None
    recalls: Mapping[str, float | None] | None = None
    test_unweighted_accuracy: float | None = None
    test_macro_average_precision: float | None = None
    test_recalls: Mapping[str, float | None] | None = None
    macro_f1: float = 0.0
    over_seeds: Mapping[str, Spread] = field(default_factory=dict)
    test_over_seeds: Mapping[str, Spread] = field(default_factory=dict)
    predict_s: float | None = None

    def reached(self, metric: Metric) -> float:
        """The pooled held-out metric, of several seeds its mean."""
        return self.over_seeds[metric].mean if metric in self.over_seeds else float(getattr(self, metric))


@dataclass(frozen=True)
class Leaderboard:
    """Members by the pooled held-out `metric`, best first, and the run's ensembles by the nested one."""

    partitions: tuple[str, ...]
    n_clips: int
    n_groups: int
    members: tuple[MemberRow, ...]
    ensembles: tuple[Ensemble, ...]
    left_out: Mapping[str, str]
    metric: Metric = "accuracy"


@without_collector()
def leaderboard(
    run: Path,
    partitions: Sequence[str] | None = None,
    *,
    test: Look = False,
    split: str | None = None,
    intervals: int | None = 0,
    details: int | None = 0,
    metric: Metric | None = None,
) -> Leaderboard:
    """Score every member of a run on its held-out rows; with `test` also on the test clips (a final look).

    They stand in the order of `metric`, by default what the run was searched for. `split` restricts the held-out rows
    to one split of the clip table. The best `intervals` members (None: all) get their intervals, and these and the best
    `details` their recalls and what they reach on the clips of their fit. By labels that came later the run's ensembles
    are scored too.
    """
    predictions = read_run(run, partitions, split)
    return board_of(run, predictions, test=test, intervals=intervals, details=details, metric=metric)


def board_of(
    run: Path,
    predictions: RunPredictions,
    *,
    test: Look = False,
    intervals: int | None = 0,
    details: int | None = 0,
    metric: Metric | None = None,
) -> Leaderboard:
    """`leaderboard` of predictions that were read already."""
    tests = looked_at(predictions.test, test)
    held_out = predictions.held_out
    places = {member.name: m for m, member in enumerate(held_out.members)}
    metric = metric or read_metric(run)
    reached = {name: values.tolist() for name, values in summaries(held_out.y, held_out.P).items()}
    accuracies = reached["accuracy"]
    on_test: list[float] | None = tests.accuracies().tolist() if test else None
    covered = held_out.valid.mean(axis=1).tolist()
    over_seeds, test_seeds = seeds_of(predictions, test)
    rows = [
        MemberRow(
            name=member.name,
            entry=member.entry,
            family=member.footer.family,
            hyperparameters=short(member.footer.hyperparameters),
            mean_accuracy=_mean(member.accuracies.values()) if member.accuracies else accuracies[m],
            accuracy=accuracies[m],
            unweighted_accuracy=reached["unweighted_accuracy"][m],
            log_loss=reached["log_loss"][m],
            coverage=covered[m],
            test_accuracy=on_test[m] if on_test else None,
            epochs=_mean([footer.best_epoch for footer in member.trials.values()]),
            wall_s=sum([footer.wall_s for footer in member.trials.values()]),
            macro_average_precision=reached["macro_average_precision"][m],
            macro_f1=reached["macro_f1"][m],
            over_seeds=over_seeds.get(member.name, {}),
            test_over_seeds=test_seeds.get(member.name, {}),
            predict_s=seconds_per_clip(member),
        )
        for m, member in enumerate(held_out.members)
    ]
    rows.sort(key=lambda row: (-told(metric, row.reached(metric)), row.log_loss, row.name))
    shown = [places[row.name] for row in rows[:intervals]]
    right = np.array([held_out.P[m].argmax(axis=1) == held_out.y for m in shown], float)
    bounds = accuracy_intervals(right.reshape(len(shown), len(held_out.y)), held_out.groups)
    on_tests = tests.intervals(shown) if test and shown else [None] * len(shown)
    for i, pair in enumerate(zip(bounds, on_tests, strict=True)):
        rows[i] = replace(rows[i], interval=pair[0], test_interval=pair[1])
    most = None if intervals is None or details is None else max(intervals, details)
    chosen = [places[row.name] for row in rows[:most]]
    rows[:most] = _with_classes(rows[:most], chosen, predictions, tests if test else None)
    ensembles = [ensemble for ensemble in readable_ensembles(run) if ensemble.over_time is None]
    if isinstance(test, TestLabels):
        ensembles = [_scored(run, ensemble, test) for ensemble in ensembles]
    return Leaderboard(
        partitions=predictions.partitions,
        n_clips=len(held_out.y),
        n_groups=len(set(held_out.groups)),
        members=tuple(rows),
        ensembles=tuple(sorted(ensembles, key=_worth(metric), reverse=True)),
        left_out=predictions.left_out,
        metric=metric,
    )


def board_table(board: Leaderboard) -> pa.Table:
    """Members and ensembles with every column, a row for each, for a file."""
    rows: list[dict[str, Any]] = []
    for row in board.members:
        plain = {name: value for name, value in asdict(row).items() if name not in _NESTED}
        bounds = (("", row.interval), ("test_", row.test_interval))
        plain |= {f"{where}{side}": getattr(of, side) for where, of in bounds if of for side in ("low", "high")}
        repeated = (("", row.over_seeds), ("test_", row.test_over_seeds))
        plain |= {
            f"{where}{name}_{what}": getattr(spread, what if what != "seeds" else "n")
            for where, of in repeated
            for name, spread in of.items()
            for what in ("seeds", "mean", "sd")
        }
        by_class = (("recall", row.recalls), ("test_recall", row.test_recalls))
        plain |= {f"{what}_{name}": value for what, of in by_class for name, value in (of or {}).items()}
        rows.append({"kind": "member", **plain})
    for ensemble in board.ensembles:
        for how, measured in ensemble.scores["ensemble"].items():
            metrics = {("" if how == "nested" else f"{how}_") + name: value for name, value in measured.metrics.items()}
            prefix = "recall" if how == "nested" else f"{how}_recall"
            shares = dict(zip(ensemble.classes, class_recalls(measured.confusion), strict=True))
            line: dict[str, Any] = {**metrics, **{f"{prefix}_{name}": value for name, value in shares.items()}}
            one = next((row for row in rows if row["kind"] == "ensemble" and row["name"] == ensemble.name), None)
            if one is None:
                rows.append(one := {"kind": "ensemble", "name": ensemble.name})
            one |= line
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})


def _with_classes(
    rows: Sequence[MemberRow], places: Sequence[int], predictions: RunPredictions, test: TestScores | None
) -> list[MemberRow]:
    """The rows with what takes longer than their accuracies: by class, and on the clips that they were fitted on."""
    if not rows:
        return []
    held_out, fitted, found = predictions.held_out, predictions.fitted(places), []
    known = [n for n, label in enumerate(fitted.labels) if label is not None]
    y = np.array([held_out.classes.index(str(fitted.labels[n])) for n in known], int)
    for i, (row, m) in enumerate(zip(rows, places, strict=True)):
        own = score(held_out.y, held_out.P[m])
        row = replace(row, recalls=dict(zip(held_out.classes, class_recalls(own.confusion), strict=True)))
        if (seen := fitted.valid[i, known]).any():
            fit_accuracy = float((fitted.P[i, known].argmax(axis=1) == y)[seen].mean())
            row = replace(row, fit_accuracy=fit_accuracy)
        if test is not None:
            at_test = test.score(test.P[m])
            by_class = dict(zip(test.classes, class_recalls(at_test.confusion), strict=True))
            row = replace(
                row,
                test_unweighted_accuracy=at_test.unweighted_accuracy,
                test_macro_average_precision=at_test.macro_average_precision,
                test_recalls=by_class,
            )
        found.append(row)
    return found


def _scored(run: Path, ensemble: Ensemble, labels: TestLabels) -> Ensemble:
    """The ensemble with its scores by labels that came later; one whose members are gone stays as it is."""
    from ensembles.fitting.fit import score_on_test  # scikit-learn and Numba take longer than a board

    try:
        predictions = read_run(run, ensemble.partitions or None, ensemble.fit_split)
        ensemble = score_on_test(ensemble, looked_at(predictions.test, labels))
        if len(ensemble.refits) == len(ensemble.members):
            ensemble = score_on_test(ensemble, looked_at(read_refits(run, ensemble.refits).test, labels), "test_refit")
    except EmofuseError as error:
        say_once(f"ensemble {ensemble.name} is not scored on the test clips: {error}")
    return ensemble


def short(hyperparameters: Mapping[str, Any]) -> str:
    """Hyperparameters on one line: `lr=0.001, hidden=64`."""
    return ", ".join(f"{name}={_brief(value)}" for name, value in sorted(hyperparameters.items()))


def _brief(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _worth(metric: Metric) -> Callable[[Ensemble], float]:
    def worth(ensemble: Ensemble) -> float:
        nested = ensemble.scores["ensemble"].get("nested")
        return told(metric, nested.metrics[metric]) if nested else -math.inf

    return worth
