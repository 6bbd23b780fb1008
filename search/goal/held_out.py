"""The held-out scores of finished configurations, on one list of clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import EmofuseError
from search.run.predictions import class_schema, footer_of, open_predictions, read_rows, scores_of


@dataclass(frozen=True)
class Clips:
    """The clips that configurations are scored on: `ids` and `groups` (N,), `y` (N,) numbers of `classes`."""

    ids: np.ndarray
    groups: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]


class HeldOutScores:
    """Reads the trials of one configuration after the other; the first tells the clips, which the others must have."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[pa.ChunkedArray, np.ndarray]] = {}  # by partition: clip ids as stored, their places
        self.clips: Clips | None = None

    def read(self, paths: Sequence[Path]) -> np.ndarray:
        """(N, C) float32: what the trials in these files say of the clips that each held out; NaN where none has one.

        A clip that several of them hold out has the mean. Errors: DamagedPredictions; EmofuseError when the
        clips are others than those of the first configuration.
        """
        tables = [_held_out(path) for path in paths]
        if self.clips is None:
            self.clips = _clips([table for _, _, table in tables], tables[0][1])
        clips = self.clips
        sums = np.zeros((len(clips.ids), len(clips.classes)), np.float32)
        counts = np.zeros(len(clips.ids), np.float32)
        for path, (partition, _, table) in zip(paths, tables, strict=True):
            places = self._places(path, partition, table["clip_id"])
            valid = table["valid"].to_numpy()
            sums[places[valid]] += scores_of(table, clips.classes)[valid]
            counts[places[valid]] += 1
        sums[counts == 0] = np.nan
        return sums / np.maximum(counts, 1)[:, None]

    def _places(self, path: Path, partition: str, ids: pa.ChunkedArray) -> np.ndarray:
        assert self.clips is not None
        known = self._rows.get(partition)
        if known is not None and known[0].equals(ids):
            return known[1]
        names = ids.to_numpy()
        places = np.searchsorted(self.clips.ids, names)
        if (places == len(self.clips.ids)).any() or (self.clips.ids[places] != names).any():
            raise EmofuseError(f"{path}: expected the held-out clips of the run's other trials, but it has others.")
        self._rows[partition] = ids, places
        return places


def _held_out(path: Path) -> tuple[str, tuple[str, ...], pa.Table]:
    """A trial's partition, its classes and its held-out rows that have a label."""
    opened = open_predictions(path)
    footer = footer_of(path, opened)
    table = read_rows(path, opened, class_schema(footer.classes))
    mask = pc.and_(pc.equal(table["role"], "held_out"), pc.is_valid(table["label"]))
    return footer.partition, footer.classes, table.filter(mask)


def _clips(tables: Sequence[pa.Table], classes: Sequence[str]) -> Clips:
    classes = tuple(sorted(classes))
    ids, groups, labels = (
        np.concatenate([t[name].to_numpy() for t in tables]) for name in ("clip_id", "group_id", "label")
    )
    unique, first = np.unique(ids.astype(str), return_index=True)
    numbers = {name: c for c, name in enumerate(classes)}
    y = np.array([numbers[label] for label in labels[first]], np.int64)
    return Clips(unique, groups[first].astype(str), y, classes)
