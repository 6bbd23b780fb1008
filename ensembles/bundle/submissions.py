"""The submissions of a recipe, built from stored trials; what is trained are the refits that are missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensembles.bundle.over_submissions import METHOD, NOTE, over
from ensembles.bundle.refit import refit, score_refits
from ensembles.evaluation.metrics import score
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import make_selection
from ensembles.fitting.store import fit_any, learns_over_time
from ensembles.fusion import make_fusion
from ensembles.predictions.scan import pool, scan
from ensembles.records.ensemble import Ensemble, Measured
from ensembles.records.stored import ensemble_path, write_ensemble
from features.errors import EmofuseError, WrongUse
from search.recipe.submissions import Submission
from search.run.planned import read_metric

if TYPE_CHECKING:
    from ensembles.predictions.sealed_scores import Look
    from search.cluster.workers import Workers
    from search.run.folder import RunFolder

_METHOD = "decision"  # of classes, where a submission names none


def make_submissions(run: "RunFolder", workers: "Workers", *, test: "Look" = False) -> list[Ensemble]:
    """Build every submission of the run's recipe, in order, and keep each as an ensemble of its name.

    `test` scores the test clips. Errors: a recipe without any; a member without trials; a refit that failed.
    """
    if not run.recipe.submissions:
        raise WrongUse(f"{run.path}: its recipe {run.recipe.name!r} names no `submissions`.")
    made: dict[str, Ensemble] = {}
    for one in run.recipe.submissions:
        ensemble = _made(run, one, made, workers, test)
        write_ensemble(ensemble, ensemble_path(run.path, one.name))
        made[one.name] = ensemble
    return list(made.values())


def _made(run: "RunFolder", one: Submission, made: dict[str, Ensemble], workers: "Workers", test: "Look") -> Ensemble:
    if one.members:
        options = FitOptions(
            one.method or _METHOD,
            name=one.name,
            params=one.params,
            selection=make_selection(members=one.members),
            partitions=[str(one.partition)],
            seed=run.recipe.seed,
        )
        if learns_over_time(run.path, options) and one.method is None:
            options = replace(options, method=METHOD)
        return fit_any(run.path, options, test=test)
    if one.refit_of:
        own = refit(run, replace(made[one.refit_of], name=one.name), workers)
    elif all(made[name].over_time is not None for name in one.over):
        own = over(run.path, one, [made[name] for name in one.over], run.recipe.seed)
    else:
        own = _over(run.path, one, [made[name] for name in one.over], run.recipe.seed)
    return score_refits(run.path, own, test) if test else own


def _over(run: Path, one: Submission, parts: Sequence[Ensemble], seed: int) -> Ensemble:
    """An ensemble of all members of `parts`: each one's weights, times those of its part (Kahou's submission 7)."""
    if any(part.over_time is not None for part in parts):
        raise WrongUse(f"Submission {one.name!r}: `over` takes submissions of classes, or of continuous emotion alone.")
    if any(part.log_pool or part.temperatures for part in parts):
        raise WrongUse(f"Submission {one.name!r}: `over` is for submissions whose scores are weighted sums.")
    trials = {trial.footer.trial_key: trial for trial in scan(run) if trial.footer.partition == "full"}
    rows = [pool([[trials[key]] for _, key in part.refits], "fit") for part in parts]
    if any(found.ids != rows[0].ids for found in rows):
        raise EmofuseError(f"Submission {one.name!r}: the refits of {', '.join(one.over)} know different clips.")
    classes = parts[0].classes
    y = np.array([classes.index(str(label)) for label in rows[0].labels])
    fused = np.stack([part.predict_proba(found.P, found.valid) for part, found in zip(parts, rows, strict=True)])
    params = {"metric": read_metric(run), **one.params}
    fusion = make_fusion(one.method or _METHOD, params, seed).fit(fused, y, None, rows[0].groups)
    if fusion.log_pool_ or fusion.temperatures_ is not None:
        raise WrongUse(f"Submission {one.name!r}: method {one.method or _METHOD!r} gives no weights per submission.")
    weights = np.concatenate([part.weights * own for part, own in zip(parts, fusion.weights_, strict=True)])
    ensemble = replace(
        parts[0],
        name=one.name,
        method=one.method or _METHOD,
        params=dict(one.params),
        metric=fusion.metric,
        members=tuple(member for part in parts for member in part.members),
        weights=weights / weights.sum(axis=0),
        partitions=tuple(dict.fromkeys(name for part in parts for name in part.partitions)),
        selection={**parts[0].selection, "members": tuple(one.over)},
        scores={"ensemble": {}, "best_single": {}, "uniform_average": {}},
        n_candidates=len(parts),
        candidates=(),
        against_single=None,
        note=NOTE,
    )
    P, valid = (np.concatenate([getattr(found, name) for found in rows]) for name in ("P", "valid"))
    known = score(y, ensemble.predict_proba(P, valid))
    groups = len(set(rows[0].groups))
    return ensemble.with_scores(
        "ensemble", "fit", Measured.of(known, "train and val, which its members learnt", groups, None)
    )
