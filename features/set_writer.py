"""Writing a feature set: one part per clip, so that a killed extraction resumes where it was, then one data file."""

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import ClipFailure, EmofuseError
from features.files import content_key, read_json, replacing, replacing_folder, write_json
from features.sets import FeatureArray, Value
from features.stored_set import CLIPS_SCHEMA, OK, SetInfo, StoredSet, clip_crc

# Rows are gathered into record batches of about this size: few enough to list, small enough to hold in memory.
_BATCH_BYTES = 64 * 2**20
# What there is of a clip: values and times, or why there are none.
_Entry = tuple[np.ndarray, np.ndarray] | ClipFailure
_LIBRARIES = ("numpy", "av", "opencv-python", "librosa", "scipy", "torch", "opensmile", "dlib-bin")


@dataclass(frozen=True)
class SetWriter:
    """Takes one array (`add`) or failure (`fail`) per clip and compacts them into `<store>/<name>/<key>/` (`finish`).

    It is plain data, so that every worker process has its own copy; each part is a file of its own, whole or absent.
    Two writers of the same key share parts and are harmless to each other. A finished set that already lies there lends
    its clips to the new one, unless they were added again.
    """

    store: Path
    name: str
    key: str
    clip_ids: tuple[str, ...]
    level: Literal["clip", "frame"]
    shape: tuple[int, ...]
    media_fingerprint: str = ""
    spec: str = ""
    params: Mapping[str, Value] = field(default_factory=dict)
    version: int = 1
    imported: bool = False
    columns: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the finished set lies."""
        return self.store / self.name / self.key

    @property
    def _parts(self) -> Path:
        return self.store / self.name / f".{self.key}.parts"

    def _part(self, clip_id: str, suffix: str) -> Path:
        return self._parts / (hashlib.sha256(clip_id.encode()).hexdigest()[:40] + suffix)

    def finished(self) -> StoredSet | None:
        """The finished set that lies there, or None when there is none that can be read."""
        try:
            return StoredSet(self.folder)
        except EmofuseError:
            return None

    def done_ids(self, *, failed: bool = True) -> set[str]:
        """The clips that need no more work; with `failed=False` those that failed are not among them.

        Clips of a finished set count when their checksums hold.
        """
        parts = {path.name for path in self._parts.glob("*.*") if not path.name.startswith(".")}
        suffixes = (".npz", ".json") if failed else (".npz",)
        done = {i for i in self.clip_ids if any(self._part(i, suffix).name in parts for suffix in suffixes)}
        if finished := self.finished():
            damaged = set(finished.verify())
            done |= {i for i in finished.ids if i not in damaged and (failed or finished.has(i))}
        return done & set(self.clip_ids)

    def written(self, clip_id: str) -> bool:
        """Whether a part of this clip lies there, with features or a failure."""
        return self._part(clip_id, ".npz").exists() or self._part(clip_id, ".json").exists()

    def add(self, clip_id: str, array: FeatureArray) -> None:
        """Keep a clip's features; ClipFailure when they hold no time step, NaN or infinity, or have another shape."""
        values, time_s = checked(array, self.level, self.shape)

        def write() -> None:
            with replacing(self._part(clip_id, ".npz")) as temporary, temporary.open("wb") as file:
                np.savez(file, values=values, time_s=time_s)

        _beside_others(write)
        self._part(clip_id, ".json").unlink(missing_ok=True)

    def fail(self, clip_id: str, failure: ClipFailure) -> None:
        """Record that a clip has no features, and why."""
        row = {"status": failure.status, "reason": failure.reason}
        _beside_others(lambda: write_json(self._part(clip_id, ".json"), row))
        self._part(clip_id, ".npz").unlink(missing_ok=True)

    def write(self, arrays: Iterable[tuple[str, FeatureArray | ClipFailure]]) -> StoredSet:
        """Write the finished set at once from all clips' `arrays`, in the order of `clip_ids`: no parts, no resume.

        ClipFailure as in `add`.
        """
        with replacing_folder(self.folder) as folder:
            self._write(folder, (
                (clip_id, array if isinstance(array, ClipFailure) else checked(array, self.level, self.shape))
                for clip_id, array in arrays
            ))
        return StoredSet(self.folder)

    def finish(self) -> StoredSet:
        """Compact all parts into the finished set, in the order of `clip_ids`, and drop the parts."""

        def write() -> None:
            with replacing_folder(self.folder) as folder:
                self._write(folder, self._entries())

        _beside_others(write)
        self.discard()
        return StoredSet(self.folder)

    def discard(self) -> None:
        """Drop all parts; a finished set stays."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _write(self, folder: Path, entries: Iterable[tuple[str, _Entry]]) -> None:
        rows: list[tuple] = []
        with _DataFile(folder / "data.arrow", self.shape) as data:
            for clip_id, entry in entries:
                if isinstance(entry, ClipFailure):
                    rows.append((clip_id, 0, 0, entry.status, entry.reason, 0))
                else:
                    values, time_s = entry
                    rows.append((clip_id, data.rows, len(values), OK, "", clip_crc(values, time_s)))
                    data.append(clip_id, values, time_s)
        columns = zip(*rows, strict=True) if rows else [()] * len(CLIPS_SCHEMA)
        arrays = [pa.array(column, f.type) for column, f in zip(columns, CLIPS_SCHEMA, strict=True)]
        pq.write_table(pa.table(arrays, CLIPS_SCHEMA), folder / "clips.parquet", compression="zstd")
        info = SetInfo(
            self.name, self.key, self.spec or self.name, self.level, self.shape, str(data.dtype), dict(self.params),
            self.version, self.media_fingerprint, ids_fingerprint(self.clip_ids), self.imported, self.columns,
            _library_versions(),
        )
        write_json(folder / "set.json", info.as_json())

    def _entries(self) -> Iterator[tuple[str, _Entry]]:
        earlier = self.finished()
        for clip_id in self.clip_ids:
            entry = self._read_part(clip_id)
            if entry is None:
                # Parts vanish when another writer finishes; its set then has them.
                if earlier is None or clip_id not in earlier:
                    earlier = self.finished()
                entry = _from_set(earlier, clip_id)
            if entry is None:
                raise EmofuseError(
                    f"Feature set {self.spec or self.name!r}: clip {clip_id!r} was neither added nor marked as failed."
                )
            yield clip_id, entry

    def _read_part(self, clip_id: str) -> _Entry | None:
        path = self._part(clip_id, ".npz")
        try:
            with np.load(path) as part:
                return part["values"], part["time_s"]
        except FileNotFoundError:
            pass
        except (BadZipFile, ValueError, OSError, EOFError, KeyError):
            path.unlink(missing_ok=True)
            raise EmofuseError(f"{path}: this part is damaged and was removed; run the same command again.") from None
        path = self._part(clip_id, ".json")
        if not path.exists():
            return None
        return ClipFailure(**read_json(path, "a clip's failure"))


def _beside_others(write: Callable[[], None]) -> None:
    """Write again when another writer of the same key moved a folder away in that very moment."""
    for _ in range(5):
        try:
            return write()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
                raise
            time.sleep(0.1)
    write()


def _from_set(stored: StoredSet | None, clip_id: str) -> _Entry | None:
    if stored is None or clip_id not in stored:
        return None
    if not stored.has(clip_id):
        return ClipFailure(stored.status(clip_id), stored.reason(clip_id))
    return stored.steps(clip_id)


def checked(array: FeatureArray, level: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The array as it is stored (uint8, float16 or float32; times float32), or a ClipFailure that says what is off."""
    values, time_s = np.asarray(array.values), np.asarray(array.time_s, np.float32)
    if values.dtype not in (np.uint8, np.float16):
        values = values.astype(np.float32)
    if len(values) == 0:
        raise ClipFailure("too_short", "no time step of features fits into the clip")
    if values.shape[1:] != shape or time_s.shape != values.shape[:1]:
        raise ClipFailure(
            "unreadable",
            f"expected time steps of shape {shape}, but got values {values.shape} with times {time_s.shape}",
        )
    if level == "clip" and len(values) != 1:
        raise ClipFailure("unreadable", f"expected one time step for the whole clip, but got {len(values)}")
    if not (np.isfinite(values).all() and np.isfinite(time_s).all()):
        raise ClipFailure("unreadable", "its features hold NaN or infinity")
    return values, time_s


