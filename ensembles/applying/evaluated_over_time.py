"""A bundle of continuous emotion measured on recordings with labels over time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ensembles.applying.asked import Asked
from ensembles.applying.evaluated import ALL
from ensembles.applying.rows import Result
from ensembles.bundle.results import TracePrediction
from ensembles.continuous.measures import Measure, Measured, measured
from features.clips import SPLITS, Clip, ClipTable
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording: `time_s` (T,) of its labels, labels `Y` (T, D), NaN where there are none, predictions `P` (T, D).

    A label is compared with what is predicted at the nearest moment. `unlike` are the feature sets in which it is
    unlike the training recordings.
    """

    clip: Clip
    time_s: np.ndarray
    Y: np.ndarray
    P: np.ndarray
    unlike: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class EvaluatedOverTime:
    """What a bundle says of labelled recordings, in `dimensions`; `unlabelled` are others of the bundle.

    `without` are recordings with labels for which there is no prediction, with the reason.
    """

    dimensions: tuple[str, ...]
    recordings: tuple[Recording, ...]
    without: Mapping[str, str]
    unlabelled: tuple[str, ...] = ()

    @property
    def groups(self) -> list[str]:
        """All groups, in the order of the recordings."""
        return list(dict.fromkeys(recording.clip.group_id for recording in self.recordings))

    @cached_property
    def measured(self) -> Measured:
        """All measures with intervals, of all recordings one after the other."""
        return self._measured(self.recordings, intervals=True)

    def measured_of(self, some: Sequence[Recording]) -> Mapping[str, Mapping[str, float | None]]:
        """The measures of some recordings by dimension, None where a dimension has no label there."""
        known = [name for d, name in enumerate(self.dimensions) if any((~np.isnan(r.Y[:, d])).any() for r in some)]
        own = self._measured(some, intervals=False, names=known).by_dimension
        nothing = dict.fromkeys(("ccc", "pearson", "rmse"))
        return {n: {m: one.value for m, one in own[n].items()} if n in own else nothing for n in self.dimensions}

    def of_group(self, group: str) -> list[Recording]:
        """The recordings of a group."""
        return [recording for recording in self.recordings if recording.clip.group_id == group]

    def _measured(self, some: Sequence[Recording], *, intervals: bool, names: Sequence[str] | None = None) -> Measured:
        names = self.dimensions if names is None else names
        columns = [self.dimensions.index(name) for name in names]
        groups = np.concatenate([np.repeat(r.clip.group_id, len(r.Y)) for r in some])
        Y, P = (np.concatenate([getattr(r, what)[:, columns] for r in some]) for what in ("Y", "P"))
        return measured(Y, P, groups, names, intervals=intervals)

    @property
    def n_labels(self) -> int:
        """How many moments have a label."""
        return sum(len(recording.Y) for recording in self.recordings)

    @property
    def remarks(self) -> list[str]:
        """What else there is to know, in sentences."""
        found = []
        if self.unlabelled:
            found.append(f"Nothing is labelled with {', '.join(self.unlabelled)}, which the bundle tells too.")
        if unlike := [one.clip.clip_id for one in self.recordings if one.unlike]:
            are = f"{len(unlike)} recordings are" if len(unlike) > 1 else "1 recording is"
            found.append(f"{are} unlike those that it learned from, such as {unlike[0]}.")
        if self.without:
            name, why = next(iter(self.without.items()))
            many = f"{len(self.without)} recording{'s' * (len(self.without) > 1)}"
            found.append(f"{many} could not be scored and count nowhere, such as {name}: {why}")
        return found

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "recordings": len(self.recordings),
            "groups": len(self.groups),
            "labels": self.n_labels,
            "dimensions": list(self.dimensions),
            "unlabelled": list(self.unlabelled),
            "mean": _data(self.measured.mean),
            "by_dimension": {name: _data(own) for name, own in self.measured.by_dimension.items()},
            "by_recording": {r.clip.clip_id: self.measured_of([r]) for r in self.recordings},
            "by_group": {name: self.measured_of(self.of_group(name)) for name in self.groups},
            "unlike": [recording.clip.clip_id for recording in self.recordings if recording.unlike],
            "without": dict(self.without),
        }


