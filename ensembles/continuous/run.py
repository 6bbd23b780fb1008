"""The continuous predictions of a run folder: its members on the recordings that they were not fitted on."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.continuous.recordings import Recordings, gather
from features.errors import EmofuseError, WrongUse
from models.concordance import continuous_metrics
from search.run.continuous_predictions import ContinuousPredictions, read_continuous_predictions
from search.run.predictions import Footer, prediction_files, read_footer

_REFIT = "full"  # has no held-out recordings


@dataclass(frozen=True, eq=False)
class ContinuousMember:
    """One configuration: its trials on the pooled partitions, and the CCC over all their held-out recordings.

    `metrics` has `ccc` (the mean over dimensions) and `ccc_<dimension>`, of the recordings pooled; `test` the same of
    the test recordings, empty unless asked for. `coverage` is the share of recordings that it could score.
    """

    name: str
    footer: Footer
    partitions: tuple[str, ...]
    metrics: Mapping[str, float]
    test: Mapping[str, float]
    coverage: float


@dataclass(frozen=True, eq=False)
class ContinuousRun:
    """A run's members for continuous emotion, best first; `left_out` maps the names of others to the reason."""

    dimensions: tuple[str, ...]
    partitions: tuple[str, ...]
    members: tuple[ContinuousMember, ...]
    recordings: Recordings
    left_out: Mapping[str, str]

    def as_data(self) -> dict[str, Any]:
        """The members as JSON-ready data."""
        rows = [
            {
                "name": m.name,
                "entry": m.footer.entry,
                "family": m.footer.family,
                "metrics": dict(m.metrics),
                "test": dict(m.test),
                "coverage": m.coverage,
                "hyperparameters": dict(m.footer.hyperparameters),
            }
            for m in self.members
        ]
        return {"dimensions": list(self.dimensions), "partitions": list(self.partitions), "members": rows}


def continuous_entries(run: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The entries of a run that learnt continuous emotion, and the others; one file of each entry is looked at."""
    first: dict[str, Path] = {}
    for folder in sorted((run / "predictions").glob("family=*")):
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.endswith(".parquet") and not e.name.startswith(".")]
        if names:
            first[folder.name.removeprefix("family=")] = folder / min(names)
    found = frozenset(entry for entry, path in first.items() if read_footer(path).dimensions)
    return found, frozenset(first) - found


def read_continuous_run(run: Path, partitions: Sequence[str] | None = None, test: bool = False) -> ContinuousRun:
    """Read the continuous predictions of a run; `partitions` are pooled (None: all), `test` scores test recordings too.

    A recording that a member could not score is missing for it; moments without a label are left out. Errors: none
    there, an unknown partition, members that learnt different annotations.
    """
    entries, _ = continuous_entries(run)
    files = [path for path in prediction_files(run) if path.parent.name.removeprefix("family=") in entries]
    trials = [trial for path in files if (trial := read_continuous_predictions(path)).footer.partition != _REFIT]
    if not trials:
        raise EmofuseError(f"{run}: expected trials that learnt continuous emotion, but there are none.")
    first = trials[0].footer
    for trial in trials:
        if (trial.footer.dimensions, trial.footer.annotations) != (first.dimensions, first.annotations):
            raise EmofuseError(
                f"{run}: trials of {first.entry} and {trial.footer.entry} learnt different annotations; an ensemble "
                "needs the same: remove the predictions that are out of date."
            )
    known = sorted({trial.footer.partition for trial in trials})
    wanted = tuple(known) if partitions is None else tuple(dict.fromkeys(partitions))
    for name in wanted:
        if name not in known:
            raise WrongUse(f"{run}: no trial was made on partition {name!r}; there are {', '.join(known)}.")
    grouped: dict[str, dict[str, ContinuousPredictions]] = defaultdict(dict)
    for trial in trials:
        grouped[f"{trial.footer.entry}/{trial.footer.config_key[:12]}"][trial.footer.partition] = trial
    whole = {name: own for name, own in sorted(grouped.items()) if set(own) >= set(wanted)}
    if not whole:
        raise EmofuseError(f"{run}: no member has a trial on every one of the partitions {', '.join(wanted)}.")
    left_out = {
        name: f"no trial on partition {', '.join(sorted(set(wanted) - set(own)))}"
        for name, own in grouped.items()
        if name not in whole
    }
    members = [_member(name, [own[p] for p in wanted], test) for name, own in whole.items()]
    return ContinuousRun(
        first.dimensions,
        wanted,
        tuple(sorted(members, key=lambda member: (-member.metrics["ccc"], member.name))),
        _recordings({name: [own[p] for p in wanted] for name, own in whole.items()}, first.dimensions),
        left_out,
    )


def _member(name: str, trials: Sequence[ContinuousPredictions], test: bool) -> ContinuousMember:
    footer = trials[0].footer
    held_out = [track for trial in trials for track in trial.tracks if track.role == "held_out"]
    return ContinuousMember(
        name=name,
        footer=footer,
        partitions=tuple(trial.footer.partition for trial in trials),
        metrics=_metrics(trials, "held_out"),
        test=_metrics(trials, "test") if test else {},
        coverage=float(np.mean([track.valid for track in held_out])),
    )


def _metrics(trials: Sequence[ContinuousPredictions], role: str) -> Mapping[str, float]:
    """CCC over the recordings of a role, concatenated; of one that several trials scored, the mean prediction."""
    p: dict[str, list[np.ndarray]] = defaultdict(list)
    y: dict[str, np.ndarray] = {}
    for trial in trials:
        for track in trial.tracks:
            if track.role == role and not np.isnan(track.y).all():
                p[track.clip_id].append(track.p)
                y[track.clip_id] = track.y
    if not y:
        return {}
    predicted = np.concatenate([np.mean(p[clip_id], axis=0) for clip_id in y])
    return continuous_metrics(np.concatenate(list(y.values())), predicted, trials[0].footer.dimensions)


def _recordings(members: Mapping[str, Sequence[ContinuousPredictions]], dimensions: tuple[str, ...]) -> Recordings:
    predictions: dict[str, dict[str, np.ndarray]] = {}
    labels: dict[str, np.ndarray] = {}
    groups: dict[str, str] = {}
    for name, trials in members.items():
        found: dict[str, list[np.ndarray]] = defaultdict(list)
        for trial in trials:
            for track in trial.tracks:
                known = ~np.isnan(track.y).any(axis=1)
                if track.role != "held_out" or not known.any():
                    continue
                labels[track.clip_id] = track.y[known].astype(np.float64)
                groups[track.clip_id] = track.group_id
                if track.valid:
                    found[track.clip_id].append(track.p[known].astype(np.float64))
        predictions[name] = {clip_id: np.mean(own, axis=0) for clip_id, own in found.items()}
    return gather(predictions, labels, dimensions, groups)
