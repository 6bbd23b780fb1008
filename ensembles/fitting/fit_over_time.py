"""Fit an ensemble of continuous emotion on a run's held-out recordings, and say honestly what it is worth."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ensembles.continuous.evaluate import out_of_fold
from ensembles.continuous.fusion import ContinuousAverage, ContinuousBest, ContinuousMethod
from ensembles.continuous.later import LookOverTime
from ensembles.continuous.recordings import Recordings
from ensembles.continuous.run import ContinuousRun, read_continuous_run, sealed_recordings
from ensembles.continuous.sealed import SealedRecordings, concordance_intervals
from ensembles.continuous.selected import ContinuousSelected, MayTakePart, make_method
from ensembles.continuous.trials import REFIT, read_trials, step_of
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import Selection, restricted
from ensembles.records.ensemble import Ensemble, EnsembleMember, How, Measured, Who
from ensembles.records.over_time import SHORTEST_STEP_S, Gain, OverTime, best_name
from features.errors import EmofuseError, WrongUse
from features.progress import say
from features.schema import parse
from models.concordance import continuous_metrics

_ONE_GROUP = "There is no nested estimate: all held-out recordings belong to one group."


def fit_over_time(run: Path, options: FitOptions, *, test: LookOverTime = False) -> Ensemble:
    """Choose candidates, fit the method on their held-out recordings and estimate it by folds that keep groups whole.

    `test` adds the scores on the test recordings. Errors: those of reading and of the method; test recordings without
    annotations are told before anything is fitted.
    """
    if options.metric is not None:
        raise WrongUse(f"Continuous emotion is fitted by CCC; leave the metric {options.metric!r} out.")
    make_method(options.method, options.params, options.seed)
    found = read_continuous_run(run, options.partitions, split=options.fit_split)
    if found.left_out:
        say(f"{len(found.left_out)} members left out: {'; '.join(sorted(set(found.left_out.values())))}.")
    if options.repeats != 1:
        raise WrongUse("The estimate of continuous emotion is made once: leave --repeats out.")
    tests = sealed_recordings(found.trials, found.dimensions, test) if test else None
    known = {member.name: member.footer.hyperparameters for member in found.members}
    if options.selection.latency_ms is not None:
        raise WrongUse("--latency-ms chooses among members that tell classes apart; of continuous emotion it can't.")
    chosen = restricted(options.selection, options.where, known)
    ensemble = fit_recordings(found, replace(options, partitions=found.partitions, selection=chosen))
    return score_over_time(ensemble, tests) if tests is not None else ensemble


def fit_recordings(found: ContinuousRun, options: FitOptions) -> Ensemble:
    """`fit_over_time` on predictions that are read already; it is given no test recording."""
    recordings = found.recordings
    rules = _rules(options)
    seed, names = options.seed, recordings.members
    method = make_method(options.method, options.params, seed)

    def selected(inner: ContinuousMethod) -> Callable[[], ContinuousSelected]:
        return lambda: ContinuousSelected(inner, names, rules)

    makes: dict[Who, Callable[[], ContinuousSelected]] = {
        "ensemble": selected(method),
        "best_single": selected(ContinuousBest(method.recalibrate)),
        "candidates_average": selected(ContinuousAverage(method.recalibrate)),
    }
    groups = recordings.group.tolist()
    fitted = {who: make().fit(recordings.P, recordings.Y, recordings.valid, groups) for who, make in makes.items()}
    fused = {who: one.predict(recordings.P, recordings.valid) for who, one in fitted.items()}
    ensemble = _record(found, options, fitted["ensemble"], fitted["best_single"])
    for who, values in fused.items():
        ensemble = ensemble.with_scores(who, "fit", _measured(recordings, values, "which chose the weights", options))
    if len(set(groups)) < 2:
        return replace(ensemble, note=_ONE_GROUP)
    outside = {who: out_of_fold(make, recordings, options.folds, seed) for who, make in makes.items()}
    for who, values in outside.items():
        rows = "each by weights fitted without its group"
        ensemble = ensemble.with_scores(who, "nested", _measured(recordings, values, rows, options))
    return replace(ensemble, over_time=_with_gains(ensemble, recordings, outside["ensemble"], outside["best_single"]))


def nested_over_time(found: ContinuousRun, ensemble: Ensemble) -> np.ndarray:
    """What a stored ensemble's fit says of the held-out recordings (T, D), each by weights fitted without its group.

    With one group it is what the fit itself says.
    """
    options = options_of(ensemble)
    method = make_method(options.method, options.params, options.seed)
    rules, recordings = _rules(options), found.recordings

    def make() -> ContinuousSelected:
        return ContinuousSelected(method, recordings.members, rules)

    groups = recordings.group.tolist()
    if len(set(groups)) < 2:
        return make().fit(recordings.P, recordings.Y, recordings.valid, groups).predict(recordings.P, recordings.valid)
    return out_of_fold(make, recordings, options.folds, options.seed)


def options_of(ensemble: Ensemble) -> FitOptions:
    """What a stored ensemble was asked for."""
    return FitOptions(
        ensemble.method,
        ensemble.name,
        ensemble.params,
        parse(Selection, ensemble.selection, f"ensemble {ensemble.name}: selection"),
        ensemble.partitions,
        ensemble.fit_split,
        ensemble.folds,
        ensemble.repeats,
        ensemble.seed,
    )


def score_over_time(ensemble: Ensemble, test: SealedRecordings, how: How = "test") -> Ensemble:
    """Add the scores on the test recordings: of the ensemble, and of its best single members where they are there.

    `how` is `test_refit` when `test` holds the refitted members, by their names.
    """
    P, valid = of_members(ensemble, test.members, test.P, test.valid)
    outputs: dict[Who, np.ndarray] = {"ensemble": ensemble.predict_over_time(P, valid)}
    over_time = ensemble.over_time
    if over_time is not None and set(over_time.best_singles) <= set(test.members):
        places = [test.members.index(name) for name in over_time.best_singles]
        own = np.stack([test.P[m, :, d] for d, m in enumerate(places)], axis=1)
        known = np.stack([test.valid[m, :, d] for d, m in enumerate(places)], axis=1)
        outputs["best_single"] = np.where(known, own, over_time.label_mean)
    recordings = "test recordings" + (", members refitted on train and val" if how == "test_refit" else "")
    for who, fused in outputs.items():
        intervals = test.intervals(fused)
        measured = Measured(
            f"{len(test.recording)} samples of {recordings}",
            len(set(test.recording)),
            len(set(test.group)),
            dict(test.metrics(fused)),
            None,
            (),
            intervals,
        )
        ensemble = ensemble.with_scores(who, how, measured)
    return ensemble


def score_later(run: Path, ensemble: Ensemble, look: LookOverTime) -> Ensemble:
    """A stored ensemble with its scores by labels that came later; one whose members are gone stays as it is."""
    try:
        found = read_continuous_run(run, ensemble.partitions or None)
        ensemble = score_over_time(ensemble, sealed_recordings(found.trials, found.dimensions, look))
        if ensemble.refitted:
            ensemble = score_over_time(ensemble, refits_over_time(run, ensemble, look), "test_refit")
    except EmofuseError as error:
        say(f"ensemble {ensemble.name} is not scored on the test recordings: {error}")
    return ensemble


def refits_over_time(run: Path, ensemble: Ensemble, look: LookOverTime = True) -> SealedRecordings:
    """What the refits of the ensemble's members predict on the test recordings."""
    trials = {trial.footer.trial_key: trial for trial in read_trials(run) if trial.footer.partition == REFIT}
    found = {}
    for member in ensemble.members:
        if member.refit not in trials:
            raise EmofuseError(f"Ensemble {ensemble.name!r}: the refit of its member {member.name} is gone; refit it.")
        found[member.name] = [trials[member.refit]]
    return sealed_recordings(found, ensemble.outputs, look)


