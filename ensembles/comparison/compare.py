"""Two ensembles of a run on the same clips: is one better, or is it chance?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ensembles.evaluation.intervals import Comparison
from ensembles.evaluation.paired import compare
from ensembles.fitting.estimate import out_of_fold
from ensembles.fitting.fit import factory_of, fit_on, score_on_test
from ensembles.fitting.options import FitOptions
from ensembles.fitting.outside import outside_of
from ensembles.fusion import make_fusion
from ensembles.predictions.sealed_scores import Look, looked_at
from ensembles.predictions.sets import HeldOut, TestScores, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.places import places_of
from features.errors import WrongUse
from models.metrics import Metric
from search.run.planned import read_metric


def compare_ensembles(
    run: Path, first: Ensemble, second: Ensemble, *, test: Look = False, metric: Metric | None = None
) -> Comparison:
    """Compare by a paired interval over groups and a test: McNemar's of accuracies, of others by swaps of groups.

    The `metric` is by default what both were fitted for, and where they differ what the run was searched for. On
    held-out clips both are fitted by nested folds (the same for both), so that no clip is scored by weights that it
    chose; with `test`, the stored weights are scored on the test clips. Errors: ensembles of different partitions,
    members whose predictions are gone, clips of one group.
    """
    if set(first.partitions) != set(second.partitions):
        raise WrongUse(
            f"{first.name} was fitted on {', '.join(first.partitions)} and {second.name} on "
            f"{', '.join(second.partitions)}: a comparison needs the same clips; fit both on the same partitions."
        )
    if first.fit_split != second.fit_split:
        splits = " and ".join(ensemble.fit_split or "all splits" for ensemble in (first, second))
        raise WrongUse(
            f"{first.name} and {second.name} were fitted on held-out clips of {splits}: a comparison needs the same "
            "clips; fit both with the same --fit-split."
        )
    if metric is None:
        metric = first.metric if first.metric == second.metric and first.metric != "ccc" else read_metric(run)
    predictions = read_run(run, first.partitions, first.fit_split)
    if test:
        tests = looked_at(predictions.test, test)
        one, other = (_on_test(ensemble, tests) for ensemble in (first, second))
        return tests.compare(one, other, metric)
    held_out = predictions.held_out
    one, other = (_outside(run, ensemble, held_out, first) for ensemble in (first, second))
    return compare(held_out.y, one, other, held_out.groups, metric)


def compare_methods(
    run: Path,
    methods: Sequence[str],
    *,
    partitions: Sequence[str] | None = None,
    fit_split: str | None = None,
    seed: int = 0,
    test: Look = False,
    metric: Metric | None = None,
) -> list[Ensemble]:
    """Fit each method on a run, none of them stored; with `test`, add the scores on the test clips.

    The `metric` is by default what the run was searched for. Each has its estimate and its comparison with the best
    single member. Errors: those of `fit_ensemble`.
    """
    for method in methods:
        make_fusion(method)
    metric = metric or read_metric(run)
    predictions = read_run(run, partitions, fit_split)
    tests = looked_at(predictions.test, test)
    ensembles = [
        fit_on(
            predictions.held_out,
            FitOptions(method, partitions=predictions.partitions, fit_split=fit_split, seed=seed, metric=metric),
            whole=True,
        )
        for method in dict.fromkeys(methods)
    ]
    return [score_on_test(ensemble, tests) for ensemble in ensembles] if test else ensembles


def _outside(run: Path, ensemble: Ensemble, held_out: HeldOut, by: Ensemble) -> np.ndarray:
    """What an ensemble says of the held-out clips (N, C) outside its fits, by the folds of another one."""
    if (ensemble.folds, ensemble.seed) == (by.folds, by.seed):
        return outside_of(run, ensemble, held_out)
    outside = out_of_fold(factory_of(ensemble, held_out), held_out, by.folds, 1, by.seed)
    if outside.interrupted:
        raise KeyboardInterrupt
    return outside.probabilities[0]


def _on_test(ensemble: Ensemble, test: TestScores) -> np.ndarray:
    members = test.of_members(places_of(ensemble, test.members))
    return ensemble.predict_proba(members.P, members.valid)
