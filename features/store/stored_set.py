"""One feature set on disk, `<store>/<set>/<key>/`: memory-mapped arrays that all trials of a node share.

`data.arrow` (Arrow IPC, uncompressed) has one row per time step: `x`, a tensor of fixed shape, and `time_s`. A clip
never spans two record batches, so its array is a view of the file. `clips.parquet` says where each clip lies, or why it
failed. Nothing is read of a set whose bytes are not those that were written: its clips' checksums are compared before
the first array leaves it, once per machine (features/disk/intact.py).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from features.disk.intact import check_once
from features.disk.sealed_tables import read_table
from features.errors import ClipFailure, DamagedFile, EmofuseError
from features.files import read_json
from features.schema import check_version, parse
from features.sets import Value
from features.store.data_file import DTYPES, checksums, open_batches, views

SCHEMA_VERSION = 1
OK = "ok"
INDEX = "the clips of a feature set"
# Below this many bytes a check takes no longer than to find out that it was done.
_SMALL = 8_000_000
CLIPS_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("crc32", pa.uint32()),
    ]
)


@dataclass(frozen=True)
class SetInfo:
    """What `set.json` says: how the set was made. `shape` and `dtype` are those of one time step.

    `columns` names the numbers of a vector, where names are known: an imported table's, the classes of a softmax.
    `remake` is the command that imports it again; empty where it isn't known.
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
    remake: str = ""
    schema_version: int = SCHEMA_VERSION

    def as_json(self) -> dict[str, Any]:
        """The plain data that `set.json` holds."""
        return asdict(self)


def read_info(folder: Path, again: str = "") -> SetInfo:
    """The `set.json` in `folder`; one of another schema version is told in one sentence, a damaged one by DamagedFile.

    `again` is what to do about damage.
    """
    path, again = folder / "set.json", again or _remade(folder)
    data = read_json(path, "the description of a feature set", damaged=again)
    check_version(data, SCHEMA_VERSION, path, "feature set", "extract it again into another store")
    info = parse(SetInfo, data, path, again, DamagedFile)
    if info.dtype not in DTYPES or not all(size > 0 for size in info.shape):
        found = f"shape {info.shape} and type {info.dtype!r}"
        raise DamagedFile(f"{path}: expected the shape and type of numbers, but got {found}; {again}.")
    return info


def _remade(folder: Path) -> str:
    return f"remove {folder} and run the command again that made it"


