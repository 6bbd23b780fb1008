"""Fit what a run's members learnt, classes or continuous emotion, and keep the ensemble in the run."""

from functools import partial
from pathlib import Path

from ensembles.continuous.later import seen_over_time
from ensembles.continuous.trials import continuous_entries
from ensembles.fitting.fit import Keep, fit_ensemble
from ensembles.fitting.options import FitOptions
from ensembles.fitting.outside import keep_outside
from ensembles.predictions.sealed_scores import Look
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import ensemble_path, write_ensemble
from features.names import unknown_name

_TASKS = ("classification", "regression")


def fit_any(run: Path, options: FitOptions, *, test: Look = False, keep: Keep | None = None) -> Ensemble:
    """Fit an ensemble of classes, or of continuous emotion where that is what the run's members learnt.

    `keep` is given the nested predictions of one of classes, see `fit_on`.
    """
    if not learns_over_time(run, options):
        return fit_ensemble(run, options, test=test, keep=keep)
    from ensembles.fitting.fit_over_time import fit_over_time

    return fit_over_time(run, options, test=seen_over_time(test))


def learns_over_time(run: Path, options: FitOptions) -> bool:
    """Whether an ensemble of continuous emotion is asked for."""
    over_time, others = continuous_entries(run)
    if options.task is not None:
        if options.task not in _TASKS:
            raise unknown_name("task", options.task, _TASKS)
        return options.task == "regression"
    named = {
        name.partition("/")[0] for name in (*(options.selection.entries or ()), *(options.selection.members or ()))
    }
    return named <= over_time if named and over_time else bool(over_time) and not others


def fit_and_store(run: Path, options: FitOptions, *, test: Look = False) -> Ensemble:
    """`fit_any`, kept in the run under its name; one of that name is replaced."""
    path = ensemble_path(run, options.name or options.method)
    ensemble = fit_any(run, options, test=test, keep=partial(keep_outside, run))
    write_ensemble(ensemble, path)
    return ensemble
