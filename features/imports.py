"""A user's own arrays as a feature set: npz, CSV or Parquet, one vector per clip or a sequence of time steps."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.clips import ClipTable, check_ids
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.files import content_key, file_sha256
from features.set_writer import SetWriter, ids_fingerprint
from features.sets import FeatureArray, set_names
from features.store import StoredSet, stored_sets

VERSION = 1
_MISSING = ClipFailure("missing", "the imported file has no array for it")


@dataclass(frozen=True)
class _Source:
    """What a file holds: the ids, and each clip's array and times (None: the file has none), read when asked for.

    `columns` names the numbers of a vector, in a table of one number per column.
    """

    ids: tuple[str, ...]
    read: Callable[[str], tuple[np.ndarray, np.ndarray | None]]
    columns: tuple[str, ...] = ()


def import_arrays(
    table: ClipTable, name: str, source: Path, level: str, store: Path, *, step_s: float = 1.0
) -> StoredSet:
    """Bring the arrays in the file `source` into `store` as the set `name`, for the clips of `table`.

    `.npz`: one array per clip_id, (F,) or (T, F) or images (T, H, W[, 3]); or two arrays, `clip_id` (N,) and `x`
    (N, ...). `.csv`, `.parquet`: `clip_id`, perhaps `time_s`, and columns of numbers or vectors; at level frame a clip
    has one row for each time step. Steps without times are `step_s` apart. Clips without an array become rows of status
    `missing`; ids that the table lacks, unequal shapes, NaN and infinity are refused. The names of columns of numbers
    stay with the set: families that read probabilities find their classes by them.
    """
    if level not in ("clip", "frame"):
        raise WrongUse(f"A feature set's level is clip or frame, but got {level!r}.")
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise WrongUse(f"A feature set's name is made of letters, digits and _, but got {name!r}.")
    if name in set_names():
        raise WrongUse(f"{name!r} is a feature set of emofuse itself; give the imported one another name.")
    check_ids(table)
    if not source.is_file():
        raise EmofuseError(f"{source}: no such file, expected arrays in .npz, .csv or .parquet.")
    ids = tuple(clip.clip_id for clip in table.clips)
    fingerprint = ids_fingerprint(ids)
    key = content_key([VERSION, file_sha256(source), level, step_s, fingerprint])
    for info in stored_sets(store):
        if info.name == name and info.ids_fingerprint == fingerprint and info.key != key:
            raise EmofuseError(
                f"The store {store} already has another set {name!r} for these clips; give the new one another name, "
                f"or remove {store / name / info.key}."
            )
    opened = _open(source)
    _check_source_ids(source, opened.ids, ids)
    given = set(opened.ids)
    first = _array(source, opened, opened.ids[0], level, step_s)
    writer = SetWriter(store, name, key, ids, "clip" if level == "clip" else "frame", first.values.shape[1:],
                       table.media_fingerprint, name, {}, VERSION, imported=True, columns=opened.columns)
    stored = writer.finished()
    if stored is not None and stored.info.columns == opened.columns and not stored.verify():
        return stored
    try:
        for clip_id in ids:
            if clip_id in given:
                _add(writer, source, clip_id, _array(source, opened, clip_id, level, step_s), opened.ids[0])
            else:
                writer.fail(clip_id, _MISSING)
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def _check_source_ids(source: Path, given: tuple[str, ...], ids: tuple[str, ...]) -> None:
    if not given:
        raise EmofuseError(f"{source}: expected at least one clip, but the file is empty.")
    unknown = sorted(set(given) - set(ids))
    if unknown:
        raise EmofuseError(
            f"{source}: {len(unknown)} of its {len(given)} clip ids are not in the clip table, the first is "
            f"{unknown[0]!r}; the table's look like {ids[0]!r}."
        )


def _array(source: Path, opened: _Source, clip_id: str, level: str, step_s: float) -> FeatureArray:
    """One clip's array with a time axis; a wrong number of axes is told."""
    values, time_s = opened.read(clip_id)
    if values.dtype.kind not in "fiub":
        raise EmofuseError(f"{source}: clip {clip_id!r} holds values of type {values.dtype}, expected numbers.")
    if level == "clip" and values.ndim == 1:
        values = values[None]
    if values.ndim < 2 or 0 in values.shape[1:]:
        raise EmofuseError(
            f"{source}: clip {clip_id!r}: expected an array (T, ...) of time steps, but got shape {values.shape}; "
            "import single vectors with --level clip."
        )
    if level == "clip" and len(values) != 1:
        raise EmofuseError(
            f"{source}: clip {clip_id!r} has {len(values)} time steps, but at level clip each has one; import them "
            "with --level frame."
        )
    return FeatureArray(values, np.arange(len(values)) * step_s if time_s is None else time_s)


