"""What an ensemble or a member of a run, called by its name, says of the clips of a split."""

from pathlib import Path

import numpy as np

from ensembles.continuous.traces import file_traces, fused_traces, member_traces
from ensembles.predictions.names import called
from ensembles.predictions.organisers import ClassPredictions, TracePredictions
from ensembles.predictions.scan import pool, scan
from ensembles.predictions.sets import NOT_POOLED, HeldOut, TestScores, read_refits, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.places import places_of
from ensembles.records.stored import ensemble_names, open_ensemble
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.progress import say

_ROLES = {"val": "held_out", "test": "test"}


def named_predictions(run: Path, name: str, split: str, searched: bool = False) -> ClassPredictions:
    """The stored predictions of an ensemble, or of a member `ENTRY/CONFIG`, for clips of `split` (val or test).

    The refits' where there are any and `split` is test, unless those as `searched` are wanted. One configuration that
    was refitted several times is called `ENTRY/TRIAL`, after a refit. Errors: unknown names, no such clips.
    """
    found = (_of_ensemble if name in ensemble_names(run) else _of_member)(run, name, split, searched)
    if not found.ids:
        kind = "test" if split == "test" else "held-out"
        raise EmofuseError(f"{run}: there are no {kind} clips among the predictions of {name}.")
    if lacking := int((~found.scored).sum()):
        say(f"{lacking} of {len(found.ids)} clips could be scored by no model: all their classes are equally likely")
    return found


def named_traces(run: Path, name: str, split: str, searched: bool = False) -> TracePredictions:
    """As `named_predictions`, of continuous emotion; an earlier release's fusion is named by its file."""
    role = _ROLES[split]
    if name.endswith(".json") and Path(name).is_file():
        return file_traces(run, Path(name), role, searched)
    if name not in ensemble_names(run):
        return member_traces(run, name, role, searched)
    ensemble = open_ensemble(run, name)
    refitted = ensemble.refitted and split == "test" and not searched
    say(f"{name}: by its members {'refitted on train and val' if refitted else 'as searched'}")
    return ensemble_traces(run, ensemble, split, refitted)


def ensemble_traces(run: Path, ensemble: Ensemble, split: str, refitted: bool = False) -> TracePredictions:
    """What an ensemble of continuous emotion predicts on the recordings of `split` (val or test), by refits or not.

    Errors: WrongUse for another split, or refits that don't exist.
    """
    if split not in _ROLES or (refitted and (split != "test" or not ensemble.refitted)):
        raise WrongUse(
            f"Ensemble {ensemble.name!r} predicts recordings of validation or test, and of test alone once it is "
            f"refitted by its refits, not {split!r}{' by refits' if refitted else ''}."
        )
    keys = [[str(member.refit)] if refitted else list(member.trials.values()) for member in ensemble.members]
    return TracePredictions(ensemble.outputs, fused_traces(run, keys, _ROLES[split], ensemble.predict_over_time))


def _of_ensemble(run: Path, name: str, split: str, searched: bool) -> ClassPredictions:
    ensemble = open_ensemble(run, name)
    refitted = len(ensemble.refits) == len(ensemble.members) and split == "test" and not searched
    rows: TestScores | HeldOut
    if refitted:
        rows = read_refits(run, ensemble.refits).test
    else:
        predictions = read_run(run, ensemble.partitions, ensemble.fit_split)
        rows = predictions.test if split == "test" else predictions.held_out
    say(f"{name}: by its members {'refitted on train and val' if refitted else 'as searched'}")
    own = rows.of_members(places_of(ensemble, rows.members))
    probabilities = ensemble.predict_proba(own.P, own.valid)
    return ClassPredictions(own.ids, ensemble.classes, probabilities, np.any(own.valid, axis=0))


def _of_member(run: Path, name: str, split: str, searched: bool) -> ClassPredictions:
    trials = [trial for trial in scan(run) if trial.footer.partition != "stills" and not trial.footer.repeat]
    entry, slash, key = name.partition("/")
    mine = [trial for trial in trials if trial.footer.entry == entry]
    searches = [t for t in mine if t.footer.partition not in NOT_POOLED and t.footer.config_key.startswith(key)]
    refits = [t for t in mine if t.footer.partition == "full" and t.footer.trial_key.startswith(key)]
    if not searches and refits and slash:
        configs = {trial.footer.config_key for trial in refits}
        chosen = refits
    else:
        configs = {trial.footer.config_key for trial in searches}
        refits = [t for t in mine if t.footer.partition == "full" and t.footer.config_key in configs]
        chosen = refits if refits and split == "test" and not searched else searches
    if len(configs) != 1:
        known = sorted({called(t.footer.entry, t.footer.config_key) for t in trials if t.footer.partition != "full"})
        raise unknown_name(f"ensemble or member of {run}", name, [*ensemble_names(run), *known])
    if chosen is refits and len(refits) > 1:
        told = ", ".join(f"{entry}/{t.footer.trial_key[:12]} ({t.footer.epochs} epochs)" for t in refits)
        raise WrongUse(f"{name} was refitted {len(refits)} times, for ensembles of several partitions: choose {told}.")
    say(f"{name}: {'refitted on train and val' if chosen is refits else 'as searched'}")
    rows = pool([chosen], _ROLES[split])
    classes = tuple(sorted(chosen[0].footer.classes))
    return ClassPredictions(rows.ids, classes, np.asarray(rows.P[0], np.float64), rows.valid[0])
