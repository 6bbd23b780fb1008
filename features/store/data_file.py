"""`data.arrow` of a feature set: the record batches while they are written, their checks and checksums when read."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from features.errors import EmofuseError

# Rows are gathered into record batches of about this size: few enough to list, small enough to hold in memory.
BATCH_BYTES = 64 * 2**20
DTYPES = ("uint8", "float16", "float32")


def schema(dtype: np.dtype, shape: tuple[int, ...]) -> pa.Schema:
    """The columns of the file, given those of one time step."""
    return pa.schema([("x", pa.fixed_shape_tensor(pa.from_numpy_dtype(dtype), shape)), ("time_s", pa.float32())])


def checksums(values: np.ndarray, time_s: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Iterator[int]:
    """crc32 of the bytes of each clip, values, then times: `lengths` rows from `starts` on; both arrays contiguous."""
    x, t = (array.reshape(-1).view(np.uint8).data for array in (values, time_s))
    row = values.nbytes // len(values) if len(values) else 0
    crc32 = zlib.crc32
    for start, end in zip(starts.tolist(), (starts + lengths).tolist(), strict=True):
        yield crc32(t[4 * start : 4 * end], crc32(x[row * start : row * end]))


class DataFile:
    """The file while it is written: clips are gathered into record batches, a clip always whole in one batch."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape, self.rows = path, shape, 0
        self.dtype: np.dtype | None = None
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting_bytes = 0
        self._writer: pa.RecordBatchFileWriter | None = None

    def __enter__(self) -> "DataFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def append(self, first_id: str, values: np.ndarray, time_s: np.ndarray, lengths: np.ndarray) -> None:
        """Add clips that follow one another, of `lengths` (n,) rows each: values (sum, ...), time_s (sum,) float32."""
        if self.dtype not in (None, values.dtype):
            raise EmofuseError(
                f"Clip {first_id!r}: its features are {values.dtype}, but those of the clips before are {self.dtype}."
            )
        self.dtype = values.dtype
        ends = np.cumsum(lengths)
        row_bytes = values.nbytes // len(values) if len(values) else 0
        at = 0
        while at < len(values):
            # A batch is full with the clip that brings it to its size.
            full = int(np.searchsorted((ends - at) * row_bytes, BATCH_BYTES - self._waiting_bytes))
            end = int(ends[min(full, len(ends) - 1)])
            self._waiting.append((values[at:end], time_s[at:end]))
            self._waiting_bytes += (end - at) * row_bytes
            self.rows += end - at
            at = end
            if self._waiting_bytes >= BATCH_BYTES:
                self._flush()

    def _flush(self) -> None:
        self.dtype = self.dtype or np.dtype(np.float32)
        columns = schema(self.dtype, self.shape)
        if self._writer is None:
            self._writer = pa.ipc.new_file(self.path, columns)
        if self._waiting:
            # Arrays whose last axis does not lie closest together keep their order in a concatenation.
            rows = np.ascontiguousarray(np.concatenate([values for values, _ in self._waiting]))
            x = pa.FixedShapeTensorArray.from_numpy_ndarray(rows)
            time_s = pa.array(np.concatenate([times for _, times in self._waiting]))
            self._writer.write_batch(pa.record_batch([x, time_s], schema=columns))
        self._waiting, self._waiting_bytes = [], 0


def open_batches(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> list[pa.RecordBatch]:
    """The memory-mapped record batches; ValueError where the file holds anything else, whatever its numbers are."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    if not reader.schema.equals(schema(dtype, shape)):
        found = ", ".join(f"{field.name} {field.type}" for field in reader.schema)
        raise ValueError(f"expected time steps of shape {shape} and type {dtype}, but it says {found}")
    batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    for batch in batches:
        batch.validate()
        if any(column.null_count for column in batch.columns):
            raise ValueError("a record batch has gaps")
    return batches


def views(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Values (rows, ...) and times (rows,) of a batch, as read-only views of the file."""
    return batch["x"].to_numpy_ndarray(), batch["time_s"].to_numpy()
