"""Two ensembles of a run on the same clips: is one better, or is it chance?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ensembles.evaluation.intervals import Comparison
from ensembles.fitting.ensemble import Ensemble
from ensembles.fitting.estimate import compare_outside, out_of_fold
from ensembles.fitting.fit import factory_of, fit_on, score_on_test
from ensembles.fitting.options import FitOptions
from ensembles.fitting.places import places_of
from ensembles.fusion import make_fusion
from ensembles.predictions.sealed_scores import Look, looked_at
from ensembles.predictions.sets import TestScores, read_run
from features.errors import WrongUse


def compare_ensembles(run: Path, first: Ensemble, second: Ensemble, *, test: Look = False) -> Comparison:
    """Compare by a paired interval over groups and McNemar's test.

    On held-out clips both are fitted anew by nested folds (the same for both), so that no clip is scored by weights
    that it chose; with `test`, the stored weights are scored on the test clips. Errors: ensembles of different
    partitions, members whose predictions are gone, clips of one group.
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
    predictions = read_run(run, first.partitions, first.fit_split)
    if test:
        tests = looked_at(predictions.test, test)
        one, other = (_on_test(ensemble, tests) for ensemble in (first, second))
        return tests.compare(one, other)
    held_out = predictions.held_out
    outside = [
        out_of_fold(factory_of(ensemble, held_out), held_out, first.folds, 1, first.seed)
        for ensemble in (first, second)
    ]
    if any(one.interrupted for one in outside):
        raise KeyboardInterrupt
    return compare_outside(outside[0], outside[1], held_out)


def compare_methods(
    run: Path,
    methods: Sequence[str],
    *,
    partitions: Sequence[str] | None = None,
    fit_split: str | None = None,
    seed: int = 0,
    test: Look = False,
) -> list[Ensemble]:
    """Fit each method on a run, none of them stored; with `test`, add the scores on the test clips.

    Each has its estimate and its comparison with the best single member. Errors: those of `fit_ensemble`.
    """
    for method in methods:
        make_fusion(method)
    predictions = read_run(run, partitions, fit_split)
    tests = looked_at(predictions.test, test)
    ensembles = [
        fit_on(
            predictions.held_out,
            FitOptions(method, partitions=predictions.partitions, fit_split=fit_split, seed=seed),
            whole=True,
        )
        for method in dict.fromkeys(methods)
    ]
    return [score_on_test(ensemble, tests) for ensemble in ensembles] if test else ensembles


def _on_test(ensemble: Ensemble, test: TestScores) -> np.ndarray:
    members = test.of_members(places_of(ensemble, test.members))
    return ensemble.predict_proba(members.P, members.valid)
