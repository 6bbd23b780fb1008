"""One file in which the prediction files of a run are put together, so that ten thousands of them open at once.

It lies in the run folder under a dot name and can be deleted at any time. Each entry is kept with its file's size and
time of change, and is left aside as soon as these differ. A writer replaces the file as a whole, so several processes
don't disturb each other.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.files import replacing

_NAME = ".predictions.arrow"
_VERSION = b"1"
_BATCH = 256  # files of one record batch
_SETTLED_S = 2.0  # a younger file may still be replaced by one of the same size within the clock's tick
_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "size": pa.int64(),
        "changed_ns": pa.int64(),
        "footer": pa.large_binary(),
        "rows": pa.int32(),
        "new_rows": pa.large_binary(),
        "P": pa.large_list(pa.float32()),
        "valid": pa.large_list(pa.uint8()),
    },
    metadata={b"version": _VERSION},
)


class Stamp(NamedTuple):
    """By what a file is known to be unchanged."""

    size: int
    changed_ns: int

    @property
    def settled(self) -> bool:
        """Whether any later change of the file would change its stamp."""
        return time.time_ns() - self.changed_ns > _SETTLED_S * 1e9


@dataclass(frozen=True, eq=False)
class Content:
    """What a prediction file holds: its footer, the rows without scores (a table shared by many), and the scores.

    `P` (n, C) float32 has its columns in sorted class order, `valid` (n,) is bool.
    """

    footer: bytes
    rows: pa.Table
    P: np.ndarray
    valid: np.ndarray


def stamp(path: Path) -> Stamp | None:
    """The file's stamp; None where it can't be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def read_cache(run: Path) -> dict[str, tuple[Stamp, Content]]:
    """The cached contents by file name (below predictions/); empty where there is no cache that can be read."""
    try:
        with pa.OSFile(str(run / _NAME)) as source:
            reader = pa.ipc.open_file(source)
            if reader.schema != _SCHEMA or (reader.schema.metadata or {}).get(b"version") != _VERSION:
                return {}
            return dict(_entries(reader))
    except (OSError, ValueError, pa.ArrowException):
        return {}


def write_cache(run: Path, contents: Mapping[str, tuple[Stamp, Content]]) -> None:
    """Replace the cache; a run folder that can't be written stays without."""
    numbers: dict[int, int] = {}
    try:
        with replacing(run / _NAME) as temporary, pa.ipc.new_file(temporary, _SCHEMA) as writer:
            entries = list(contents.items())
            for start in range(0, len(entries), _BATCH):
                writer.write_batch(_batch(entries[start : start + _BATCH], numbers))
    except OSError:
        return


def _entries(reader: pa.RecordBatchFileReader) -> Iterator[tuple[str, tuple[Stamp, Content]]]:
    tables: list[pa.Table] = []
    for b in range(reader.num_record_batches):
        batch = reader.get_batch(b)
        columns = [batch.column(name).to_pylist() for name in ("file", "size", "changed_ns", "footer", "rows")]
        scores, valid = (batch.column(name) for name in ("P", "valid"))
        P, P_edges = scores.values.to_numpy(), scores.offsets.to_numpy()
        known, edges = valid.values.to_numpy().view(bool), valid.offsets.to_numpy()
        for i, (file, size, changed_ns, footer, rows) in enumerate(zip(*columns, strict=True)):
            if rows == len(tables):
                tables.append(pa.ipc.open_stream(batch.column("new_rows")[i].as_buffer()).read_all())
            n = edges[i + 1] - edges[i]
            own = P[P_edges[i] : P_edges[i + 1]].reshape(n, -1)
            yield file, (Stamp(size, changed_ns), Content(footer, tables[rows], own, known[edges[i] : edges[i + 1]]))


def _batch(some: Sequence[tuple[str, tuple[Stamp, Content]]], numbers: dict[int, int]) -> pa.RecordBatch:
    rows, new_rows = [], []
    for _, (_, content) in some:
        is_new = id(content.rows) not in numbers
        rows.append(numbers.setdefault(id(content.rows), len(numbers)))
        new_rows.append(_serialized(content.rows) if is_new else None)
    contents = [content for _, (_, content) in some]
    columns = {
        "file": [file for file, _ in some],
        "size": [at.size for _, (at, _) in some],
        "changed_ns": [at.changed_ns for _, (at, _) in some],
        "footer": [content.footer for content in contents],
        "rows": rows,
        "new_rows": new_rows,
        "P": _lists([content.P.ravel() for content in contents]),
        "valid": _lists([content.valid.view(np.uint8) for content in contents]),
    }
    return pa.RecordBatch.from_pydict(columns, schema=_SCHEMA)


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(arrays)))


def _serialized(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
