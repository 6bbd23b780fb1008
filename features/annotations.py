"""Continuous labels: what was annotated over time, as `annotations.parquet` beside the clip table."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.disk.sealed_tables import read_table, write_table
from features.errors import EmofuseError
from features.spelling import matched, refuse_alike
from features.tables.user_tables import id_texts, one_line, read_user_table

SCHEMA_VERSION = 1
FILE_NAME = "annotations.parquet"
_KEYS = ("clip_id", "time_s")
_KIND = "annotations"

Series = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Annotations:
    """`series[clip_id]` are the seconds from the clip's start (W,) and the values (W, D) of `dimensions` at these.

    A value is NaN where the dimension was not annotated. Clips that nobody annotated are absent.
    """

    dimensions: tuple[str, ...]
    series: Mapping[str, Series]

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self.series

    @cached_property
    def step_s(self) -> float:
        """The usual time between two labels, in seconds."""
        steps = [np.diff(time_s) for time_s, _ in self.series.values() if len(time_s) > 1]
        if not steps:
            raise EmofuseError("No clip has two annotated moments, so nobody can tell the time between labels.")
        return float(np.median(np.concatenate(steps)))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over dimensions, clips, times and values; part of the keys of trials that learn them."""
        digest = sha256(json.dumps([self.dimensions, sorted(self.series)]).encode())
        for clip_id in sorted(self.series):
            for array in self.series[clip_id]:
                digest.update(np.ascontiguousarray(array, "<f8").tobytes())
        return digest.hexdigest()

    def of(self, clip_ids: Collection[str]) -> "Annotations | None":
        """Those of some clips; None where none of them is annotated."""
        wanted = set(clip_ids)
        series = {clip_id: own for clip_id, own in self.series.items() if clip_id in wanted}
        return Annotations(self.dimensions, series) if series else None

    def matched(self, clip_ids: Collection[str], where: object) -> "Annotations":
        """The same for the clips of a table whose ids differ from these in spelling alone."""
        names = matched(self.series, clip_ids, "clip_id", where)
        return Annotations(self.dimensions, {names.get(name, name): own for name, own in self.series.items()})

    def check(self, clip_ids: Collection[str]) -> None:
        """Refuse what can't be learnt: unknown clips, times that don't rise from 0, infinite values."""
        if not self.dimensions or len(set(self.dimensions)) < len(self.dimensions):
            listed = ", ".join(self.dimensions) or "none"
            raise EmofuseError(f"Annotations need one or more dimensions with different names, but got {listed}.")
        known = set(clip_ids)
        for clip_id, (time_s, values) in self.series.items():
            if clip_id not in known:
                raise EmofuseError(f"Clip {clip_id!r} is annotated, but the clip table has no such clip.")
            if not len(time_s) or values.shape != (len(time_s), len(self.dimensions)):
                raise EmofuseError(
                    f"Clip {clip_id!r}: expected annotations of shape {(len(time_s), len(self.dimensions))} at one or "
                    f"more moments, but got {values.shape}."
                )
            rising = (np.diff(time_s) > 0).all() and time_s[0] >= 0 and np.isfinite(time_s).all()
            if not rising or np.isinf(values).any():
                raise EmofuseError(
                    f"Clip {clip_id!r}: its annotations should be numbers at seconds that rise from 0 or later, but "
                    f"the times go from {time_s[0]:g} to {time_s[-1]:g} "
                    f"{'in order' if rising else 'out of order'} and {int(np.isinf(values).sum())} values are infinite."
                )


def annotations_path(clips: Path) -> Path:
    """Where the annotations of the clip table `clips` lie."""
    return clips.parent / FILE_NAME


def write_annotations(annotations: Annotations, path: Path) -> None:
    """Write the file: `clip_id`, `time_s` and a column for each dimension."""
    ids = sorted(annotations.series)
    lengths = [len(annotations.series[clip_id][0]) for clip_id in ids]
    values = np.concatenate([annotations.series[clip_id][1] for clip_id in ids])
    columns = {
        "clip_id": pa.array(np.repeat(ids, lengths), pa.string()),
        "time_s": pa.array(np.concatenate([annotations.series[clip_id][0] for clip_id in ids]), pa.float64()),
        **{name: pa.array(values[:, d], pa.float64()) for d, name in enumerate(annotations.dimensions)},
    }
    write_table(pa.table(columns), path, {"kind": _KIND, "schema_version": SCHEMA_VERSION})


def read_annotations(path: Path) -> Annotations:
    """Read what `write_annotations` wrote; a file of another kind or schema version is told in one sentence."""
    table, footer = read_table(path, "annotations", "make the clip table again with `emofuse clips`")
    if (footer.get("kind"), footer.get("schema_version")) != (_KIND, SCHEMA_VERSION):
        raise EmofuseError(
            f"{path}: expected emofuse's annotations of version {SCHEMA_VERSION}, but its footer says "
            f"{footer or 'nothing'}; make the clip table again with `emofuse clips`."
        )
    return _of_table(table, path)


def load_annotations(path: Path, max_gb: float | None = None) -> Annotations:
    """Anybody's CSV or Parquet with the columns clip_id, time_s and one per dimension, rows in any order."""
    types = {"clip_id": pa.string(), "time_s": pa.float64()}
    table = read_user_table(path, types, "annotations as CSV or Parquet", max_gb)
    refuse_alike(table.column_names, "column", path, "give each dimension one column")
    return _of_table(table, path)


def _of_table(table: pa.Table, path: Path) -> Annotations:
    dimensions = tuple(name for name in table.column_names if name not in _KEYS)
    if not set(_KEYS) <= set(table.column_names) or not dimensions or not table.num_rows:
        raise EmofuseError(
            f"{path}: expected rows with the columns clip_id, time_s and one for each dimension, but got "
            f"{table.num_rows} rows of {', '.join(table.column_names)}."
        )
    ids = id_texts(path, "clip_id", table["clip_id"])
    if None in ids:
        raise EmofuseError(f"{path}: {ids.count(None)} rows have no clip_id.")
    try:
        numbers = np.stack([table[name].cast(pa.float64()).to_numpy() for name in ("time_s", *dimensions)], axis=1)
    except pa.ArrowException as error:
        raise EmofuseError(f"{path}: expected numbers in every column but clip_id ({one_line(error)}).") from None
    names, codes = np.unique(np.array(ids, object), return_inverse=True)
    order = np.lexsort([numbers[:, 0], codes])
    pieces = np.split(numbers[order], np.cumsum(np.bincount(codes))[:-1])
    series = {str(name): (piece[:, 0], piece[:, 1:]) for name, piece in zip(names, pieces, strict=True)}
    return Annotations(dimensions, series)
