"""Refit: every member once more on train plus val, with its hyperparameters, its epochs and the weights kept.

Kahou 2015, submissions 3 and 6. The backbone on stills is never trained again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ensembles.fitting.ensemble import Ensemble, ensemble_path, write_ensemble
from features.errors import EmofuseError

if TYPE_CHECKING:
    from search.cluster.workers import Workers
    from search.run.folder import RunFolder
    from search.trial.trial import TrialResult


def refit(run: "RunFolder", ensemble: Ensemble, workers: "Workers") -> Ensemble:
    """Train the members on partition `full`, and return the ensemble with the refits' keys; finished ones are kept.

    Errors: a member whose trials were imported from another tool (there is nothing to train); a refit that failed.
    """
    from search.run.predictions import read_footer
    from search.study.plan import encoder_refits, refit_spec
    from search.study.refits import train_refits

    specs = []
    encoders = {}
    for member in ensemble.members:
        parents = [read_footer(run.prediction(member.entry, key)) for key in member.trials.values()]
        if not parents[0].inputs:
            raise EmofuseError(
                f"Member {member.entry!r} of ensemble {ensemble.name!r} was imported from another tool, so it can't be "
                "refitted; fit an ensemble without imported members to export one."
            )
        specs.append(refit_spec(run, parents))
        encoders.update({spec.trial_key: spec for spec in encoder_refits(run, parents).values()})
    # What a fusion reads comes first; where it is a member too, it is trained once.
    _refuse_failed(train_refits(run, list(encoders.values()), workers))
    results = train_refits(run, [encoders.get(spec.trial_key, spec) for spec in specs], workers)
    _refuse_failed(results)
    members = zip(ensemble.members, results, strict=True)
    return replace(ensemble, members=tuple(replace(member, refit=result.trial_key) for member, result in members))


def refit_and_store(run: Path, ensemble: Ensemble, workers: "Workers", *, test: bool = False) -> Ensemble:
    """`refit`, kept in the run in the ensemble's place; `test` adds the refits' scores on the test clips."""
    from search.run.folder import RunFolder

    refitted = refit(RunFolder.open(run), ensemble, workers)
    if test:
        refitted = score_refits(run, refitted)
    write_ensemble(refitted, ensemble_path(run, refitted.name))
    return refitted


def _refuse_failed(results: "Sequence[TrialResult]") -> None:
    failed = [result for result in results if result.status == "failed"]
    if failed:
        raise EmofuseError(
            f"{len(failed)} of {len(results)} refits failed; the first, {failed[0].entry}: {failed[0].reason}"
        )


def score_refits(run: Path, ensemble: Ensemble) -> Ensemble:
    """Add the scores of the refitted members on the test clips: the final look."""
    from ensembles.fitting.fit import score_on_test
    from ensembles.predictions.sets import read_refits

    refits = read_refits(run, [(member.entry, member.config_key) for member in ensemble.members])
    return score_on_test(ensemble, refits.test, "test_refit")
