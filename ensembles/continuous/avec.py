"""Systems' predictions as one table, with gold labels in the form of the AVEC challenges."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensembles.continuous.recordings import Recordings, gather
from features.datasets.avec_labels import Gold, read_gold, read_labels
from features.errors import EmofuseError
from features.spelling import matched, one_spelling
from features.tables.user_tables import id_texts, label_texts, read_user_table

__all__ = ["read_gold", "read_labels", "read_recordings"]

_KEYS = ("session", "time_s", "system")


def read_recordings(predictions: Path, labels: Path) -> Recordings:
    """Systems' predictions with the labels of their recordings.

    `predictions` is a Parquet file with the columns session, time_s, system and one per dimension, and group_id where
    recordings belong together (a conversation, a speaker); NaN and absent recordings are missing. `labels` is a folder
    of AVEC label files. Predictions are taken in order of time and must follow the labels' time steps; longer ones are
    cut, shorter ones repeat their last value. Errors: EmofuseError that names system and recording.
    """
    gold = read_labels(labels)
    table = _read_predictions(predictions, gold)
    known = next(iter(gold.values())).dimensions
    dimensions = tuple(name for name in known if name in table.column_names)
    if not dimensions:
        raise EmofuseError(
            f"{predictions}: expected a column for one of the labels' dimensions {', '.join(known)}, but it has "
            f"{', '.join(table.column_names)}."
        )
    columns = [known.index(name) for name in dimensions]
    by_member: dict[str, dict[str, np.ndarray]] = {}
    for (member, recording), rows in sorted(_series(table).items(), key=lambda item: item[0]):
        by_member.setdefault(member, {})
        if recording in gold:
            times = rows.time_s
            _check_times(times, gold[recording], f"{predictions}: {member} on {recording}")
            by_member[member][recording] = np.stack([rows.column(name) for name in dimensions], axis=1)
    values = {recording: own.values[:, columns] for recording, own in gold.items()}
    return gather(by_member, values, dimensions, _groups(table, predictions))


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one system on one recording, in order of time."""

    table: pa.Table
    rows: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        return self.column("time_s")

    def column(self, name: str) -> np.ndarray:
        return self.table[name].to_numpy()[self.rows]


def _read_predictions(path: Path, gold: Mapping[str, Gold]) -> pa.Table:
    types = {name: pa.string() for name in ("session", "system", "group_id")}
    table = read_user_table(path, types, "predictions as Parquet or CSV")
    lacking = [name for name in _KEYS if name not in table.column_names]
    if lacking or not table.num_rows:
        raise EmofuseError(
            f"{path}: expected rows with the columns {', '.join(_KEYS)} and the dimensions', but got {table.num_rows} "
            f"rows of {', '.join(table.column_names)}."
        )
    columns = {}
    for name in table.column_names:
        if name in types:
            texts = (id_texts if name == "session" else label_texts)(path, name, table[name])
            if None in texts:
                raise EmofuseError(f"{path}: column {name} has an empty value; every row needs one.")
            names = [str(text) for text in texts]
            same = matched(names, gold, "session", path) if name == "session" else one_spelling(names, name, path)
            columns[name] = pa.array([same.get(text, text) for text in names], pa.string())
        elif _is_numeric(table[name].type):
            columns[name] = pa.array(pc.cast(table[name], pa.float64()).to_numpy())
    if "time_s" not in columns:
        kind = table["time_s"].type
        raise EmofuseError(f"{path}: column time_s should hold seconds, but holds values of type {kind}.")
    return pa.table(columns)


def _series(table: pa.Table) -> dict[tuple[str, str], _Rows]:
    order = np.lexsort([table["time_s"].to_numpy(), *(_codes(table, name) for name in ("session", "system"))])
    session, system = (np.array(table[name].to_pylist(), dtype=object)[order] for name in ("session", "system"))
    starts = np.flatnonzero(np.r_[True, (session[1:] != session[:-1]) | (system[1:] != system[:-1])])
    ends = [*starts[1:], len(order)]
    return {
        (system[start], session[start]): _Rows(table, order[start:end]) for start, end in zip(starts, ends, strict=True)
    }


def _codes(table: pa.Table, name: str) -> np.ndarray:
    return table[name].chunk(0).dictionary_encode().indices.to_numpy()


def _check_times(times: np.ndarray, gold: Gold, what: str) -> None:
    """Row t is compared with row t of the labels, so a step of its own would be scored against other moments."""
    n = min(len(times), len(gold.time_s))
    step = float(np.median(np.diff(gold.time_s))) if len(gold.time_s) > 1 else np.inf
    off = ~(np.abs(times[:n] - gold.time_s[:n]) < step / 2)
    if off.any():
        t = int(np.flatnonzero(off)[0])
        raise EmofuseError(
            f"{what}: prediction {t} is of {times[t]:g} s, but label {t} of {gold.time_s[t]:g} s; expected one "
            f"prediction every {step:g} s, as the labels are."
        )


def _groups(table: pa.Table, path: Path) -> Mapping[str, str] | None:
    if "group_id" not in table.column_names:
        return None
    pairs = table.group_by(["session", "group_id"]).aggregate([])
    groups: dict[str, str] = {}
    for session, group in zip(pairs["session"].to_pylist(), pairs["group_id"].to_pylist(), strict=True):
        if groups.setdefault(session, group) != group:
            raise EmofuseError(f"{path}: recording {session} has the group_id {groups[session]!r} and {group!r}.")
    return groups


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)
