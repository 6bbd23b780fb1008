"""A user's own list of clips, as CSV or Parquet with the columns of clips.parquet."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa

from features.annotations import load_annotations
from features.clips import SCHEMA, Clip, ClipTable, hash_media, is_uri
from features.datasets import Adapter, Option
from features.datasets.duplicates import without_duplicates
from features.datasets.folders import warn
from features.disk.sizes import MAX_GB
from features.errors import EmofuseError
from features.names import unknown_name
from features.spelling import refuse_alike
from features.tables.user_tables import id_texts, label_texts, one_line, read_user_table

REQUIRED = ("clip_id", "split", "path")
_NO_MEDIA = " (or give --no-media when the features come from elsewhere)"


def read(root: Path, *, media_root: str, no_media: bool, annotations: str, max_gb: float, duplicates: str) -> ClipTable:
    """The rows of the file `root`; columns that it lacks are filled, unknown ones refused.

    Relative paths start at `media_root`, by default the file's folder. Without group_id each clip is its own group.
    `annotations` is a file of continuous labels. With `duplicates` drop, clips of train (or val) whose media's bytes
    recur in val or test are left out.
    """
    required = [name for name in REQUIRED if name != "path" or not no_media]
    columns = read_columns(root, max_gb, required, _NO_MEDIA)
    if "group_id" not in columns:
        warn(f"{root} has no column group_id (speaker, subject or film): each clip is its own group")
    if no_media:
        columns["path"] = [None] * len(columns["clip_id"])
    folder = Path(media_root).resolve() if media_root else root.resolve().parent
    clips = rows(root, folder, columns)
    if not no_media and (bare := [clip.clip_id for clip in clips if not clip.path]):
        raise EmofuseError(
            f"{root}: {len(bare)} clips have no path, the first is {bare[0]!r}; give --no-media when the features come "
            "from elsewhere."
        )
    if duplicates == "drop":
        hashed = hash_media(ClipTable(clips, folder)).clips
        clips = tuple(hashed[i] for i in without_duplicates(hashed))
    ids = columns["clip_id"]
    over_time = load_annotations(Path(annotations), max_gb).matched(ids, annotations) if annotations else None
    return ClipTable(clips, folder, over_time)


def read_columns(
    root: Path, max_gb: float, required: Sequence[str], hint: str = "", others: Collection[str] = ()
) -> dict[str, list[Any]]:
    """The file's columns by name: those of a clip table as it has them, `others` as text where they are there.

    Refused: unknown columns, a required one that is missing (`hint` tells a way out), two ids that are one name.
    """
    types = dict(zip(SCHEMA.names, SCHEMA.types, strict=True)) | dict.fromkeys(others, pa.string())
    table = read_user_table(root, types, "a CSV or Parquet file with one row per clip", max_gb)
    for name in table.column_names:
        if name not in types:
            raise unknown_name(f"column in {root}", name, types)
    absent = [name for name in required if name not in table.column_names]
    if absent:
        more = hint if absent == ["path"] else ""
        raise EmofuseError(
            f"{root}: expected the columns {', '.join(required)}, but there is no {', '.join(absent)}{more}."
        )
    columns = {field.name: _texts(root, table, field) for field in SCHEMA if field.name in table.column_names}
    for name in set(others) & set(table.column_names) - columns.keys():
        columns[name] = label_texts(root, name, table[name])
    refuse_alike(filter(None, columns.get("clip_id", ())), "clip", root, "give each clip an id of its own")
    return columns


def rows(root: Path, folder: Path, columns: Mapping[str, list[Any]]) -> tuple[Clip, ...]:
    """The clips of columns with clip_id and split, others filled; relative paths start at `folder`."""
    ids = columns["clip_id"]
    filled = {
        "path": [None] * len(ids),
        "label": [None] * len(ids),
        "group_id": ids,
        "end_s": [None] * len(ids),
        "dataset": [root.stem] * len(ids),
        "media_sha256": [None] * len(ids),
        **columns,
    }
    filled["start_s"] = [start or 0.0 for start in columns.get("start_s", [0.0] * len(ids))]
    filled["dataset"] = [name or root.stem for name in filled["dataset"]]
    filled["path"] = [_as_it_lies_there(folder, path) for path in filled["path"]]
    return tuple(Clip(*row) for row in zip(*(filled[name] for name in SCHEMA.names), strict=True))


def _as_it_lies_there(folder: Path, path: str | None) -> str | None:
    """The path of a clip; where no such file is there, without blanks around it or with other forms of its accents."""
    if not path or is_uri(path) or (folder / path).is_file():
        return path
    bare = path.strip()
    forms = (bare, normalize("NFC", bare), normalize("NFD", bare))
    return next((form for form in forms if (folder / form).is_file()), bare)


def _texts(path: Path, table: pa.Table, field: pa.Field) -> list[Any]:
    """A column as the clip table has it: labels and groups by one rule, whatever type they were stored as."""
    column = table[field.name]
    if field.name in ("label", "group_id"):
        return label_texts(path, field.name, column)
    if field.name == "clip_id":
        return id_texts(path, field.name, column)
    try:
        return list(column.cast(field.type).to_pylist())
    except pa.ArrowException as error:
        why = one_line(error)
        raise EmofuseError(f"{path}: column {field.name!r} should hold {field.type} values ({why}).") from None


ADAPTER = Adapter(
    name="table",
    summary="Your own list: CSV or Parquet with clip_id, path, split, label, group_id, start_s, end_s.",
    read=read,
    root="the .csv, .tsv or .parquet file",
    example="table my_clips.csv -o clips.parquet",
    options={
        "media_root": Option("", "Folder where relative paths start; by default that of the file."),
        "no_media": Option(False, "The clips have no media files: features are imported from arrays."),
        "max_gb": Option(MAX_GB, "Refuse a file that takes more GB of memory than this."),
        "duplicates": Option("keep", "Clips of train (or val) whose file recurs in val or test.", ("drop", "keep")),
        "annotations": Option("", "Continuous labels: CSV or Parquet with clip_id, time_s, a column per dimension."),
    },
)
