"""Two ensembles of continuous emotion on the same recordings, and methods beside the best single members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensembles.continuous.later import LookOverTime
from ensembles.continuous.run import read_continuous_run, sealed_recordings
from ensembles.continuous.sealed import SealedRecordings, concordance_intervals
from ensembles.evaluation.intervals import Interval
from ensembles.fitting.fit_over_time import fit_recordings, nested_over_time, of_members, score_over_time
from ensembles.fitting.options import FitOptions
from ensembles.records.ensemble import Ensemble
from ensembles.records.over_time import Gain
from features.errors import EmofuseError, WrongUse
from models.concordance import continuous_metrics

METHODS = ("best", "uniform", "concordance", "auto")


@dataclass(frozen=True)
class ComparedOverTime:
    """CCC of two ensembles, by dimension and in the mean (`ccc`), and what the first is ahead with paired intervals."""

    n_recordings: int
    n_groups: int
    first: dict[str, float]
    second: dict[str, float]
    gains: dict[str, Gain]


def compare_over_time(run: Path, first: Ensemble, second: Ensemble, *, test: LookOverTime = False) -> ComparedOverTime:
    """Compare by a paired interval over groups.

    On held-out recordings both are fitted anew by nested folds, so that none is scored by weights that it chose; with
    `test`, the stored weights are scored on the test recordings. Errors: ensembles of different partitions, members
    whose predictions are gone.
    """
    if set(first.partitions) != set(second.partitions) or first.fit_split != second.fit_split:
        raise WrongUse(
            f"{first.name} and {second.name} were fitted on different held-out recordings; fit both on the same "
            "partitions with the same --fit-split."
        )
    found = read_continuous_run(run, first.partitions, split=first.fit_split)
    both = (first, second)
    if test:
        tests = sealed_recordings(found.trials, found.dimensions, test)
        one, other = (_on_test(ensemble, tests) for ensemble in both)
        scores = [dict(tests.metrics(fused)) for fused in (one, other)]
        intervals = tests.intervals(one, other)
        return _compared(len(set(tests.recording)), len(set(tests.group)), scores, intervals)
    recordings = found.recordings
    if len(set(recordings.group)) < 2:
        raise EmofuseError("All held-out recordings belong to one group, so nothing can be compared outside the fit.")
    one, other = (nested_over_time(found, ensemble) for ensemble in both)
    scores = [continuous_metrics(recordings.Y, fused, recordings.dimensions) for fused in (one, other)]
    intervals = concordance_intervals(recordings.Y, one, recordings.group, recordings.dimensions, other)
    return _compared(len(set(recordings.recording)), len(set(recordings.group)), scores, intervals)


def compare_methods_over_time(
    run: Path,
    methods: Sequence[str],
    *,
    partitions: Sequence[str] | None = None,
    fit_split: str | None = None,
    seed: int = 0,
    test: LookOverTime = False,
) -> list[Ensemble]:
    """Fit each method on a run, none of them stored; each has what it is ahead of the best single members."""
    found = read_continuous_run(run, partitions, split=fit_split)
    tests = sealed_recordings(found.trials, found.dimensions, test) if test else None
    ensembles = [
        fit_recordings(found, FitOptions(method, partitions=found.partitions, fit_split=fit_split, seed=seed))
        for method in dict.fromkeys(methods)
    ]
    return [score_over_time(ensemble, tests) for ensemble in ensembles] if tests is not None else ensembles


def _on_test(ensemble: Ensemble, tests: SealedRecordings) -> np.ndarray:
    return ensemble.predict_over_time(*of_members(ensemble, tests.members, tests.P, tests.valid))


def _compared(
    n_recordings: int, n_groups: int, scores: Sequence[Mapping[str, float]], intervals: Mapping[str, Interval]
) -> ComparedOverTime:
    names = [name for name in scores[0] if name.startswith("ccc")]
    gains = {name: Gain(scores[0][name] - scores[1][name], intervals.get(name)) for name in names}
    first, second = ({name: own[name] for name in names} for own in scores)
    return ComparedOverTime(n_recordings, n_groups, first, second, gains)