class StoredSet:
    """A finished set, opened for reading: `stored[clip_id]` is a read-only view, (T, ...), or (F,) at clip level.

    DamagedFile, with `again` as what to do, when a file isn't what was written: the index at once, the data before the
    first array of it is given.
    """

    def __init__(self, folder: Path, again: str = ""):
        self.folder, self._again = folder, again
        self._data = folder / "data.arrow"
        self.info = info = read_info(folder, again)
        self.name, self.key, self.level, self.shape = info.name, info.key, info.level, info.shape
        self.dtype = np.dtype(info.dtype)
        try:
            self._clips = _read_index(folder / "clips.parquet", self._again_text())
            self._batches = open_batches(self._data, self.dtype, self.shape)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._damaged(" ".join(str(error).split())) from None
        self._first_row = list(accumulate(map(len, self._batches), initial=0))
        self._starts, self._lengths = (self._clips[name].to_numpy() for name in ("start", "length"))
        if self._first_row[-1] != self._lengths.sum():
            raise self._damaged("data.arrow and clips.parquet disagree on the number of rows")
        if not self._index_holds():
            raise self._damaged("clips.parquet says that clips lie where none can")
        self._views: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._intact = False

    def _damaged(self, why: str) -> DamagedFile:
        return DamagedFile(f"{self.folder}: feature set {self.info.spec!r} is damaged ({why}); {self._again_text()}.")

    def _again_text(self) -> str:
        imported = f"import it again: `{self.info.remake}`" if self.info.remake else ""
        return self._again or imported or _remade(self.folder)

    def _index_holds(self) -> bool:
        """Whether the clips lie one behind the other, each whole in one batch, and the failed ones nowhere."""
        there = self._clips["status"].to_numpy() == OK
        starts, lengths = self._starts[there], self._lengths[there]
        ends = np.cumsum(lengths)
        batch = np.searchsorted(self._first_row, starts, "right") - 1
        return bool(
            (lengths > 0).all()
            and not self._lengths[~there].any()
            and (starts == ends - lengths).all()
            and (ends <= np.asarray(self._first_row)[batch + 1]).all()
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
        """Why the clip failed; of one that did not, how it was computed (`FeatureArray.computed`)."""
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
        """Values (T, ...) and times (T,), at clip level too (T = 1). DamagedFile as in `ensure_intact`."""
        row = self._row(clip_id)
        if row["status"] != OK:
            raise EmofuseError(
                f"Clip {clip_id!r} has no {self.info.spec!r} features: {row['status']} ({row['reason']})."
            )
        self.ensure_intact()
        return self._steps(row)

    def entry(self, clip_id: str) -> tuple[np.ndarray, np.ndarray, str] | ClipFailure | None:
        """A clip's steps with how they were computed, or its failure; None where it isn't there or is damaged.

        Whatever became of other clips.
        """
        row = self._rows.get(clip_id)
        if row is None:
            return None
        if row["status"] != OK:
            return ClipFailure(row["status"], row["reason"])
        values, time_s = self._steps(row)
        (crc,) = checksums(values, time_s, np.zeros(1, np.int64), np.array([len(values)]))
        return (values, time_s, row["reason"]) if crc == row["crc32"] else None

    def _steps(self, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        batch = bisect_right(self._first_row, row["start"]) - 1
        values, time_s = self._view(batch)
        start = row["start"] - self._first_row[batch]
        return values[start : start + row["length"]], time_s[start : start + row["length"]]

    def _view(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        if batch not in self._views:
            self._views[batch] = views(self._batches[batch])
        return self._views[batch]

    def ensure_intact(self, beat: Callable[[], None] = lambda: None) -> None:
        """DamagedFile, which names the clip, unless every clip's bytes fit its checksum; read once on each machine.

        `beat` hears that the work goes on.
        """
        if self._intact:
            return

        def check() -> None:
            damaged = list(self._damaged_ids(beat))
            if damaged:
                what = f"the features of clip {damaged[0]!r} are not those that were written"
                more = f", nor are those of {len(damaged) - 1} more clips" if len(damaged) > 1 else ""
                raise self._damaged(what + more)

        if self._data.stat().st_size < _SMALL:
            check()
        else:
            check_once([self._data, self.folder / "clips.parquet", self.folder / "set.json"], check, beat)
        self._intact = True

    def verify(self) -> tuple[str, ...]:
        """Read every clip and compare with its checksum; the ids of the clips whose bytes have changed."""
        return tuple(self._damaged_ids())

    def _damaged_ids(self, beat: Callable[[], None] = lambda: None) -> Iterator[str]:
        there = np.flatnonzero(self._lengths)
        starts, lengths = self._starts[there], self._lengths[there]
        crcs = self._clips["crc32"].to_numpy()[there]
        bounds = np.searchsorted(starts, self._first_row)
        for batch, first_row in enumerate(self._first_row[:-1]):
            beat()
            its = slice(bounds[batch], bounds[batch + 1])
            found = np.fromiter(checksums(*self._view(batch), starts[its] - first_row, lengths[its]), np.uint32)
            for index in np.flatnonzero(found != crcs[its]):
                yield self._clips["clip_id"][int(there[its][index])].as_py()


def _read_index(path: Path, again: str) -> pa.Table:
    """`clips.parquet`; ValueError where it says what no writer of ours says."""
    table = read_table(path, INDEX, again)[0].combine_chunks()
    if not table.schema.equals(CLIPS_SCHEMA) or any(column.null_count for column in table.columns):
        raise ValueError("clips.parquet has other columns than a feature set's, or gaps")
    table.validate(full=True)
    unknown = set(table["status"].unique().to_pylist()) - {OK, *ClipFailure.FAILURES}
    if unknown or len(table["clip_id"].unique()) < len(table):
        raise ValueError("clips.parquet names a clip twice, or a status that there is not")
    return table
