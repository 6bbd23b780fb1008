"""Fit an ensemble on a run's held-out predictions, and say honestly what it is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.evaluation.intervals import accuracy_interval
from ensembles.evaluation.jackknife import intervals_of
from ensembles.evaluation.metrics import score
from ensembles.fitting.estimate import (
    Estimate,
    OutOfFold,
    average_of,
    compare_outside,
    out_of_fold,
    summarise,
    weighted,
)
from ensembles.fitting.latency import bounded
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import Selected, Selection, restricted
from ensembles.fusion import AutoFusion, BestSingle, DecisionFusion, Fusion, UniformAverage, make_fusion
from ensembles.fusion.option import Option
from ensembles.predictions.sealed_scores import Look, looked_at
from ensembles.predictions.sets import HeldOut, Member, RunPredictions, TestScores, read_run
from ensembles.records.ensemble import Ensemble, EnsembleMember, How, Measured, Who
from ensembles.records.places import find_places
from features.errors import EmofuseError
from features.progress import progress
from models.metrics import Metric
from search.run.planned import read_metric

Keep = Callable[[Ensemble, HeldOut, np.ndarray], None]


def fit_ensemble(run: Path, options: FitOptions, *, test: Look = False, keep: Keep | None = None) -> Ensemble:
    """Read a run, choose candidates, fit the method on their held-out rows and estimate it by nested folds.

    `test` adds the scores on the test clips, `keep` is that of `fit_on`. Errors: those of `read_run`, `make_fusion` and
    the method itself; test clips without labels are told before anything is fitted.
    """
    options = replace(options, metric=options.metric or read_metric(run))
    make_fusion(options.method, {"metric": options.metric, **options.params}, options.seed)
    predictions = read_run(run, options.partitions, options.fit_split)
    tests = looked_at(predictions.test, test)
    known = {member.name: member.footer.hyperparameters for member in predictions.held_out.members}
    chosen = bounded(restricted(options.selection, options.where, known), predictions.held_out.members)
    options = replace(options, partitions=predictions.partitions, selection=chosen)
    ensemble = fit_on(predictions.held_out, options, keep=keep)
    ensemble = score_on_train(ensemble, predictions)
    return score_on_test(ensemble, tests) if test else ensemble


def fit_on(held_out: HeldOut, options: FitOptions, *, whole: bool = False, keep: Keep | None = None) -> Ensemble:
    """`fit_ensemble` on predictions that are read already; it takes nothing that holds test labels.

    `keep` is given the fused probabilities (N, C) of the nested estimate's first repeat, once all its fits are made.

    Ctrl-C ends the search with the best weights so far, and the nested estimate with the folds that are done; `note`
    says which. With `whole` it ends everything (KeyboardInterrupt).
    """
    metric = options.metric or "accuracy"
    make = factory(held_out, options.method, options.params, options.selection, options.seed, metric)
    n_groups = len(set(held_out.groups))
    fusion = make()
    if isinstance(fusion.fusion, DecisionFusion):
        fusion.fusion.verbose = True
    fusion.fit(held_out.P, held_out.y, held_out.valid, held_out.groups)
    nested, note = None, "There is no nested estimate: all held-out clips belong to one group."
    if fusion.interrupted_:
        note = "Ctrl-C ended the search: the weights are the best so far, and there is no nested estimate."
    elif n_groups > 1:
        nested, note = _estimated(make, held_out, options)
    if whole and (fusion.interrupted_ or (n_groups > 1 and note)):
        raise KeyboardInterrupt
    single = _single(held_out, options.selection, fusion)
    best = int(single().fit(held_out.P, held_out.y, held_out.valid).weights_[:, 0].argmax())
    chosen, kept = weighted(fusion), fusion.candidates_.kept
    members = held_out.of_members(chosen)
    ensemble = _unscored(held_out, options, fusion, chosen, held_out.members[best].name, note)
    outputs: dict[Who, np.ndarray] = {
        "ensemble": ensemble.predict_proba(members.P, members.valid),
        "best_single": held_out.P[best],
        "uniform_average": average_of(held_out.P, held_out.valid, chosen, fusion.missing),
        "candidates_average": average_of(held_out.P, held_out.valid, kept, fusion.missing),
    }
    for who, probabilities in outputs.items():
        ensemble = ensemble.with_scores(who, "fit", _on_fitted_rows(ensemble, held_out, probabilities))
    if nested is None:
        return ensemble
    folds = (options.folds, options.repeats, options.seed)
    outside: dict[Who, OutOfFold] = {
        "ensemble": nested,
        "best_single": out_of_fold(single, held_out, *folds),
        "uniform_average": replace(nested, probabilities=nested.averages),
        "candidates_average": out_of_fold(_average(held_out, options.selection, fusion), held_out, *folds),
    }
    for who, predictions in outside.items():
        estimate = summarise(predictions, held_out, nested.scored)
        ensemble = ensemble.with_scores(who, "nested", _on_other_rows(ensemble, estimate))
    if keep is not None and not nested.interrupted:
        keep(ensemble, held_out, nested.probabilities[0])
    return replace(ensemble, against_single=compare_outside(nested, outside["best_single"], held_out, fusion.metric))


def _unscored(
    held_out: HeldOut, options: FitOptions, fusion: Selected, chosen: Sequence[int], best_single: str, note: str
) -> Ensemble:
    """The record of a fitted `fusion` of the members `chosen`, without scores."""
    members = held_out.of_members(chosen).members
    return Ensemble(
        name=options.name or options.method,
        method=options.method,
        params=dict(options.params),
        seed=options.seed,
        missing=fusion.missing,
        classes=held_out.classes,
        members=tuple(_record(member) for member in members),
        weights=fusion.weights_[list(chosen)],
        partitions=tuple(options.partitions or ()),
        fit_split=options.fit_split,
        selection=asdict(options.selection),
        folds=options.folds,
        repeats=options.repeats,
        best_single=best_single,
        scores={},
        n_candidates=len(held_out.members),
        candidates=tuple(held_out.members[m].name for m in fusion.candidates_.kept),
        clips_fingerprint=members[0].footer.clips_fingerprint,
        temperatures=None if fusion.temperatures_ is None else tuple(fusion.temperatures_[list(chosen)].tolist()),
        log_pool=fusion.log_pool_,
        note=note,
        choice=_choice(fusion),
        metric=fusion.metric,
    )


def _choice(fusion: Fusion) -> tuple[Option, ...]:
    """What `auto` chose among, wherever in a fitted fusion it stands."""
    while not isinstance(fusion, AutoFusion) and hasattr(fusion, "fusion_"):
        fusion = fusion.fusion_
    return fusion.choice_ if isinstance(fusion, AutoFusion) else ()


def _estimated(make: Callable[[], Selected], held_out: HeldOut, options: FitOptions) -> tuple[OutOfFold | None, str]:
    """The out-of-fold predictions, and a note on what is missing of them."""
    planned = options.repeats * min(options.folds, len(set(held_out.groups)))
    with progress(f"estimating {options.method}", planned) as counter:
        try:
            nested = out_of_fold(make, held_out, options.folds, options.repeats, options.seed, counter.advance)
        except KeyboardInterrupt:
            return None, "Ctrl-C ended the nested estimate in its first fold: there is none."
    if not nested.interrupted:
        return nested, ""
    return nested, (
        f"Ctrl-C ended the nested estimate after {len(nested.fit_scores)} of {nested.planned} fits: it holds for "
        f"{int(nested.scored.sum())} of {len(held_out.y)} clips."
    )


def factory(
    held_out: HeldOut,
    method: str,
    params: Mapping[str, Any] | None,
    selection: Selection,
    seed: int,
    metric: Metric = "accuracy",
) -> Callable[[], Selected]:
    """Makes unfitted fusions, each with the selection of its candidates as a part of the fit."""
    return lambda: Selected(
        make_fusion(method, {"metric": metric, **(params or {})}, seed), _entries(held_out), selection
    )


def factory_of(ensemble: Ensemble, held_out: HeldOut) -> Callable[[], Selected]:
    """Makes what a stored ensemble of classes was fitted by."""
    if ensemble.metric == "ccc":
        raise EmofuseError(f"Ensemble {ensemble.name!r} is of continuous emotion, not of classes.")
    chosen = dict(ensemble.selection)
    chosen["entries"] = tuple(chosen["entries"]) if chosen["entries"] is not None else None
    return factory(held_out, ensemble.method, ensemble.params, Selection(**chosen), ensemble.seed, ensemble.metric)


def _single(held_out: HeldOut, selection: Selection, fusion: Selected) -> Callable[[], Selected]:
    # A single member is alone with the clips that it lacks: they are uniform, not left to others.
    return lambda: Selected(BestSingle(fusion.metric, missing="uniform"), _entries(held_out), selection)


def _average(held_out: HeldOut, selection: Selection, fusion: Selected) -> Callable[[], Selected]:
    return lambda: Selected(UniformAverage(fusion.metric, fusion.missing), _entries(held_out), selection)


def _entries(held_out: HeldOut) -> tuple[str, ...]:
    return tuple(member.name if member.config_key else member.entry for member in held_out.members)


def _record(member: Member) -> EnsembleMember:
    keys = {partition: footer.trial_key for partition, footer in member.trials.items()}
    return EnsembleMember(member.entry, member.config_key, keys)


def _on_fitted_rows(ensemble: Ensemble, held_out: HeldOut, probabilities: np.ndarray) -> Measured:
    right = (probabilities.argmax(axis=1) == held_out.y).astype(float)
    rows = f"held-out clips{_of_partitions(ensemble)}, which chose the weights"
    interval = accuracy_interval(right, held_out.groups)
    intervals = intervals_of(held_out.y, probabilities, held_out.groups)
    return Measured.of(score(held_out.y, probabilities), rows, len(set(held_out.groups)), interval, intervals)


def _on_other_rows(ensemble: Ensemble, nested: Estimate) -> Measured:
    rows = f"held-out clips{_of_partitions(ensemble)}, each by weights fitted without its group"
    return Measured(
        rows, nested.n_clips, nested.n_groups, nested.metrics, nested.interval, nested.confusion, nested.intervals
    )


def score_on_train(ensemble: Ensemble, predictions: RunPredictions) -> Ensemble:
    """Add the ensemble's scores on the clips that its members were fitted on, where the predictions have them."""
    places = {(member.entry, member.config_key): m for m, member in enumerate(predictions.held_out.members)}
    pooled = predictions.fitted([places[member.entry, member.config_key] for member in ensemble.members])
    rows = [n for n, label in enumerate(pooled.labels) if label is not None]
    if not rows:
        return ensemble
    y = np.array([ensemble.classes.index(str(pooled.labels[n])) for n in rows])
    fused = ensemble.predict_proba(pooled.P[:, rows], pooled.valid[:, rows])
    groups = len({pooled.groups[n] for n in rows})
    return ensemble.with_scores(
        "ensemble", "train", Measured.of(score(y, fused), "clips that its members were fitted on", groups, None)
    )


