"""A submission over others of continuous emotion: their outputs weighted, as one ensemble of all their members."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ensembles.continuous.run import recordings_of
from ensembles.continuous.selected import make_method
from ensembles.continuous.trials import REFIT, read_trials
from ensembles.records.ensemble import Ensemble, Measured
from ensembles.records.over_time import OverTime
from features.errors import EmofuseError
from models.concordance import continuous_metrics
from search.recipe.submissions import Submission

METHOD = "concordance"  # of continuous emotion, where a submission names none
NOTE = "Its weights were searched on clips that its members were fitted on, so its score there is no estimate."


def over(run: Path, one: Submission, parts: Sequence[Ensemble], seed: int) -> Ensemble:
    """An ensemble of all members of `parts`: what the parts make of train and val, weighted for the highest CCC.

    A weighted sum of weighted sums is one again, so the members' weights, scale and offset follow from the parts'.
    """
    trials = {trial.footer.trial_key: trial for trial in read_trials(run) if trial.footer.partition == REFIT}
    dimensions = parts[0].outputs
    fused, sides = [], []
    for part in parts:
        own = {f"{m:03d}": [trials[key]] for m, (_, key) in enumerate(part.refits)}
        sides.append(recordings_of(own, dimensions, "fit"))
        fused.append(part.predict_over_time(sides[-1].P, sides[-1].valid))
    first = sides[0]
    if any(side.recording.tolist() != first.recording.tolist() for side in sides):
        raise EmofuseError(f"Submission {one.name!r}: the refits of {', '.join(one.over)} know different recordings.")
    name = one.method or METHOD
    fitted = make_method(name, one.params, seed).fit(np.stack(fused), first.Y, None, first.group.tolist())
    times = [_over_time(part) for part in parts]
    outer = fitted.weights_  # (parts, D)
    shares = outer * np.array([own.scale for own in times])
    total = shares.sum(axis=0)
    offset = (outer * np.array([own.offset for own in times])).sum(axis=0)
    ensemble = replace(
        parts[0],
        name=one.name,
        method=name,
        params=dict(one.params),
        members=tuple(member for part in parts for member in part.members),
        weights=np.concatenate([part.weights * share / total for part, share in zip(parts, shares, strict=True)]),
        partitions=tuple(dict.fromkeys(name for part in parts for name in part.partitions)),
        selection={**parts[0].selection, "members": tuple(one.over)},
        scores={"ensemble": {}, "best_single": {}},
        n_candidates=len(parts),
        candidates=(),
        note=NOTE,
        over_time=replace(
            times[0],
            scale=tuple((fitted.scale_ * total).tolist()),
            offset=tuple((fitted.scale_ * offset + fitted.offset_).tolist()),
            label_mean=tuple(fitted.label_mean_.tolist()),
            gains={},
        ),
    )
    P, valid = (np.concatenate([getattr(side, name) for side in sides]) for name in ("P", "valid"))
    metrics = continuous_metrics(first.Y, ensemble.predict_over_time(P, valid), dimensions)
    recordings, groups = len(set(first.recording)), len(set(first.group))
    rows = "recordings of train and val, which its members learnt"
    return ensemble.with_scores("ensemble", "fit", Measured(rows, recordings, groups, metrics, None, ()))


def _over_time(part: Ensemble) -> OverTime:
    assert part.over_time is not None
    return part.over_time
