"""What members of a run, and fusions of them, predict on recordings whose labels nobody needs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ensembles.continuous.stored import read_continuous
from ensembles.continuous.trials import REFIT, member_name, read_trials
from ensembles.predictions.organisers import TracePredictions
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from search.run.continuous_predictions import ContinuousPredictions

_Means = Mapping[str, tuple[np.ndarray, np.ndarray]]


def member_traces(run: Path, name: str, role: str, searched: bool = False) -> TracePredictions:
    """The predictions of a member: `ENTRY/CONFIG` or, with one configuration, `ENTRY`.

    `role` is `test` or `held_out`. A refitted member predicts test recordings by its refit, unless its trials as
    `searched` are wanted; of several trials it is their mean, of several seeds the first. Refitted several times it is
    called `ENTRY/TRIAL`, after a refit. Recordings that it could not read are left out.
    """
    trials = _named(run, name, role, searched)
    return TracePredictions(trials[0].footer.dimensions, _means(run, trials, role))


def fused_traces(
    run: Path, members: Sequence[Sequence[str]], role: str, fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> _Means:
    """For each recording its times and what `fuse` makes of the members' predictions `P` (M, T, D) and `valid`.

    `members` are the keys of each member's trials, whose mean it predicts. A recording is there that any has.
    """
    known = {trial.footer.trial_key: trial for trial in read_trials(run)}
    for key in (key for keys in members for key in keys):
        if key not in known:
            raise EmofuseError(f"{run}: the predictions of trial {key[:12]}, a member's, are gone.")
    return _fused(run, [[known[key] for key in keys] for keys in members], role, fuse)


def file_traces(run: Path, path: Path, role: str, searched: bool = False) -> TracePredictions:
    """The predictions of a fusion of the run's members that an earlier release wrote to a file of its own."""
    fusion = read_continuous(path)
    own = [_named(run, name, role, searched) for name in fusion.members]
    dimensions = tuple(one.dimension for one in fusion.dimensions)
    return TracePredictions(dimensions, _fused(run, own, role, fusion.predict))


def _named(run: Path, name: str, role: str, searched: bool) -> list[ContinuousPredictions]:
    members: dict[str, list[ContinuousPredictions]] = defaultdict(list)
    for trial in read_trials(run):
        if not trial.footer.repeat:
            members[member_name(trial)].append(trial)
    entry, slash, key = name.partition("/")
    by_refit = [t for own in members.values() for t in own if _is_refit(t) and t.footer.trial_key.startswith(key)]
    by_refit = [t for t in by_refit if t.footer.entry == entry] if slash and key else []
    chosen = [own for own in members if own == name or own.partition("/")[0] == name or (key and own.startswith(name))]
    if not chosen and len(by_refit) == 1:
        return by_refit
    if len(chosen) != 1:
        raise unknown_name("member", name, members)
    refits = [trial for trial in members[chosen[0]] if _is_refit(trial)]
    if not refits or role != "test" or searched:
        return [trial for trial in members[chosen[0]] if not _is_refit(trial)]
    if len(refits) > 1:
        told = ", ".join(f"{entry}/{t.footer.trial_key[:12]} ({t.footer.epochs} epochs)" for t in refits)
        raise WrongUse(f"{name} was refitted {len(refits)} times, for ensembles of several partitions: choose {told}.")
    return refits


def _is_refit(trial: ContinuousPredictions) -> bool:
    return trial.footer.partition == REFIT


def _means(run: Path, trials: Sequence[ContinuousPredictions], role: str) -> _Means:
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
    run: Path,
    members: Sequence[Sequence[ContinuousPredictions]],
    role: str,
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> _Means:
    own = [_means(run, trials, role) for trials in members]
    found = {}
    for clip_id in sorted(set().union(*own)):
        time_s, first = next(one[clip_id] for one in own if clip_id in one)
        P = np.full((len(own), *first.shape), np.nan)
        for m, one in enumerate(own):
            if clip_id in one:
                P[m] = one[clip_id][1]
        found[clip_id] = time_s, fuse(P, ~np.isnan(P))
    return found
