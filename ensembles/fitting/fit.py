"""Fit an ensemble on a run's held-out predictions, and say honestly what it is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.evaluation.intervals import accuracy_interval
from ensembles.evaluation.metrics import score
from ensembles.fitting.ensemble import Ensemble, EnsembleMember, How, Measured, Who
from ensembles.fitting.estimate import Estimate, OutOfFold, compare_outside, out_of_fold, summarise
from ensembles.fitting.selection import Selected, Selection
from ensembles.fusion import BestSingle, DecisionFusion, UniformAverage, make_fusion
from ensembles.fusion.base import fuse
from ensembles.predictions.sets import HeldOut, Member, TestScores, read_run
from features.errors import EmofuseError
from features.progress import progress


def fit_ensemble(
    run: Path,
    method: str = "decision",
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    selection: Selection = Selection(),
    partitions: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    fit_split: str | None = None,
    test: bool = False,
) -> Ensemble:
    """Read a run, choose candidates, fit the method on their held-out rows and estimate it by nested folds.

    `partitions` says which trials are pooled (None: all), `fit_split` which clips are used (None: all that are held
    out, else those of train or val), `params` go to the method, `test` adds the scores on the test clips. Errors: those
    of `read_run`, `make_fusion` and the method itself.
    """
    make_fusion(method, params, seed)
    predictions = read_run(run, partitions, fit_split)
    ensemble = fit_on(
        predictions.held_out,
        method,
        name=name,
        params=params,
        selection=selection,
        partitions=predictions.partitions,
        folds=folds,
        repeats=repeats,
        seed=seed,
        fit_split=fit_split,
    )
    return score_on_test(ensemble, predictions.test) if test else ensemble


def fit_on(
    held_out: HeldOut,
    method: str = "decision",
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    selection: Selection = Selection(),
    partitions: Sequence[str] = (),
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    fit_split: str | None = None,
    whole: bool = False,
) -> Ensemble:
    """`fit_ensemble` on predictions that are read already; it takes nothing that holds test labels.

    Ctrl-C ends the search with the best weights so far, and the nested estimate with the folds that are done; `note`
    says which. With `whole` it ends everything (KeyboardInterrupt).
    """
    make = factory(held_out, method, params, selection, seed)
    n_groups = len(set(held_out.groups))
    fusion = make()
    if isinstance(fusion.fusion, DecisionFusion):
        fusion.fusion.verbose = True
    fusion.fit(held_out.P, held_out.y, held_out.valid, held_out.groups)
    nested, note = None, "There is no nested estimate: all held-out clips belong to one group."
    if fusion.interrupted_:
        note = "Ctrl-C ended the search: the weights are the best so far, and there is no nested estimate."
    elif n_groups > 1:
        nested, note = _estimated(make, held_out, f"estimating {method}", folds, repeats, seed)
    if whole and (fusion.interrupted_ or (n_groups > 1 and note)):
        raise KeyboardInterrupt
    single = _single(held_out, selection, fusion)
    best = int(single().fit(held_out.P, held_out.y, held_out.valid).weights_[:, 0].argmax())
    # A log-pool fills in for those that lack a clip with all its members' mean, so none of them can be left away.
    chosen = [m for m in fusion.candidates_.kept if fusion.log_pool_ or fusion.weights_[m].any()]
    members = held_out.of_members(chosen)
    ensemble = Ensemble(
        name=name or method,
        method=method,
        params=dict(params or {}),
        seed=seed,
        missing=fusion.missing,
        classes=held_out.classes,
        members=tuple(_record(member) for member in members.members),
        weights=fusion.weights_[chosen],
        partitions=tuple(partitions),
        fit_split=fit_split,
        selection=asdict(selection),
        folds=folds,
        repeats=repeats,
        best_single=held_out.members[best].name,
        scores={},
        n_candidates=len(held_out.members),
        clips_fingerprint=members.members[0].footer.clips_fingerprint,
        temperatures=None if fusion.temperatures_ is None else tuple(fusion.temperatures_[chosen].tolist()),
        log_pool=fusion.log_pool_,
        note=note,
    )
    outputs: dict[Who, np.ndarray] = {
        "ensemble": ensemble.predict_proba(members.P, members.valid),
        "best_single": held_out.P[best],
        "uniform_average": fuse(members.P, _equal(members.P), members.valid, fusion.missing),
    }
    for who, probabilities in outputs.items():
        ensemble = ensemble.with_scores(who, "fit", _on_fitted_rows(ensemble, held_out, probabilities))
    if nested is None:
        return ensemble
    outside: dict[Who, OutOfFold] = {
        "ensemble": nested,
        "best_single": out_of_fold(single, held_out, folds, repeats, seed),
        "uniform_average": out_of_fold(_average(held_out, selection, fusion), held_out, folds, repeats, seed),
    }
    for who, predictions in outside.items():
        estimate = summarise(predictions, held_out, nested.scored)
        ensemble = ensemble.with_scores(who, "nested", _on_other_rows(ensemble, estimate))
    return replace(ensemble, against_single=compare_outside(nested, outside["best_single"], held_out))


def _estimated(
    make: Callable[[], Selected], held_out: HeldOut, what: str, folds: int, repeats: int, seed: int
) -> tuple[OutOfFold | None, str]:
    """The out-of-fold predictions, and a note on what is missing of them."""
    with progress(what, repeats * min(folds, len(set(held_out.groups)))) as counter:
        try:
            nested = out_of_fold(make, held_out, folds, repeats, seed, counter.advance)
        except KeyboardInterrupt:
            return None, "Ctrl-C ended the nested estimate in its first fold: there is none."
    if not nested.interrupted:
        return nested, ""
    return nested, (
        f"Ctrl-C ended the nested estimate after {len(nested.fit_scores)} of {nested.planned} fits: it holds for "
        f"{int(nested.scored.sum())} of {len(held_out.y)} clips."
    )


def factory(
    held_out: HeldOut, method: str, params: Mapping[str, Any] | None, selection: Selection, seed: int
) -> Callable[[], Selected]:
    """Makes unfitted fusions, each with the selection of its candidates as a part of the fit."""
    return lambda: Selected(make_fusion(method, params, seed), _entries(held_out), selection)


def factory_of(ensemble: Ensemble, held_out: HeldOut) -> Callable[[], Selected]:
    """Makes what a stored ensemble was fitted by."""
    chosen = dict(ensemble.selection)
    chosen["entries"] = tuple(chosen["entries"]) if chosen["entries"] is not None else None
    return factory(held_out, ensemble.method, ensemble.params, Selection(**chosen), ensemble.seed)


def _single(held_out: HeldOut, selection: Selection, fusion: Selected) -> Callable[[], Selected]:
    # A single member is alone with the clips that it lacks: they are uniform, not left to others.
    return lambda: Selected(BestSingle(fusion.metric, missing="uniform"), _entries(held_out), selection)


def _average(held_out: HeldOut, selection: Selection, fusion: Selected) -> Callable[[], Selected]:
    return lambda: Selected(UniformAverage(fusion.metric, fusion.missing), _entries(held_out), selection)


def _entries(held_out: HeldOut) -> tuple[str, ...]:
    return tuple(member.entry for member in held_out.members)


def _record(member: Member) -> EnsembleMember:
    keys = {partition: footer.trial_key for partition, footer in member.trials.items()}
    return EnsembleMember(member.entry, member.config_key, keys)


def _on_fitted_rows(ensemble: Ensemble, held_out: HeldOut, probabilities: np.ndarray) -> Measured:
    right = (probabilities.argmax(axis=1) == held_out.y).astype(float)
    rows = f"held-out clips{_of_partitions(ensemble)}, which chose the weights"
    interval = accuracy_interval(right, held_out.groups)
    return Measured.of(score(held_out.y, probabilities), rows, len(set(held_out.groups)), interval)


def _on_other_rows(ensemble: Ensemble, nested: Estimate) -> Measured:
    rows = f"held-out clips{_of_partitions(ensemble)}, each by weights fitted without its group"
    return Measured(rows, nested.n_clips, nested.n_groups, nested.metrics, nested.interval, nested.confusion)


def score_on_test(ensemble: Ensemble, test: TestScores, how: How = "test") -> Ensemble:
    """Add the scores on the test clips: of the ensemble, its best single member and the plain average.

    `how` is `test_refit` when `test` holds the refitted members (`read_refits`). The best single member was chosen on
    held-out rows; where it is no member of the ensemble, its test score is left out of `test_refit`.
    """
    places = {(member.entry, member.config_key): m for m, member in enumerate(test.members)}
    absent = [member.name for member in ensemble.members if (member.entry, member.config_key) not in places]
    if absent:
        raise EmofuseError(f"Ensemble {ensemble.name!r}: there are no test predictions of its member {absent[0]}.")
    if test.classes != ensemble.classes:
        raise EmofuseError(f"Ensemble {ensemble.name!r} has other classes than the test predictions; fit it again.")
    members = test.of_members([places[member.entry, member.config_key] for member in ensemble.members])
    single = next((m for m, member in enumerate(test.members) if member.name == ensemble.best_single), None)
    outputs: dict[Who, np.ndarray] = {
        "ensemble": ensemble.predict_proba(members.P, members.valid),
        "uniform_average": fuse(members.P, _equal(members.P), members.valid, ensemble.missing),
    }
    if single is not None:
        outputs["best_single"] = test.P[single]
    rows = "test clips, members refitted on train and val" if how == "test_refit" else "test clips"
    for who, probabilities in outputs.items():
        scores, interval = test.score(probabilities), test.interval(probabilities)
        ensemble = ensemble.with_scores(who, how, Measured.of(scores, rows, test.n_groups, interval))
    return ensemble


def _equal(P: np.ndarray) -> np.ndarray:
    return np.full((P.shape[0], P.shape[2]), 1 / len(P))


def _of_partitions(ensemble: Ensemble) -> str:
    split = f" of split {ensemble.fit_split}" if ensemble.fit_split else ""
    return f"{split} of partition {' and '.join(ensemble.partitions)}" if ensemble.partitions else split