def _data(own: Mapping[str, Measure]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in own.items()}


def annotated(table: ClipTable, split: str | None, dimensions: Sequence[str]) -> tuple[list[Clip], str]:
    """The recordings to be scored and how they were chosen: those of `split`; by default of test, where any has labels.

    Errors: a split that there isn't, no labels over time, none of the bundle's dimensions among them.
    """
    if split is not None and split not in (*SPLITS, ALL):
        raise unknown_name("split", split, (*SPLITS, ALL))
    found = table.annotations
    if found is None:
        raise WrongUse(
            f"The bundle tells {', '.join(dimensions)} over time, but there are no labels over time beside the clip "
            "table (annotations.parquet): make it with `emofuse clips table CSV -o CLIPS --annotations LABELS`."
        )
    columns = [found.dimensions.index(name) for name in dimensions if name in found.dimensions]
    if not columns:
        raise WrongUse(
            f"The bundle tells {', '.join(dimensions)} over time, but the recordings are labelled with "
            f"{', '.join(found.dimensions)}."
        )
    known = [
        clip
        for clip in table.clips
        if clip.clip_id in found and (~np.isnan(found.series[clip.clip_id][1][:, columns])).any()
    ]
    chosen = split or ("test" if any(clip.split == "test" for clip in known) else ALL)
    clips = [clip for clip in known if chosen in (ALL, clip.split)]
    if not clips:
        counts = ", ".join(f"{sum(c.split == name for c in known)} {name}" for name in SPLITS)
        raise EmofuseError(
            f"The clip table has no recording of split {chosen} with labels over time; it holds {counts}."
        )
    some = "" if len(clips) == len(table) else f" of {len(table)}"
    return clips, f"{len(clips)}{some} recordings" + ("" if chosen == ALL else f" (split {chosen})")


def evaluated_over_time(
    dimensions: Sequence[str], table: ClipTable, clips: Sequence[Clip], found: Iterator[tuple[Asked, Result]]
) -> EvaluatedOverTime:
    """Put what was predicted beside the labels of `table`. Errors: EmofuseError where no recording could be scored."""
    assert table.annotations is not None
    results = {asked.name: result for asked, result in found}
    recordings, without = [], {}
    for clip in clips:
        result = results[clip.clip_id]
        if isinstance(result, TracePrediction) and result.reason is None:
            recordings.append(_beside(clip, table, dimensions, result))
        else:
            without[clip.clip_id] = result.reason or ""
    if not recordings:
        first = next(iter(without.values()))
        raise EmofuseError(f"None of the {len(clips)} recordings could be scored; the first: {first}")
    has = (~np.isnan(np.concatenate([recording.Y for recording in recordings]))).any(axis=0)
    scored = [name for name, any_label in zip(dimensions, has, strict=True) if any_label]
    if not scored:
        raise EmofuseError("None of the recordings that could be scored has a label of what the bundle tells.")
    short = [Recording(r.clip, *_labelled(r, has), r.unlike) for r in recordings]
    lacking = tuple(name for name in dimensions if name not in scored)
    return EvaluatedOverTime(tuple(scored), tuple(r for r in short if len(r.Y)), without, lacking)


def _beside(clip: Clip, table: ClipTable, dimensions: Sequence[str], result: TracePrediction) -> Recording:
    from search.trial.continuous_data import nearest

    assert table.annotations is not None
    time_s, values = table.annotations.series[clip.clip_id]
    known = table.annotations.dimensions
    nothing = np.full(len(time_s), np.nan)
    Y = np.stack([values[:, known.index(name)] if name in known else nothing for name in dimensions], axis=1)
    return Recording(clip, time_s, Y, result.values[nearest(result.time_s, time_s)], result.unlike)


def _labelled(recording: Recording, has: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moments and dimensions with labels."""
    Y, P = recording.Y[:, has], recording.P[:, has]
    known = ~np.isnan(Y).all(axis=1)
    return recording.time_s[known], Y[known], P[known]
