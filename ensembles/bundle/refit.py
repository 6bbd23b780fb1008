"""Refit: every member once more on train plus val, with its hyperparameters, its epochs and the weights kept.

Kahou 2015, submissions 3 and 6. The backbone on stills is never trained again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import ensemble_path, write_ensemble
from features.errors import EmofuseError
from features.terminal import command

if TYPE_CHECKING:
    from ensembles.predictions.sealed_scores import Look
    from search.cluster.workers import Workers
    from search.run.folder import RunFolder
    from search.trial.trial import TrialResult


def refit(run: "RunFolder", ensemble: Ensemble, workers: "Workers") -> Ensemble:
    """Train the members on partition `full`, and return the ensemble with the refits' keys; finished ones are kept.

    Errors: a member whose trials were imported from another tool; a refit that failed.
    """
    refuse_imported(run.path, ensemble)
    from search.run.predictions import read_footer
    from search.study.plan import encoder_refits, refit_spec
    from search.study.refits import train_refits

    specs = []
    encoders = {}
    for member in ensemble.members:
        parents = [read_footer(run.prediction(member.entry, key)) for key in member.trials.values()]
        specs.append(refit_spec(run, parents))
        encoders.update({spec.trial_key: spec for spec in encoder_refits(run, parents).values()})
    # What a fusion reads comes first; where it is a member too, it is trained once.
    _refuse_failed(train_refits(run, list(encoders.values()), workers))
    results = train_refits(run, [encoders.get(spec.trial_key, spec) for spec in specs], workers)
    _refuse_failed(results)
    members = zip(ensemble.members, results, strict=True)
    return replace(ensemble, members=tuple(replace(member, refit=result.trial_key) for member, result in members))


def refit_and_store(run: Path, ensemble: Ensemble, workers: "Workers", *, test: "Look" = False) -> Ensemble:
    """`refit`, kept in the run in the ensemble's place; `test` adds the refits' scores on the test clips.

    Test clips without labels are told before anything is trained.
    """
    from search.run.folder import RunFolder

    refuse_imported(run, ensemble)
    folder = RunFolder.open(run)
    if test:
        _refuse_unlabelled(run, ensemble, test)
    refitted = refit(folder, ensemble, workers)
    # Before anything is scored: what was trained can be exported, whatever the test clips lack.
    write_ensemble(refitted, ensemble_path(run, refitted.name))
    if test:
        refitted = score_refits(run, refitted, test)
        write_ensemble(refitted, ensemble_path(run, refitted.name))
    return refitted


def refuse_imported(run: Path, ensemble: Ensemble) -> None:
    """Refuse an ensemble with members of other tools: there is nothing of them to train, nor to put into a bundle."""
    from search.run.predictions import prediction_path, read_footer

    own: list[str] = []
    foreign: list[str] = []
    for member in ensemble.members:
        footer = read_footer(prediction_path(run, member.entry, next(iter(member.trials.values()))))
        (own if footer.inputs else foreign).append(member.entry)
    if foreign:
        fused = command("ensemble", "predictions", run, ensemble.name, "--split", "test", "-o", "test.csv")
        told = f"Its fused predictions are to be had by `{fused}`"
        if own:
            told += ", and an ensemble of the others (`ensemble fit --entry`) can be refitted and exported"
        raise EmofuseError(
            f"Ensemble {ensemble.name!r}: {', '.join(dict.fromkeys(foreign))} {'were' if len(foreign) > 1 else 'was'} "
            f"imported from another tool; imported models can't be retrained or exported. {told}."
        )


def _refuse_failed(results: "Sequence[TrialResult]") -> None:
    failed = [result for result in results if result.status == "failed"]
    if failed:
        raise EmofuseError(
            f"{len(failed)} of {len(results)} refits failed; the first, {failed[0].entry}: {failed[0].reason}"
        )


def _refuse_unlabelled(run: Path, ensemble: Ensemble, look: "Look") -> None:
    """Refuse a look at test clips, or test recordings, that have no labels."""
    if ensemble.over_time is not None:
        from ensembles.continuous.later import seen_over_time
        from ensembles.continuous.run import read_continuous_run, sealed_recordings

        found = read_continuous_run(run, ensemble.partitions or None)
        if seen := seen_over_time(look):
            sealed_recordings(found.trials, found.dimensions, seen)
        return
    from ensembles.predictions.sealed_scores import looked_at
    from ensembles.predictions.sets import read_run

    looked_at(read_run(run, ensemble.partitions or None, ensemble.fit_split).test, look)


def score_refits(run: Path, ensemble: Ensemble, look: "Look" = True) -> Ensemble:
    """Add the scores of the refitted members on the test clips (or recordings): the final look."""
    if ensemble.over_time is not None:
        from ensembles.continuous.later import seen_over_time
        from ensembles.fitting.fit_over_time import refits_over_time, score_over_time

        return score_over_time(ensemble, refits_over_time(run, ensemble, seen_over_time(look)), "test_refit")
    from ensembles.fitting.fit import score_on_test
    from ensembles.predictions.sealed_scores import looked_at
    from ensembles.predictions.sets import read_refits

    return score_on_test(ensemble, looked_at(read_refits(run, ensemble.refits).test, look), "test_refit")
