"""Labels over time of test recordings, which the organisers give later: sealed, as those of clips are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import EmofuseError
from features.tables.user_tables import id_texts

Series = tuple[np.ndarray, np.ndarray]
_KEYS = ("clip_id", "time_s")
# Labels that differ by more contradict those of the clip table.
_SAME = 1e-6


class TestAnnotations:
    """Labels over time by recording, or by the organisers' id (`Test_01` of `test/Test_01`), that nobody can read.

    Only `labelled` looks at them, for what is scored. `source` is where they come from, for messages.
    """

    __test__ = False
    __slots__ = ("_labelled", "source")

    def __init__(self, series: Mapping[str, Series], dimensions: Sequence[str], source: str):
        self.source = source
        self._labelled = lambda known, wanted: _labelled(series, dimensions, source, known, wanted)

    def labelled(self, known: Mapping[str, Series], dimensions: Sequence[str]) -> dict[str, np.ndarray]:
        """The labels (T, D) of the moments of the test recordings `known`, NaN where there are none.

        `known` are each recording's moments (T,) in seconds and the labels (T, D) that the run has. A moment has the
        label that is nearest, at most half a step away. Errors: EmofuseError for a recording that is no test
        recording, an absent dimension, labels that contradict the run's or lie at other moments.
        """
        return self._labelled(known, tuple(dimensions))


def _labelled(
    series: Mapping[str, Series],
    dimensions: Sequence[str],
    source: str,
    known: Mapping[str, Series],
    wanted: tuple[str, ...],
) -> dict[str, np.ndarray]:
    if lacking := [name for name in wanted if name not in dimensions]:
        raise EmofuseError(
            f"{source}: expected a column for each of the dimensions {', '.join(wanted)}, but {', '.join(lacking)} is "
            f"missing among {', '.join(dimensions)}."
        )
    columns = [dimensions.index(name) for name in wanted]
    by_end: dict[str, list[str]] = defaultdict(list)
    for clip_id in known:
        by_end[clip_id.rpartition("/")[2]].append(clip_id)
    found = {clip_id: np.array(y, np.float64) for clip_id, (_, y) in known.items()}
    for name, (time_s, values) in series.items():
        own = [name] if name in known else by_end.get(name, [])
        if len(own) != 1:
            raise EmofuseError(
                f"{source}: {name!r} is {'the id of several test recordings' if own else 'no test recording'} of the "
                f"run; expected the id of one of its {len(known)} test recordings."
            )
        moments, before = known[own[0]]
        later = _at(moments, time_s, values[:, columns])
        if np.isnan(later).all():
            raise EmofuseError(
                f"{source}: the labels of {name!r} lie at {time_s[0]:g} to {time_s[-1]:g} s, but it was predicted at "
                f"other moments, {moments[0]:g} to {moments[-1]:g} s."
            )
        both = ~np.isnan(before) & ~np.isnan(later)
        if (np.abs(before - later)[both] > _SAME).any():
            raise EmofuseError(f"{source}: {name!r} is labelled otherwise than in the run's annotations.")
        found[own[0]] = np.where(np.isnan(later), before, later)
    return found


def _at(moments: np.ndarray, time_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values (T, D) nearest to the moments (T,), NaN where the nearest is more than half a step away."""
    places = np.clip(np.searchsorted(time_s, moments), 1, len(time_s) - 1) if len(time_s) > 1 else np.zeros(1, int)
    if len(time_s) > 1:
        places = places - (moments - time_s[places - 1] < time_s[places] - moments)
    near = values[places] if len(time_s) > 1 else np.repeat(values, len(moments), axis=0)
    steps = [np.median(np.diff(own)) for own in (time_s, moments) if len(own) > 1]
    far = np.abs(moments - time_s[places]) > (min(steps) if steps else 1.0) / 2 + 1e-6
    return np.where(far[:, None], np.nan, near)


def read_test_annotations(path: Path, table: pa.Table | None) -> TestAnnotations:
    """The labels of a folder of AVEC label files, or of a `table` with clip_id, time_s and a column per dimension."""
    if table is None:
        from features.datasets.avec_labels import read_labels  # with it come all corpora

        labels = read_labels(path)
        series = {name: (gold.time_s, gold.values) for name, gold in labels.items()}
        return TestAnnotations(series, next(iter(labels.values())).dimensions, str(path))
    dimensions = tuple(name for name in table.column_names if name not in _KEYS)
    ids = id_texts(path, "clip_id", table["clip_id"])
    try:
        numbers = np.stack(
            [table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in ("time_s", *dimensions)], axis=1
        )
    except (pa.ArrowException, ValueError):
        raise EmofuseError(f"{path}: expected numbers in the columns time_s, {', '.join(dimensions)}.") from None
    if None in ids or not np.isfinite(numbers[:, 0]).all() or not dimensions:
        raise EmofuseError(f"{path}: expected a clip_id, a time_s and a value for each dimension in every row.")
    names = np.array(ids, dtype=object)
    series = {}
    for name in dict.fromkeys(ids):
        rows = numbers[names == name]
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        if (np.diff(rows[:, 0]) <= 0).any():
            raise EmofuseError(f"{path}: recording {name!r} is labelled twice at one moment.")
        series[str(name)] = rows[:, 0], rows[:, 1:]
    return TestAnnotations(series, dimensions, str(path))
