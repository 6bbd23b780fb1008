"""Writing a feature set: one part per clip, so that a killed extraction resumes where it was, then one data file."""

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from features.disk.sealed_tables import write_table
from features.errors import ClipFailure, EmofuseError
from features.files import content_key, refuse_uri, replacing_folder, write_json
from features.sets import FeatureArray, Value
from features.store.data_file import DataFile, checksums
from features.store.set_parts import Entry, Parts
from features.store.stored_set import CLIPS_SCHEMA, INDEX, OK, SetInfo, StoredSet

_LIBRARIES = (
    *("numpy", "av", "pillow", "opencv-python", "librosa", "scipy", "torch", "opensmile", "dlib-bin"),
    *("transformers", "onnxruntime"),
)


@dataclass(frozen=True)
class Block:
    """Many clips, one behind the other: `lengths` (n,) rows each of `values` (sum, ...) and `time_s` (sum,) float32.

    A clip of length 0 has no features, for the reason `failure`; the others' were `computed` so, see FeatureArray.
    """

    clip_ids: Sequence[str]
    lengths: np.ndarray
    values: np.ndarray
    time_s: np.ndarray
    failure: ClipFailure | None = None
    computed: str = ""


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
    remake: str = ""

    def __post_init__(self) -> None:
        refuse_uri(self.store)

    @property
    def folder(self) -> Path:
        """Where the finished set lies."""
        return self.store / self.name / self.key

    @property
    def _parts(self) -> Parts:
        return Parts(self.store / self.name / f".{self.key}.parts")

    def finished(self) -> StoredSet | None:
        """The finished set that lies there, or None when there is none that can be read."""
        try:
            return StoredSet(self.folder)
        except EmofuseError:
            return None

    def done_ids(self, *, failed: bool = True, again: Callable[[str], bool] = lambda clip_id: False) -> set[str]:
        """The clips that need no more work; with `failed=False` those that failed are not among them.

        Clips count when their checksums hold, those of parts and those of a finished set. `again` is asked whether one
        that was `missing` is to be tried again.
        """
        states: dict[str, str] = {}
        if finished := self.finished():
            damaged = set(finished.verify())
            states = {i: finished.status(i) for i in finished.ids if i not in damaged}
        for clip_id in self.clip_ids:
            entry = self._parts.read(clip_id)
            if entry is not None and states.get(clip_id) != OK:
                states[clip_id] = entry.status if isinstance(entry, ClipFailure) else OK
        done = {
            i for i, status in states.items() if status == OK or (failed and not (status == "missing" and again(i)))
        }
        return done & set(self.clip_ids)

    def written(self, clip_id: str) -> bool:
        """Whether a part of this clip lies there, with features or a failure."""
        return clip_id in self._parts

    def add(self, clip_id: str, array: FeatureArray) -> None:
        """Keep a clip's features; ClipFailure when they hold no time step, NaN or infinity, or have another shape."""
        values, time_s = checked(array, self.level, self.shape)
        _beside_others(lambda: self._parts.add(clip_id, values, time_s, array.computed))

    def fail(self, clip_id: str, failure: ClipFailure) -> None:
        """Record that a clip has no features, and why."""
        _beside_others(lambda: self._parts.fail(clip_id, failure))

    def write(self, arrays: Iterable[tuple[str, FeatureArray | ClipFailure] | Block]) -> StoredSet:
        """Write the finished set at once from all clips' `arrays`, in the order of `clip_ids`: no parts, no resume.

        ClipFailure as in `add`; blocks are taken as they are.
        """
        with replacing_folder(self.folder) as folder:
            self._write(folder, map(self._block, arrays))
        return StoredSet(self.folder)

    def _block(self, item: tuple[str, FeatureArray | ClipFailure] | Block) -> Block:
        if isinstance(item, Block):
            return item
        clip_id, array = item
        if isinstance(array, ClipFailure):
            return _one(clip_id, array)
        return _one(clip_id, (*checked(array, self.level, self.shape), array.computed))

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
        self._parts.discard()

    def _write(self, folder: Path, blocks: Iterable[Block]) -> None:
        index = _Index()
        with DataFile(folder / "data.arrow", self.shape) as data:
            for block in blocks:
                index.add(block, data.rows)
                if len(block.values):
                    first_id = block.clip_ids[int(np.argmax(block.lengths > 0))]
                    data.append(first_id, block.values, block.time_s, block.lengths)
        index.write(folder / "clips.parquet")
        info = SetInfo(
            self.name,
            self.key,
            self.spec or self.name,
            self.level,
            self.shape,
            str(data.dtype),
            dict(self.params),
            self.version,
            self.media_fingerprint,
            ids_fingerprint(self.clip_ids),
            self.imported,
            self.columns,
            _library_versions(),
            self.remake,
        )
        write_json(folder / "set.json", info.as_json())

    def _entries(self) -> Iterator[Block]:
        earlier = self.finished()
        for clip_id in self.clip_ids:
            entry = self._parts.read(clip_id)
            if entry is None:
                # Parts vanish when another writer finishes; its set then has them.
                if earlier is None or clip_id not in earlier:
                    earlier = self.finished()
                entry = earlier.entry(clip_id) if earlier is not None else None
            if entry is None:
                raise EmofuseError(
                    f"Feature set {self.spec or self.name!r}: there is nothing of clip {clip_id!r}, or what there was "
                    "is damaged; run the same command again."
                )
            yield _one(clip_id, entry)


def _one(clip_id: str, entry: Entry) -> Block:
    if isinstance(entry, ClipFailure):
        return Block((clip_id,), np.zeros(1, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.float32), entry)
    values, time_s, computed = entry
    return Block((clip_id,), np.array([len(values)]), values, time_s, computed=computed)


class _Index:
    """`clips.parquet` while it is gathered."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._starts: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []
        self._states: list[tuple[str, str]] = []
        self._crcs: list[int] = []

    def add(self, block: Block, first_row: int) -> None:
        """The clips of a block whose first row is row `first_row` of the data."""
        lengths = np.asarray(block.lengths, np.int64)
        starts = np.cumsum(lengths) - lengths
        crcs = checksums(np.ascontiguousarray(block.values), np.ascontiguousarray(block.time_s), starts, lengths)
        there = lengths > 0
        state = (block.failure.status, block.failure.reason) if block.failure else (OK, "")
        self._ids += block.clip_ids
        self._starts.append(np.where(there, starts + first_row, 0))
        self._lengths.append(lengths)
        self._states += [(OK, block.computed) if ok else state for ok in there.tolist()]
        self._crcs += crcs  # of no bytes it is 0

    def write(self, path: Path) -> None:
        """Write the file."""
        starts, lengths = (np.concatenate([np.zeros(0, np.int64), *kept]) for kept in (self._starts, self._lengths))
        statuses, reasons = zip(*self._states, strict=True) if self._states else ((), ())
        columns = (self._ids, starts, lengths, statuses, reasons, self._crcs)
        arrays = [pa.array(column, f.type) for column, f in zip(columns, CLIPS_SCHEMA, strict=True)]
        write_table(pa.table(arrays, CLIPS_SCHEMA), path, {"kind": INDEX})


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
