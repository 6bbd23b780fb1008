"""What members of a run, and fusions of them, predict on recordings whose labels nobody needs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ensembles.continuous.run import continuous_entries
from ensembles.continuous.stored import read_continuous
from ensembles.predictions.organisers import TracePredictions
from features.errors import EmofuseError
from features.names import unknown_name
from search.run.continuous_predictions import ContinuousPredictions, read_continuous_predictions
from search.run.predictions import prediction_files

_REFIT = "full"


def traces(run: Path, name: str, role: str, searched: bool = False) -> TracePredictions:
    """The predictions of a member (`ENTRY/CONFIG` or, with one configuration, `ENTRY`) or of a fusion's file.

    `role` is `test` or `held_out`. A refitted member predicts test recordings by its refit, unless its trials as
    `searched` are wanted; of several trials it is their mean. Recordings that it could not read are left out.
    """
    members = _members(run)
    if name.endswith(".json") and Path(name).is_file():
        return _fused(Path(name), members, role, searched)
    chosen = [own for own in members if own == name or own.partition("/")[0] == name]
    if len(chosen) != 1:
        raise unknown_name("member", name, members)
    trials = _of_role(members[chosen[0]], role, searched)
    return TracePredictions(trials[0].footer.dimensions, _means(run, trials, role))


def _members(run: Path) -> dict[str, list[ContinuousPredictions]]:
    entries, _ = continuous_entries(run)
    found: dict[str, list[ContinuousPredictions]] = defaultdict(list)
    for path in prediction_files(run):
        if path.parent.name.removeprefix("family=") in entries:
            trial = read_continuous_predictions(path)
            found[f"{trial.footer.entry}/{trial.footer.config_key[:12]}"].append(trial)
    return found


def _of_role(trials: Sequence[ContinuousPredictions], role: str, searched: bool) -> list[ContinuousPredictions]:
    refits = [trial for trial in trials if trial.footer.partition == _REFIT]
    if refits and role == "test" and not searched:
        return refits
    return [trial for trial in trials if trial.footer.partition != _REFIT]


def _means(
    run: Path, trials: Sequence[ContinuousPredictions], role: str
) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    times: dict[str, np.ndarray] = {}
    for trial in trials:
        for track in trial.tracks:
            if track.role == role and track.valid:
                values[track.clip_id].append(track.p.astype(np.float64))
                times[track.clip_id] = track.time_s
    if not times:
        raise EmofuseError(f"{run}: there are no {role.replace('_', '-')} recordings among the predictions.")
    return {clip_id: (times[clip_id], np.mean(values[clip_id], axis=0)) for clip_id in sorted(times)}


def _fused(
    path: Path, members: Mapping[str, Sequence[ContinuousPredictions]], role: str, searched: bool
) -> TracePredictions:
    fusion = read_continuous(path)
    for name in fusion.members:
        if name not in members:
            raise unknown_name(f"member of {path}", name, members)
    own = [_means(path, _of_role(members[name], role, searched), role) for name in fusion.members]
    dimensions = tuple(one.dimension for one in fusion.dimensions)
    found = {}
    for clip_id in sorted(set().union(*own)):
        time_s = next(one[clip_id][0] for one in own if clip_id in one)
        P = np.full((len(own), len(time_s), len(dimensions)), np.nan)
        for m, one in enumerate(own):
            if clip_id in one:
                P[m] = one[clip_id][1]
        found[clip_id] = time_s, fusion.predict(P, ~np.isnan(P))
    return TracePredictions(dimensions, found)