def of_members(
    ensemble: Ensemble, names: Sequence[str], P: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `P` and `valid` (M, T, D) of the ensemble's members, in their order, where `names` are all rows'."""
    for member in ensemble.members:
        if member.name not in names:
            raise EmofuseError(f"Ensemble {ensemble.name!r}: the predictions of its member {member.name} are gone.")
    places = [list(names).index(member.name) for member in ensemble.members]
    return P[places], valid[places]


def _rules(options: FitOptions) -> MayTakePart:
    chosen = options.selection
    return MayTakePart(chosen.entries, chosen.members, chosen.only, chosen.per_entry, chosen.top)


def _record(
    found: ContinuousRun, options: FitOptions, fitted: ContinuousSelected, single: ContinuousSelected
) -> Ensemble:
    """The record of a fitted fusion, without scores."""
    names = found.recordings.members
    members = tuple(_member(found, names[m]) for m in fitted.chosen_)
    best = tuple(names[m] for m in single.weights_.argmax(axis=0))
    step_s = step_of([trial for trials in found.trials.values() for trial in trials])
    if step_s < SHORTEST_STEP_S:
        raise EmofuseError(f"Expected labels {SHORTEST_STEP_S} s apart or more, but between two lie {step_s:g} s.")
    over_time = OverTime(
        dimensions=found.dimensions,
        scale=tuple(fitted.scale_.tolist()),
        offset=tuple(fitted.offset_.tolist()),
        label_mean=tuple(fitted.label_mean_.tolist()),
        step_s=step_s,
        best_singles=best,
        gains={},
    )
    return Ensemble(
        name=options.name or options.method,
        method=options.method,
        params=dict(options.params),
        seed=options.seed,
        missing="share",
        classes=(),
        members=members,
        weights=fitted.weights_[fitted.chosen_],
        partitions=found.partitions,
        fit_split=options.fit_split,
        selection=asdict(options.selection),
        folds=options.folds,
        repeats=1,
        best_single=best_name(over_time),
        scores={},
        n_candidates=len(names),
        candidates=tuple(names[m] for m in fitted.kept_),
        clips_fingerprint=found.members[0].footer.clips_fingerprint,
        metric="ccc",
        over_time=over_time,
    )


def _member(found: ContinuousRun, name: str) -> EnsembleMember:
    trials = found.trials[name]
    keys = {trial.footer.partition: trial.footer.trial_key for trial in trials}
    return EnsembleMember(trials[0].footer.entry, trials[0].footer.config_key, keys)


def _measured(recordings: Recordings, fused: np.ndarray, rows: str, options: FitOptions) -> Measured:
    """Its CCC; where no member has a moment, what is predicted there counts too."""
    intervals = concordance_intervals(recordings.Y, fused, recordings.group, recordings.dimensions)
    of = f" of split {options.fit_split}" if options.fit_split else ""
    partitions = f" of partition {' and '.join(options.partitions)}" if options.partitions else ""
    return Measured(
        f"{len(recordings.Y)} samples of held-out recordings{of}{partitions}, {rows}",
        len(set(recordings.recording)),
        len(set(recordings.group)),
        continuous_metrics(recordings.Y, fused, recordings.dimensions),
        None,
        (),
        intervals,
    )


def _with_gains(ensemble: Ensemble, recordings: Recordings, own: np.ndarray, single: np.ndarray) -> OverTime:
    """What the ensemble is ahead of the best single members, by dimension and in the mean."""
    scores = [ensemble.scores[who]["nested"].metrics for who in ("ensemble", "best_single")]
    bounds = concordance_intervals(recordings.Y, own, recordings.group, recordings.dimensions, single)
    gains = {}
    for name in ("ccc", *(f"ccc_{dimension}" for dimension in recordings.dimensions)):
        gains[name.removeprefix("ccc_")] = Gain(scores[0][name] - scores[1][name], bounds.get(name))
    assert ensemble.over_time is not None
    return replace(ensemble.over_time, gains=gains)
