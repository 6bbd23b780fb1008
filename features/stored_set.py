"""One feature set on disk, `<store>/<set>/<key>/`: memory-mapped arrays that all trials of a node share.

`data.arrow` (Arrow IPC, uncompressed) has one row per time step: `x`, a tensor of fixed shape, and `time_s`. A clip
never spans two record batches, so its array is a view of the file. `clips.parquet` says where each clip lies, or why it
failed.
"""

import zlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import EmofuseError
from features.files import read_json
from features.schema import check_version, parse
from features.sets import Value

SCHEMA_VERSION = 1
OK = "ok"
CLIPS_SCHEMA = pa.schema([
    ("clip_id", pa.string()),
    ("start", pa.int64()),
    ("length", pa.int64()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("crc32", pa.uint32()),
])


@dataclass(frozen=True)
class SetInfo:
    """What `set.json` says: how the set was made. `shape` and `dtype` are those of one time step.

    `columns` names the numbers of a vector, where names are known: an imported table's, the classes of a softmax.
    """

    name: str
    key: str
    spec: str
    level: Literal["clip", "frame"]
    shape: tuple[int, ...]
    dtype: str
    params: Mapping[str, Value]
    version: int
    media_fingerprint: str
    ids_fingerprint: str
    imported: bool = False
    columns: tuple[str, ...] = ()
    library_versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def as_json(self) -> dict[str, Any]:
        """The plain data that `set.json` holds."""
        return asdict(self)


def read_info(folder: Path) -> SetInfo:
    """The `set.json` in `folder`; one of another schema version is told in one sentence."""
    path = folder / "set.json"
    data = read_json(path, "the description of a feature set")
    check_version(data, SCHEMA_VERSION, path, "feature set", "extract it again into another store")
    return parse(SetInfo, data, path, "remove the folder and extract it again")


def clip_crc(values: np.ndarray, time_s: np.ndarray) -> int:
    """crc32 of a clip's bytes: values, then times."""
    return zlib.crc32(np.ascontiguousarray(time_s).data, zlib.crc32(np.ascontiguousarray(values).data))


class StoredSet:
    """A finished set, opened for reading: `stored[clip_id]` is a read-only view, (T, ...), or (F,) at clip level."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.info = info = read_info(folder)
        self.name, self.key, self.level, self.shape = info.name, info.key, info.level, info.shape
        self.dtype = np.dtype(info.dtype)
        try:
            self._batches = _batches(folder / "data.arrow")
            self._clips = pq.read_table(folder / "clips.parquet", schema=CLIPS_SCHEMA)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(str(error)) from None
        self._first_row = list(accumulate(map(len, self._batches), initial=0))
        if self._first_row[-1] != sum(self._clips["length"].to_pylist()):
            raise self._damaged("data.arrow and clips.parquet disagree on the number of rows")
        self._views: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def _damaged(self, why: str) -> EmofuseError:
        again = "import" if self.info.imported else "extract"
        return EmofuseError(
            f"{self.folder}: feature set {self.info.spec!r} is damaged ({why}); remove the folder and run "
            f"`emofuse features {again}` again."
        )

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["clip_id"]: row for row in self._clips.to_pylist()}

    @property
    def ids(self) -> tuple[str, ...]:
        """All clips of the set, the failed ones too."""
        return tuple(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._rows

    def _row(self, clip_id: str) -> dict[str, Any]:
        if clip_id not in self._rows:
            raise EmofuseError(f"Feature set {self.info.spec!r} has no clip {clip_id!r}; it holds {len(self)} clips.")
        return self._rows[clip_id]

    def status(self, clip_id: str) -> str:
        """`ok`, or the failure's status (`ClipFailure.FAILURES`)."""
        return self._row(clip_id)["status"]

    def reason(self, clip_id: str) -> str:
        """Why the clip failed; empty when it did not."""
        return self._row(clip_id)["reason"]

    def has(self, clip_id: str) -> bool:
        """Whether the clip's features exist."""
        return self.status(clip_id) == OK

    def length(self, clip_id: str) -> int:
        """The number of time steps; 0 for a failed clip."""
        return self._row(clip_id)["length"]

    def __getitem__(self, clip_id: str) -> np.ndarray:
        values, _ = self.steps(clip_id)
        return values[0] if self.level == "clip" else values

    def times(self, clip_id: str) -> np.ndarray:
        """Seconds from the clip's start, (T,) float32."""
        return self.steps(clip_id)[1]

    def steps(self, clip_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Values (T, ...) and times (T,), at clip level too (T = 1)."""
        row = self._row(clip_id)
        if row["status"] != OK:
            raise EmofuseError(
                f"Clip {clip_id!r} has no {self.info.spec!r} features: {row['status']} ({row['reason']})."
            )
        batch = bisect_right(self._first_row, row["start"]) - 1
        if batch not in self._views:
            columns = self._batches[batch]
            self._views[batch] = columns["x"].to_numpy_ndarray(), columns["time_s"].to_numpy()
        values, time_s = self._views[batch]
        start = row["start"] - self._first_row[batch]
        return values[start:start + row["length"]], time_s[start:start + row["length"]]

    def verify(self) -> tuple[str, ...]:
        """Read every clip and compare with its checksum; the ids of the clips whose bytes have changed."""
        good = (clip_id for clip_id in self._rows if self.has(clip_id))
        return tuple(clip_id for clip_id in good if clip_crc(*self.steps(clip_id)) != self._row(clip_id)["crc32"])


def _batches(path: Path) -> list[pa.RecordBatch]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(i) for i in range(reader.num_record_batches)]
