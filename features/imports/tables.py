"""A CSV or Parquet file of one row per clip, or per time step of a clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.disk.parquet_header import declared
from features.errors import EmofuseError
from features.imports.request import Request, Source, block, refuse_steps
from features.spelling import trimmed
from features.store.data_file import BATCH_BYTES
from features.store.set_writer import Block
from features.tables.user_tables import column_names, ids_of, is_number, read_csv

# A value of a CSV as it is read (float64) and as it is kept (float32).
_CSV_VALUE_BYTES = 12
# Rows of a Parquet file are read in pieces of about this size.
_PIECE_BYTES = 2**25


def open_table(request: Request) -> Source:
    source = request.source
    table = _parquet_columns(request) if source.suffix.lower() == ".parquet" else _csv_columns(request)
    if table.clip_id.null_count:
        raise EmofuseError(f"{source}: {table.clip_id.null_count} rows have no clip_id.")
    given = ids_of(table.clip_id).combine_chunks()
    names = [trimmed(name) for name in given.dictionary.cast(pa.string()).to_pylist()]
    own = request.own_ids(names)
    place = {clip_id: i for i, clip_id in enumerate(request.ids)}
    of_row = np.array([place[own[name]] for name in names], np.int64)[given.indices.to_numpy()]
    lengths = np.bincount(of_row, minlength=len(request.ids))
    if request.level == "clip" and (lengths > 1).any():
        many = int(np.argmax(lengths > 1))
        refuse_steps(request, request.ids[many], int(lengths[many]))
    keys = (of_row,) if table.time_s is None else (table.time_s, of_row)
    order = np.lexsort(keys)
    ends = np.cumsum(lengths)
    per_row = max(1, table.values.shape[1] * 4)

    def blocks() -> Iterator[Block]:
        at = 0
        while at < len(lengths):
            begin = int(ends[at] - lengths[at])
            until = max(at + 1, int(np.searchsorted(ends, begin + BATCH_BYTES // per_row, "right")))
            rows = order[begin : int(ends[until - 1])]
            times = None if table.time_s is None else table.time_s[rows]
            yield block(request, request.ids[at:until], lengths[at:until], table.values[rows], times)
            at = until

    return Source(table.values.shape[1:], table.names if table.values.shape[1] == len(table.names) else (), blocks)


@dataclass(frozen=True)
class _Columns:
    """A table's columns: values (rows, F) float32, and times (rows,) float64 where it has some."""

    clip_id: pa.ChunkedArray
    time_s: np.ndarray | None
    values: np.ndarray
    names: tuple[str, ...]


def _number_names(source: Path, schema: pa.Schema) -> tuple[str, ...]:
    """The columns of numbers or vectors; refused when there are others beside clip_id and time_s."""
    names = column_names(source, schema.names)
    if "clip_id" not in names:
        raise EmofuseError(f"{source}: expected a column clip_id, but its columns are {_some(names)}.")
    values = [name for name in names if name not in ("clip_id", "time_s")]
    others = [name for name in values if not _holds_numbers(schema.field(name).type)]
    if others or not values:
        found = f"these hold none: {_some(others)}" if others else "there is no other"
        raise EmofuseError(f"{source}: expected columns of numbers beside clip_id and time_s, but {found}.")
    return tuple(values)


def _holds_numbers(kind: pa.DataType) -> bool:
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return _holds_numbers(kind.value_type) if nested else is_number(kind)


def _csv_columns(request: Request) -> _Columns:
    request.refuse_size(_csv_values(request.source) * _CSV_VALUE_BYTES)
    types = {"clip_id": pa.dictionary(pa.int32(), pa.string()), "time_s": pa.float64()}
    table = read_csv(request.source, types)
    table = table.rename_columns([trimmed(name) for name in table.column_names])
    names = _number_names(request.source, table.schema)
    values = np.empty((len(table), len(names)), np.float32)
    with np.errstate(over="ignore"):
        for i, name in enumerate(names):
            values[:, i] = table[name].to_numpy()
    time_s = table["time_s"].to_numpy() if "time_s" in table.column_names else None
    return _Columns(table["clip_id"], time_s, values, names)


def _csv_values(path: Path) -> int:
    """How many values a CSV holds: its lines by the columns of the first."""
    with path.open("rb") as file:
        columns = file.readline().count(b",") + 1
        lines = 1
        while piece := file.read(1 << 24):
            lines += piece.count(b"\n")
    return lines * columns


def _parquet_columns(request: Request) -> _Columns:
    schema = pq.read_schema(request.source)
    written = {trimmed(name): name for name in schema.names}
    names = _number_names(request.source, pa.schema([field.with_name(trimmed(field.name)) for field in schema]))
    file = pq.ParquetFile(request.source, read_dictionary=[written["clip_id"]], page_checksum_verification=True)
    total = sum(values for values, _ in declared(request.source))
    request.refuse_size(4 * total)
    rows = file.metadata.num_rows
    if not rows:
        raise EmofuseError(f"{request.source}: expected at least one clip, but the file is empty.")
    wanted = [name for bare, name in written.items() if bare in {"clip_id", "time_s", *names}]
    width = total // rows
    values: np.ndarray | None = None
    ids, times, at = [], [], 0
    for piece in file.iter_batches(max(1, _PIECE_BYTES // (8 * max(1, width))), columns=wanted):
        if not len(piece):
            continue
        numbers = np.column_stack([_numbers(request.source, name, piece[written[name]]) for name in names])
        if values is None:
            request.refuse_size(4 * rows * numbers.shape[1])
            values = np.empty((rows, numbers.shape[1]), np.float32)
        if numbers.shape[1] != values.shape[1]:
            raise EmofuseError(
                f"{request.source}: the vectors of its rows have different lengths, {values.shape[1]} numbers at first "
                f"and {numbers.shape[1]} in row {at + 1}."
            )
        values[at : at + len(piece)] = numbers
        at += len(piece)
        ids.append(piece[written["clip_id"]])
        if "time_s" in written:
            times.append(piece[written["time_s"]].cast(pa.float64()).to_numpy(zero_copy_only=False))
    if values is None or at != rows:
        raise EmofuseError(f"{request.source}: its footer promises {rows} rows, but there are {at}.")
    return _Columns(pa.chunked_array(ids), np.concatenate(times) if times else None, values, names)


def _numbers(source: Path, name: str, column: pa.Array) -> np.ndarray:
    """A column of numbers (rows, 1), or of vectors of one length (rows, F), as float32."""
    if is_number(column.type):
        with np.errstate(over="ignore"):
            return column.to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or lengths[0] is None:
        raise EmofuseError(f"{source}: the vectors in column {name!r} have different lengths, such as {lengths[:3]}.")
    return _numbers(source, name, pc.list_flatten(column)).reshape(len(column), -1)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
