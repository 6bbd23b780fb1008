"""The clip table: one row per clip, its checks, its fingerprints and its file `clips.parquet`."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa

from features.annotations import Annotations, annotations_path, read_annotations, write_annotations
from features.disk.sealed_tables import read_table, write_table
from features.errors import ClipFailure, DamagedFile, EmofuseError
from features.files import content_key, file_sha256
from features.progress import progress
from features.sets import Media
from features.spelling import refuse_alike

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")
MOST_CLASSES = 500
SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("path", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("group_id", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("dataset", pa.string()),
        ("media_sha256", pa.string()),
    ]
)
_KIND = "clips"
_AGAIN = "make it again with `emofuse clips`"


@dataclass(frozen=True)
class Clip:
    """One clip: a media file, or the part of it from `start_s` to `end_s` (seconds; None = to the end).

    `path` is relative to the table's root, absolute, a URI (`s3://...`), or None when the features come from elsewhere.
    `group_id` is what must not be split over a partition: speaker, subject or film. `label` is None where unknown.
    """

    clip_id: str
    path: str | None
    split: str
    label: str | None
    group_id: str
    start_s: float = 0.0
    end_s: float | None = None
    dataset: str = ""
    media_sha256: str | None = None


@dataclass(frozen=True)
class ClipTable:
    """N clips; relative paths start at `root`. `annotations` are continuous labels of some of them, None without.

    `file` is where the table was read from, for messages.
    """

    clips: tuple[Clip, ...]
    root: Path
    annotations: Annotations | None = None
    file: Path | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The label names, sorted."""
        return tuple(sorted({clip.label for clip in self.clips if clip.label is not None}))

    @cached_property
    def _rows(self) -> dict[str, Clip]:
        return {clip.clip_id: clip for clip in self.clips}

    def by_id(self, clip_id: str) -> Clip:
        """The clip of that id."""
        if clip_id not in self._rows:
            raise EmofuseError(f"The clip table has no clip {clip_id!r}; it holds {len(self)} clips.")
        return self._rows[clip_id]

    def split(self, name: str) -> tuple[Clip, ...]:
        """The clips of the split `name`, in the table's order."""
        return tuple(clip for clip in self.clips if clip.split == name)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over all rows in order: ids, splits, labels, groups, times, media; part of every trial's key."""
        return content_key(
            [[c.clip_id, c.split, c.label, c.group_id, c.start_s, c.end_s, _media_identity(c)] for c in self.clips]
        )

    @cached_property
    def media_fingerprint(self) -> str:
        """sha256 (hex) over ids, times and media only, whatever the order: new labels or splits keep the features."""
        return content_key(
            sorted(
                [c.clip_id, _media_identity(c) or "", c.start_s, -1.0 if c.end_s is None else c.end_s]
                for c in self.clips
            )
        )

    def media(self, clip: Clip) -> Media:
        """What an extractor reads for `clip`, its path absolute; ClipFailure where the table names no local file."""
        if clip.path is None:
            raise ClipFailure("missing", "the clip table names no media file for it")
        if is_uri(clip.path):
            raise ClipFailure("missing", f"{clip.path} is no local file: copy it here and name the copy in the table")
        return Media(self.root / clip.path, clip.start_s, clip.end_s)


def is_uri(path: str) -> bool:
    """Whether `path` is a URI such as `s3://bucket/clip.mp4`, not a file of this machine."""
    return "://" in path


def _media_identity(clip: Clip) -> str | None:
    # Without a digest (a URI, features from elsewhere) the path is the best that is known of the media.
    return clip.media_sha256 or clip.path


def check_clips(table: ClipTable, *, media: bool = True) -> None:
    """Refuse a table that can't be trained on, naming the first offending clips and how many there are.

    `media=False` leaves out whether the files exist: once features are extracted, training does not read them.
    """
    clips = table.clips
    if not clips:
        raise EmofuseError("The clip table is empty: expected at least one training clip.")
    check_ids(table)
    again = "make the table again with `emofuse clips`, which gives them one spelling"
    refuse_alike((clip.label for clip in clips if clip.label is not None), "label", "The clip table", again)
    refuse_alike((clip.group_id for clip in clips if clip.group_id), "group_id", "The clip table", again)
    _refuse(clips, lambda c: c.split not in SPLITS, f"a split is one of {', '.join(SPLITS)}", lambda c: c.split)
    _refuse(clips, lambda c: not c.group_id, "every clip needs a group_id (a speaker, a film)", lambda c: c.group_id)
    _refuse(clips, lambda c: c.label == "", "a label is a class name, or null when unknown", lambda c: c.label)
    _refuse(
        clips,
        lambda c: not (math.isfinite(c.start_s) and c.start_s >= 0),
        "start_s is in seconds and not negative",
        lambda c: c.start_s,
    )
    _refuse(
        clips,
        lambda c: c.end_s is not None and not c.start_s < c.end_s < math.inf,
        "end_s must be later than start_s (or null: to the end)",
        lambda c: (c.start_s, c.end_s),
    )
    annotated = table.annotations.series if table.annotations else {}
    _refuse(
        clips,
        lambda c: c.split != "test" and c.label is None and c.clip_id not in annotated,
        "clips of the splits train and val need a label",
        lambda c: c.label,
    )
    if table.annotations:
        table.annotations.check([clip.clip_id for clip in clips])
    refuse_many_classes("The clip table", len(table.classes))
    trained = {clip.label for clip in clips if clip.split == "train"}
    if not trained:
        raise EmofuseError(f"The split 'train' is empty: all {len(clips)} clips are val or test.")
    _refuse(
        clips,
        lambda c: c.label is not None and c.label not in trained,
        f"every class needs a training clip, and the classes in train are {', '.join(sorted(map(str, trained)))}",
        lambda c: c.label,
    )
    _refuse(
        clips,
        lambda c: "\0" in f"{c.clip_id}{c.path}{c.group_id}{c.label}",
        "no text has a NUL character",
        lambda c: (c.clip_id, c.path, c.group_id, c.label),
    )
    if media:
        local = {clip.path for clip in clips if clip.path and not is_uri(clip.path)}
        gone = {path for path in local if not (table.root / path).is_file()}
        _refuse(clips, lambda c: c.path in gone, "its media file must exist", lambda c: str(table.root / str(c.path)))