def _add(writer: SetWriter, source: Path, clip_id: str, array: FeatureArray, first_id: str) -> None:
    if array.values.shape[1:] != writer.shape:
        raise EmofuseError(
            f"{source}: the time steps of all clips have one shape, but clip {first_id!r} has {writer.shape} and clip "
            f"{clip_id!r} has {array.values.shape[1:]}."
        )
    try:
        writer.add(clip_id, array)
    except ClipFailure as failure:
        raise EmofuseError(f"{source}: clip {clip_id!r}: {failure.reason}.") from None


def _open(source: Path) -> _Source:
    readers = {".npz": _open_npz, ".csv": _open_table, ".parquet": _open_table}
    if source.suffix.lower() not in readers:
        raise WrongUse(f"{source}: expected a file that ends in .npz, .csv or .parquet.")
    try:
        return readers[source.suffix.lower()](source)
    except (OSError, BadZipFile, ValueError, pa.ArrowException) as error:
        raise EmofuseError(f"{source}: can't be read as {source.suffix[1:].lower()} ({error}).") from None


def _open_npz(source: Path) -> _Source:
    file = np.load(source, allow_pickle=False)
    if {"clip_id", "x"} <= set(file.files):
        return _stacked(source, file["clip_id"], file["x"])

    def read(clip_id: str) -> tuple[np.ndarray, None]:
        try:
            return file[clip_id], None
        except (ValueError, OSError, BadZipFile) as error:
            raise EmofuseError(f"{source}: the array of clip {clip_id!r} can't be read ({error}).") from None

    return _Source(tuple(file.files), read)


def _stacked(source: Path, clip_ids: np.ndarray, x: np.ndarray) -> _Source:
    ids = [str(clip_id) for clip_id in clip_ids]
    if len(ids) != len(x):
        raise EmofuseError(f"{source}: expected a row of x for each clip_id, but got {len(x)} rows and {len(ids)} ids.")
    rows = {clip_id: i for i, clip_id in enumerate(ids)}
    if len(rows) != len(ids):
        twice = next(clip_id for i, clip_id in enumerate(ids) if rows[clip_id] != i)
        raise EmofuseError(f"{source}: the clip_id {twice!r} occurs twice.")
    return _Source(tuple(ids), lambda clip_id: (x[rows[clip_id]], None))


def _open_table(source: Path) -> _Source:
    if source.suffix.lower() == ".parquet":
        table = pq.read_table(source, partitioning=None)
    else:
        options = pyarrow.csv.ConvertOptions(column_types={"clip_id": pa.string()})
        table = pyarrow.csv.read_csv(source, convert_options=options)
    if "clip_id" not in table.column_names:
        raise EmofuseError(f"{source}: expected a column clip_id, but its columns are {_some(table.column_names)}.")
    names = [name for name in table.column_names if name not in ("clip_id", "time_s")]
    blocks = {name: _block(source, name, table[name]) for name in names}
    others = [name for name, block in blocks.items() if block is None]
    if others or not names:
        found = f"these hold none: {_some(others)}" if others else "there is no other"
        raise EmofuseError(f"{source}: expected columns of numbers beside clip_id and time_s, but {found}.")
    values = np.column_stack([block for block in blocks.values() if block is not None])
    time_s = table["time_s"].to_numpy() if "time_s" in table.column_names else None
    if table["clip_id"].null_count:
        raise EmofuseError(f"{source}: {table['clip_id'].null_count} rows have no clip_id.")
    rows: dict[str, list[int]] = {}
    for row, clip_id in enumerate(table["clip_id"].cast(pa.string()).to_pylist()):
        rows.setdefault(clip_id, []).append(row)

    def read(clip_id: str) -> tuple[np.ndarray, np.ndarray | None]:
        at = np.asarray(rows[clip_id])
        if time_s is None:
            return values[at], None
        at = at[np.argsort(time_s[at], kind="stable")]
        return values[at], time_s[at]

    numbers = values.shape[1] == len(names)
    return _Source(tuple(rows), read, tuple(names) if numbers else ())


def _block(source: Path, name: str, column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of numbers (rows, 1), or of vectors of one length (rows, F), as float32; None when it is neither."""
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.to_numpy().astype(np.float32)[:, None]
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or lengths[0] is None:
        raise EmofuseError(f"{source}: the vectors in column {name!r} have different lengths, such as {lengths[:3]}.")
    vectors = _block(source, name, pc.list_flatten(column))
    return None if vectors is None else vectors.reshape(len(column), -1)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
