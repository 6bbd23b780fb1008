"""The continuous predictions of a run folder: its members on the recordings that they were not fitted on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.continuous.later import LookOverTime, labelled
from ensembles.continuous.recordings import Recordings, gather
from ensembles.continuous.sealed import SealedRecordings
from ensembles.continuous.trials import REFIT, continuous_entries, known_moments, member_name, read_trials
from ensembles.evaluation.spread import Spread, spreads
from features.errors import EmofuseError, WrongUse
from models.concordance import continuous_metrics
from search.run.continuous_predictions import ContinuousPredictions, Track
from search.run.predictions import Footer

__all__ = [
    "ContinuousMember",
    "ContinuousRun",
    "continuous_entries",
    "read_continuous_run",
    "recordings_of",
    "sealed_recordings",
]


@dataclass(frozen=True, eq=False)
class ContinuousMember:
    """One configuration: its trials on the pooled partitions, and the CCC over all their held-out recordings.

    `metrics` has `ccc` (the mean over dimensions) and `ccc_<dimension>`, of the recordings pooled; `test` the same of
    the test recordings, empty unless asked for. `coverage` is the share of recordings that it could score. `over_seeds`
    and `test_over_seeds` are mean and spread of the metrics where it was trained with several seeds; the rest is of the
    first.
    """

    name: str
    footer: Footer
    partitions: tuple[str, ...]
    metrics: Mapping[str, float]
    test: Mapping[str, float]
    coverage: float
    over_seeds: Mapping[str, Spread] = field(default_factory=dict)
    test_over_seeds: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def worth(self) -> float:
        """The mean CCC, of several seeds their mean."""
        return self.over_seeds["ccc"].mean if self.over_seeds else self.metrics.get("ccc", -1.0)


@dataclass(frozen=True, eq=False)
class ContinuousRun:
    """A run's members for continuous emotion, best first, with their `trials` on the pooled partitions by name.

    `recordings` are the held-out ones; `left_out` maps the names of other members to the reason.
    """

    dimensions: tuple[str, ...]
    partitions: tuple[str, ...]
    members: tuple[ContinuousMember, ...]
    recordings: Recordings
    left_out: Mapping[str, str]
    trials: Mapping[str, Sequence[ContinuousPredictions]] = field(default_factory=dict, repr=False)

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
                "over_seeds": {name: asdict(spread) for name, spread in m.over_seeds.items()},
                "test_over_seeds": {name: asdict(spread) for name, spread in m.test_over_seeds.items()},
            }
            for m in self.members
        ]
        return {"dimensions": list(self.dimensions), "partitions": list(self.partitions), "members": rows}


def read_continuous_run(
    run: Path, partitions: Sequence[str] | None = None, test: LookOverTime = False, split: str | None = None
) -> ContinuousRun:
    """Read the continuous predictions of a run; `partitions` are pooled (None: all), `test` scores test recordings too.

    `split` restricts what is held out to recordings of that split of the clip table. A recording that a member could
    not score is missing for it; moments without a label are left out. Labels of test recordings that came later are in
    `ContinuousMember.test` alone. Errors: none there, an unknown partition, members that learnt different annotations.
    """
    every = read_trials(run)
    trials = [trial for trial in every if trial.footer.partition != REFIT]
    known = sorted({trial.footer.partition for trial in trials})
    wanted = tuple(known) if partitions is None else tuple(dict.fromkeys(partitions))
    for name in wanted:
        if name not in known:
            raise WrongUse(f"{run}: no trial was made on partition {name!r}; there are {', '.join(known)}.")
    grouped: dict[str, dict[str, ContinuousPredictions]] = defaultdict(dict)
    further: dict[str, dict[int, dict[str, ContinuousPredictions]]] = defaultdict(lambda: defaultdict(dict))
    for trial in trials:
        name = member_name(trial)
        by_partition = further[name][trial.footer.repeat] if trial.footer.repeat else grouped[name]
        by_partition[trial.footer.partition] = trial
    whole = {name: [own[p] for p in wanted] for name, own in sorted(grouped.items()) if set(own) >= set(wanted)}
    if not whole:
        raise EmofuseError(f"{run}: no member has a trial on every one of the partitions {', '.join(wanted)}.")
    dimensions = trials[0].footer.dimensions
    left_out = {
        name: f"no trial on partition {', '.join(sorted(set(wanted) - set(own)))}"
        for name, own in grouped.items()
        if name not in whole
    }

    every_seed = {
        name: [trial for its in (grouped[name], *further[name].values()) for trial in its.values()] for name in whole
    }
    later = {t.footer.trial_key: t for own in labelled(every_seed, dimensions, test).values() for t in own}

    def other_seeds(name: str) -> list[list[ContinuousPredictions]]:
        return [[its[p] for p in wanted] for its in further[name].values() if set(its) >= set(wanted)]

    members = [_member(name, own, other_seeds(name), later if test else {}, split) for name, own in whole.items()]
    return ContinuousRun(
        dimensions,
        wanted,
        tuple(sorted(members, key=lambda member: (-member.worth, member.name))),
        recordings_of(whole, dimensions, "held_out", split),
        left_out,
        whole,
    )


def sealed_recordings(
    trials: Mapping[str, Sequence[ContinuousPredictions]], dimensions: tuple[str, ...], look: LookOverTime = True
) -> SealedRecordings:
    """What members predict on the test recordings; `trials` are those of each member, searched or refitted.

    Errors: EmofuseError where no test recording is labelled, neither before nor by the labels of the `look`.
    """
    trials = labelled(trials, dimensions, look)
    tracks = [track for own in trials.values() for trial in own for track in trial.tracks if track.role == "test"]
    if not any(known_moments(track).any() for track in tracks):
        raise EmofuseError(
            "No test recording has annotations, so nothing can be scored on them; leave --test out, give the "
            "labels that came later by --labels, or write the predictions with `emofuse ensemble predictions`."
        )
    return SealedRecordings(recordings_of(trials, dimensions, "test", None))


def _member(
    name: str,
    trials: Sequence[ContinuousPredictions],
    further: Sequence[Sequence[ContinuousPredictions]],
    later: Mapping[str, ContinuousPredictions],
    split: str | None,
) -> ContinuousMember:
    """A member of these trials; `further` are those with other seeds, `later` all with labels of test recordings."""
    footer = trials[0].footer
    held_out = [track for trial in trials for track in _of(trial, "held_out", split)]
    return ContinuousMember(
        name=name,
        footer=footer,
        partitions=tuple(trial.footer.partition for trial in trials),
        metrics=_metrics(trials, "held_out", split),
        test=_metrics([later[t.footer.trial_key] for t in trials], "test", None) if later else {},
        coverage=float(np.mean([track.valid for track in held_out])) if held_out else 0.0,
        over_seeds=spreads([_metrics(own, "held_out", split) for own in (trials, *further)]),
        test_over_seeds=spreads(
            [_metrics([later[t.footer.trial_key] for t in own], "test", None) for own in (trials, *further)]
        )
        if later
        else {},
    )


def _of(trial: ContinuousPredictions, role: str, split: str | None) -> list[Track]:
    return [track for track in trial.tracks if track.role == role and split in (None, track.split)]


def _metrics(trials: Sequence[ContinuousPredictions], role: str, split: str | None) -> Mapping[str, float]:
    """CCC over the recordings of a role, concatenated; of one that several trials scored, the mean prediction."""
    p: dict[str, list[np.ndarray]] = defaultdict(list)
    y: dict[str, np.ndarray] = {}
    for trial in trials:
        for track in _of(trial, role, split):
            if not np.isnan(track.y).all():
                p[track.clip_id].append(track.p)
                y[track.clip_id] = track.y
    if not y:
        return {}
    predicted = np.concatenate([np.mean(p[clip_id], axis=0) for clip_id in y])
    return continuous_metrics(np.concatenate(list(y.values())), predicted, trials[0].footer.dimensions)


def recordings_of(
    members: Mapping[str, Sequence[ContinuousPredictions]],
    dimensions: tuple[str, ...],
    role: str,
    split: str | None = None,
) -> Recordings:
    """The labelled recordings of a role with what members' trials, by name, predict; of several trials the mean."""
    predictions: dict[str, dict[str, np.ndarray]] = {}
    labels: dict[str, np.ndarray] = {}
    groups: dict[str, str] = {}
    times: dict[str, np.ndarray] = {}
    for name, trials in members.items():
        found: dict[str, list[np.ndarray]] = defaultdict(list)
        for trial in trials:
            for track in _of(trial, role, split):
                known = known_moments(track)
                if not known.any():
                    continue
                labels[track.clip_id] = track.y[known].astype(np.float64)
                groups[track.clip_id] = track.group_id
                times[track.clip_id] = track.time_s[known]
                if track.valid:
                    found[track.clip_id].append(track.p[known].astype(np.float64))
        predictions[name] = {clip_id: np.mean(own, axis=0) for clip_id, own in found.items()}
    return gather(predictions, labels, dimensions, groups, times)