def refuse_many_classes(where: Path | str, classes: int) -> None:
    """Refuse more classes than `MOST_CLASSES`: every score keeps a matrix of classes by classes."""
    if classes > MOST_CLASSES:
        raise EmofuseError(
            f"{where}: expected at most {MOST_CLASSES} classes, but got {classes}; is the label an id or a number?"
        )


def check_ids(table: ClipTable) -> None:
    """Refuse clip ids that are empty or occur twice."""
    _refuse(table.clips, lambda c: not c.clip_id, "every clip needs a clip_id", lambda c: c.path)
    counts = Counter(clip.clip_id for clip in table.clips)

    def rows(clip: Clip) -> str:
        paths = [str(c.path) for c in table.clips if c.clip_id == clip.clip_id]
        return f"{len(paths)} rows" + (f" of {', '.join(paths[:3])}" if any(clip.path for clip in table.clips) else "")

    _refuse(table.clips, lambda c: counts[c.clip_id] > 1, "a clip_id is unique", rows)


def _refuse(clips: Iterable[Clip], bad: Callable[[Clip], bool], rule: str, value: Callable[[Clip], Any]) -> None:
    found = [clip for clip in clips if bad(clip)]
    if found:
        first = found[0]
        ids = list(dict.fromkeys(clip.clip_id for clip in found))
        listed = ", ".join(map(str, ids[:3])) + (", ..." if len(ids) > 3 else "")
        more = f" ({len(ids)} such clips: {listed})" if len(ids) > 1 else ""
        raise EmofuseError(f"Clip {first.clip_id!r}: {rule}, but got {value(first)}{more}.")


def hash_media(table: ClipTable, workers: int | None = None) -> ClipTable:
    """The same table with the sha256 of each clip's media file, None where it is missing; URIs are not read.

    `workers` threads read files (default: one for each core); a file that holds many clips is read once.
    """
    paths = sorted({c.path for c in table.clips if c.path and not is_uri(c.path) and (table.root / c.path).is_file()})
    digests: dict[str, str] = {}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool, progress("hash media", len(paths)) as counter:
        for path, digest in zip(paths, pool.map(lambda path: _digest(table.root / path), paths), strict=True):
            digests[path] = digest
            counter.advance()
    clips = (
        replace(clip, media_sha256=digests.get(clip.path)) if clip.path and not is_uri(clip.path) else clip
        for clip in table.clips
    )
    return replace(table, clips=tuple(clips))


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise EmofuseError(f"{path}: can't be read ({error.strerror}).") from None


def write_clips(table: ClipTable, path: Path) -> None:
    """Write `table` as Parquet, its annotations beside it.

    Media below the file's folder become relative to it, others absolute.
    """
    if table.annotations:
        write_annotations(table.annotations, annotations_path(path))
    folder, root = path.resolve().parent, table.root.resolve()
    columns = {name: [getattr(clip, name) for clip in table.clips] for name in SCHEMA.names}
    columns["path"] = [_placed(root, clip_path, folder) for clip_path in columns["path"]]
    write_table(pa.table(columns, SCHEMA), path, {"kind": _KIND, "schema_version": SCHEMA_VERSION})


def _placed(root: Path, path: str | None, folder: Path) -> str | None:
    if path is None or is_uri(path):
        return path
    absolute = os.path.normpath(root / path)
    inside = os.path.commonpath([absolute, folder]) == str(folder)
    return os.path.relpath(absolute, folder) if inside else absolute


def read_clips(path: Path) -> ClipTable:
    """Read what `write_clips` wrote, with the annotations of its clips that lie beside it.

    A file of another kind or schema version is told in one sentence.
    """
    if not path.exists():
        raise EmofuseError(
            f"{path}: no such file, expected a clip table; make one with `emofuse clips DATASET ROOT -o "
            f"{quote(str(path))}`."
        )
    data, footer = read_table(path, "a clip table", _AGAIN)
    if footer.get("kind") != _KIND:
        raise EmofuseError(
            f"{path}: expected a clip table of emofuse; turn your own into one: `emofuse clips table "
            f"{quote(str(path))} -o OUT`."
        )
    if footer.get("schema_version") != SCHEMA_VERSION:
        raise EmofuseError(
            f"{path}: clip table of schema version {footer.get('schema_version')}, but this emofuse reads version "
            f"{SCHEMA_VERSION}; make it again with `emofuse clips`."
        )
    try:
        data = data.select(SCHEMA.names).cast(SCHEMA)
    except (KeyError, pa.ArrowException) as error:
        raise DamagedFile(f"{path}: expected a clip table, but its columns are others ({error}); {_AGAIN}.") from None
    columns = [data[name].to_pylist() for name in SCHEMA.names]
    clips = tuple(Clip(*row) for row in zip(*columns, strict=True))
    beside = annotations_path(path)
    annotations = read_annotations(beside).of([clip.clip_id for clip in clips]) if beside.exists() else None
    return ClipTable(clips, path.resolve().parent, annotations, path)