def score_on_test(ensemble: Ensemble, test: TestScores, how: How = "test") -> Ensemble:
    """Add the scores on the test clips: of the ensemble, its best single member and the plain averages.

    `how` is `test_refit` when `test` holds the refitted members (`read_refits`). The best single member and the
    candidates were chosen on held-out rows; where they are not all members of the ensemble, their test scores are left
    out of `test_refit`.
    """
    places, absent = find_places(ensemble, test.members)
    if absent:
        raise EmofuseError(f"Ensemble {ensemble.name!r}: there are no test predictions of its member {absent[0]}.")
    if test.classes != ensemble.classes:
        raise EmofuseError(f"Ensemble {ensemble.name!r} has other classes than the test predictions; fit it again.")
    members = test.of_members(places)
    all_members = range(len(members.members))
    outputs: dict[Who, np.ndarray] = {
        "ensemble": ensemble.predict_proba(members.P, members.valid),
        "uniform_average": average_of(members.P, members.valid, all_members, ensemble.missing),
    }
    names = {member.name: m for m, member in enumerate(test.members)}
    if ensemble.candidates and names.keys() >= set(ensemble.candidates):
        kept = [names[name] for name in ensemble.candidates]
        outputs["candidates_average"] = average_of(test.P, test.valid, kept, ensemble.missing)
    if ensemble.best_single in names:
        outputs["best_single"] = test.P[names[ensemble.best_single]]
    rows = "test clips, members refitted on train and val" if how == "test_refit" else "test clips"
    for who, probabilities in outputs.items():
        scores, interval = test.score(probabilities), test.interval(probabilities)
        measured = Measured.of(scores, rows, test.n_groups, interval, test.metric_intervals(probabilities))
        ensemble = ensemble.with_scores(who, how, measured)
    return ensemble


def _of_partitions(ensemble: Ensemble) -> str:
    split = f" of split {ensemble.fit_split}" if ensemble.fit_split else ""
    return f"{split} of partition {' and '.join(ensemble.partitions)}" if ensemble.partitions else split