def ids_fingerprint(clip_ids: Iterable[str]) -> str:
    """sha256 (hex) over the ids, whatever their order."""
    return content_key(sorted(clip_ids))


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


class _DataFile:
    """`data.arrow` while it is written: clips are gathered into record batches, a clip always whole in one batch."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape, self.rows = path, shape, 0
        self.dtype: np.dtype | None = None
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting_bytes = 0
        self._writer: pa.RecordBatchFileWriter | None = None

    def __enter__(self) -> "_DataFile":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def append(self, clip_id: str, values: np.ndarray, time_s: np.ndarray) -> None:
        if self.dtype not in (None, values.dtype):
            raise EmofuseError(
                f"Clip {clip_id!r}: its features are {values.dtype}, but those of the clips before are {self.dtype}."
            )
        self.dtype = values.dtype
        self._waiting.append((values, time_s))
        self._waiting_bytes += values.nbytes
        self.rows += len(values)
        if self._waiting_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self.dtype = self.dtype or np.dtype(np.float32)
        tensor = pa.fixed_shape_tensor(pa.from_numpy_dtype(self.dtype), self.shape)
        schema = pa.schema([("x", tensor), ("time_s", pa.float32())])
        if self._writer is None:
            self._writer = pa.ipc.new_file(self.path, schema)
        if self._waiting:
            # Arrays whose last axis does not lie closest together keep their order in a concatenation.
            rows = np.ascontiguousarray(np.concatenate([values for values, _ in self._waiting]))
            x = pa.FixedShapeTensorArray.from_numpy_ndarray(rows)
            time_s = pa.array(np.concatenate([times for _, times in self._waiting]))
            self._writer.write_batch(pa.record_batch([x, time_s], schema=schema))
        self._waiting, self._waiting_bytes = [], 0
