"""What a trial reads that learns continuous emotion: features on the time grid of the annotations, and these."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.annotations import Annotations
from features.errors import EmofuseError
from models.examples import Examples
from models.family import ContinuousModel
from models.finite import finite
from search.run.continuous_predictions import Track
from search.run.spec import TrialSpec
from search.trial.data import TrialData


@dataclass(frozen=True)
class ContinuousData(TrialData):
    """The clips of a trial, each with a step of its features for every moment of its annotations.

    Features of other moments are those of the nearest one. A clip without annotations has the moments that it would
    have: from 0 on, as far as its features go.
    """

    annotations: Annotations

    @classmethod
    def of(cls, data: TrialData, spec: TrialSpec) -> "ContinuousData":
        """`data` with its table's annotations; refused when they aren't those that the trial was planned with."""
        annotations = data.table.annotations
        if annotations is None or annotations.fingerprint != spec.annotations:
            there = annotations.fingerprint[:12] if annotations else "none"
            raise EmofuseError(
                f"{spec.clips}: the annotations beside this clip table have the fingerprint {there}, but the trial was "
                f"planned with {spec.annotations[:12]}; run the search again."
            )
        return cls(data.table, data.partition, data.sets, data.missing, annotations)

    @property
    def classes(self) -> tuple[str, ...]:
        """None: steps are scored in `dimensions`."""
        return ()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What is annotated, in the order of the scores."""
        return self.annotations.dimensions

    @cached_property
    def label_mean(self) -> np.ndarray:
        """The mean label (D,) of the clips that are fitted: what is predicted where nothing is known."""
        labels = [self.annotations.series[clip_id][1] for clip_id in self.partition.fit_ids]
        return np.nanmean(np.concatenate(labels), axis=0)

    def times(self, clip_id: str) -> np.ndarray:
        """The moments (T,) at which the clip is scored, in seconds from its start."""
        if clip_id in self.annotations:
            return self.annotations.series[clip_id][0]
        ends = [stored.times(clip_id)[-1] for stored in self.sets.values() if stored.has(clip_id)]
        step_s = self.annotations.step_s
        return np.arange(round(max(ends, default=0.0) / step_s) + 1) * step_s

    def targets(self, clip_id: str) -> np.ndarray:
        """Its labels (T, D), NaN where there are none."""
        if clip_id in self.annotations:
            return self.annotations.series[clip_id][1]
        return np.full((len(self.times(clip_id)), len(self.dimensions)), np.nan)

    def labelled(self, ids: Sequence[str]) -> Examples:
        """The usable clips of one side of the partition, with labels; only for the sides that training sees."""
        return self._over_time(self.usable(ids), labels=True)

    def unlabelled(self, ids: Sequence[str]) -> Examples:
        """The usable clips among `ids`, for prediction."""
        return self._over_time(self.usable(ids), labels=False)

    def _over_time(self, ids: Sequence[str], labels: bool) -> Examples:
        arrays: dict[str, list[np.ndarray]] = {}
        for slot, stored in self.sets.items():
            arrays[slot] = []
            for clip_id in ids:
                values, time_s = stored.steps(clip_id)
                arrays[slot].append(values[nearest(time_s, self.times(clip_id))])
        targets = [self.targets(clip_id).astype(np.float32) for clip_id in ids] if labels else None
        groups = tuple(self.table.by_id(clip_id).group_id for clip_id in ids)
        return Examples(tuple(ids), arrays, (), None, groups, targets, self.dimensions)


def predict_tracks(model: ContinuousModel, data: ContinuousData) -> tuple[Track, ...]:
    """The trial's predictions for all clips."""
    found: dict[str, np.ndarray] = {}
    for ids in (data.partition.fit_ids, data.partition.held_out_ids, data.partition.test_ids):
        # One side at a time: its features are in memory once more while the model works on them.
        examples = data.unlabelled(ids)
        if len(examples):
            found.update(finite("predictions", examples.ids, model.predict_steps(examples)))
    tracks = []
    for clip_id, role in data.partition.roles().items():
        clip, time_s, y = data.table.by_id(clip_id), data.times(clip_id), data.targets(clip_id)
        guess = np.broadcast_to(data.label_mean, y.shape)
        p = found.get(clip_id, guess).astype(np.float32)
        tracks.append(Track(clip_id, clip.group_id, clip.split, role, clip_id in found, time_s, y, p))
    return tuple(tracks)


def nearest(given: np.ndarray, wanted: np.ndarray) -> np.ndarray | slice:
    """Which of the moments `given` (T,) lies nearest to each of `wanted` (W,); a slice where that copies nothing."""
    after = np.searchsorted(given, wanted).clip(1, max(1, len(given) - 1))
    before = after - 1
    after = after.clip(max=len(given) - 1)
    index = np.where(wanted - given[before] <= given[after] - wanted, before, after)
    return slice(0, len(index)) if np.array_equal(index, np.arange(len(index))) else index
