"""One file in which the prediction files of a run are put together, so that ten thousands of them open at once.

It lies in the run folder under a dot name and can be deleted at any time. Scores come first, then an index, which is
read whole; scores are read when they are asked for. Everything has a checksum. An entry is believed as long as its
file has the size, times and inode that it had, and is found again by the file's digest where they changed, as in a copy
of the run. A writer replaces the file as a whole, so several processes don't disturb each other.
"""

import os
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.errors import EmofuseError
from features.files import replacing

_NAME = ".predictions.cache"
_EARLIER = ".predictions.arrow"  # what an older version wrote, as large as this
_MAGIC = b"emofuse cache 2\n"
_END = struct.Struct(f"<QQI{len(_MAGIC)}s")  # where the index begins, its bytes, its checksum
_SETTLED_S = 2.0  # a younger file may still be replaced by one of the same size within the clock's tick
_STAMP = {"size": pa.int64(), "changed_ns": pa.int64(), "ctime_ns": pa.int64(), "inode": pa.uint64()}
_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        **_STAMP,
        "digest": pa.binary(),
        "footer": pa.large_binary(),
        "rows": pa.int32(),
        "new_rows": pa.large_binary(),
        "accuracy": pa.float64(),
        "at": pa.int64(),
        "n": pa.int64(),
        "C": pa.int32(),
        "checksum": pa.uint32(),
    }
)
ScoreArrays = tuple[np.ndarray, np.ndarray]


class Stamp(NamedTuple):
    """By what a file is known to be unchanged."""

    size: int
    changed_ns: int
    ctime_ns: int
    inode: int

    @property
    def settled(self) -> bool:
        """Whether any later change of the file would change its stamp."""
        return time.time_ns() - self.changed_ns > _SETTLED_S * 1e9


@dataclass(frozen=True, eq=False)
class Content:
    """What a prediction file holds: its digest and footer, the rows without scores (a table shared by many), the
    accuracy on its own labelled held-out rows (None without such), and its scores.

    `scores()` is P (n, C) float32 with the columns in sorted class order, and which rows are valid (n,) bool; each call
    may read them from the disk.
    """

    digest: bytes
    footer: bytes
    rows: pa.Table
    accuracy: float | None
    scores: Callable[[], ScoreArrays]


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The file's stamp; None where it can't be looked at."""
    try:
        status = os.stat(path)  # noqa: PTH116 (of very many texts)
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def read_cache(run: Path, read_again: Callable[[str], Content]) -> dict[str, tuple[Stamp, Content]]:
    """The cached contents by file name (below predictions/); empty where there is no cache that can be read.

    `read_again(name)` reads the file itself, for scores that the disk has changed in the cache.
    """
    try:
        source = _Source(run / _NAME)
    except OSError:
        return {}
    try:
        index = source.index()
    except (OSError, ValueError, struct.error, pa.ArrowException):
        return {}
    tables: list[pa.Table] = []
    found: dict[str, tuple[Stamp, Content]] = {}
    for file, size, changed, ctime, inode, digest, footer, rows, new_rows, accuracy, at, n, C, checksum in zip(
        *(index[name].to_pylist() for name in _SCHEMA.names), strict=True
    ):
        if new_rows is not None:
            tables.append(pa.ipc.open_stream(new_rows).read_all())
        scores = _CachedScores(source, file, digest, at, n, C, checksum, read_again)
        found[file] = Stamp(size, changed, ctime, inode), Content(digest, footer, tables[rows], accuracy, scores)
    return found


def write_cache(run: Path, contents: Mapping[str, tuple[Stamp, Content]]) -> bool:
    """Replace the cache, and say whether it was: a run folder that can't be written stays without."""
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    numbers: dict[int, int] = {}
    try:
        with replacing(run / _NAME, sync=False) as temporary, temporary.open("wb") as file:
            file.write(_MAGIC)
            for name, (at, content) in contents.items():
                P, valid = content.scores()
                blob = np.ascontiguousarray(P, np.float32).tobytes() + valid.astype(np.uint8).tobytes()
                new_rows = None if id(content.rows) in numbers else _serialized(content.rows)
                rows = numbers.setdefault(id(content.rows), len(numbers))
                row = (
                    name,
                    *at,
                    content.digest,
                    content.footer,
                    rows,
                    new_rows,
                    content.accuracy,
                    file.tell(),
                    *P.shape,
                    zlib.crc32(blob),
                )
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
                file.write(blob)
            start, index = file.tell(), _serialized(pa.table(columns, schema=_SCHEMA))
            file.write(index)
            file.write(_END.pack(start, len(index), zlib.crc32(index), _MAGIC))
        (run / _EARLIER).unlink(missing_ok=True)
    except OSError:
        return False
    return True


class _Source:
    """The cache file, open as long as anything refers to it, so that a later cache doesn't take its place."""

    def __init__(self, path: Path):
        self.path = path
        self._file = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def drop(self) -> None:
        """Remove the file, unless another one has taken its place: the next reader makes it again."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), os.fstat(self._file)):
                self.path.unlink()

    def read(self, size: int, at: int) -> bytes:
        """So many bytes from there, fewer at the file's end."""
        return os.pread(self._file, size, at)

    def index(self) -> pa.Table:
        """The index. ValueError where it is not what was written."""
        end = os.fstat(self._file).st_size - _END.size
        start, size, checksum, magic = _END.unpack(self.read(_END.size, max(0, end)))
        if magic != _MAGIC or start + size != end:
            raise ValueError("cut off, or of another version")
        data = bytearray()
        while len(data) < size and (piece := self.read(size - len(data), start + len(data))):
            data += piece
        if zlib.crc32(data) != checksum:
            raise ValueError("damaged")
        index = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        if index.schema != _SCHEMA:
            raise ValueError("of another version")
        return index


@dataclass(frozen=True, slots=True)
class _CachedScores:
    """Where one file's scores lie; read when called."""

    source: _Source
    file: str
    digest: bytes
    at: int
    n: int
    C: int
    checksum: int
    read_again: Callable[[str], Content]

    def __call__(self) -> ScoreArrays:
        cells = self.n * self.C
        blob = self.source.read(4 * cells + self.n, self.at)
        if len(blob) != 4 * cells + self.n or zlib.crc32(blob) != self.checksum:
            self.source.drop()
            content = self.read_again(self.file)
            if content.digest != self.digest:
                raise EmofuseError(f"predictions/{self.file} changed while the run was read; run the command again.")
            return content.scores()
        P = np.frombuffer(blob, np.float32, cells).reshape(self.n, self.C)
        return P, np.frombuffer(blob, np.uint8, self.n, 4 * cells).view(bool)


def _serialized(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
