"""A user's own list of clips, as CSV or Parquet with the columns of clips.parquet."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.annotations import load_annotations
from features.clips import SCHEMA, Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.folders import warn
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name

REQUIRED = ("clip_id", "split", "path")
# What pandas calls an index that it writes beside the columns.
_PANDAS_INDEX = "__index_level_0__"


def read(root: Path, *, media_root: str, no_media: bool, annotations: str) -> ClipTable:
    """The rows of the file `root`; columns that it lacks are filled, unknown ones refused.

    Relative paths start at `media_root`, by default the file's folder. Without group_id each clip is its own group.
    `annotations` is a file of continuous labels.
    """
    table = _load(root)
    table = table.select([name for name in table.column_names if name != _PANDAS_INDEX])
    for name in table.column_names:
        if name not in SCHEMA.names:
            raise unknown_name(f"column in {root}", name, SCHEMA.names)
    required = [name for name in REQUIRED if name != "path" or not no_media]
    absent = [name for name in required if name not in table.column_names]
    if absent:
        hint = " (or give --no-media when the features come from elsewhere)" if absent == ["path"] else ""
        raise EmofuseError(
            f"{root}: expected the columns {', '.join(required)}, but there is no {', '.join(absent)}{hint}."
        )
    columns: dict[str, list[Any]] = {}
    for field in SCHEMA:
        if field.name in table.column_names:
            columns[field.name] = _cast(root, table, field)
    ids = columns["clip_id"]
    if "group_id" not in columns:
        warn(f"{root} has no column group_id (speaker, subject or film): each clip is its own group")
    filled = {
        "path": [None] * len(ids),
        "label": [None] * len(ids),
        "group_id": ids,
        "end_s": [None] * len(ids),
        "dataset": [root.stem] * len(ids),
        "media_sha256": [None] * len(ids),
    } | columns
    filled["start_s"] = [start or 0.0 for start in columns.get("start_s", [0.0] * len(ids))]
    filled["dataset"] = [name or root.stem for name in filled["dataset"]]
    if no_media:
        filled["path"] = [None] * len(ids)
    rows = zip(*(filled[name] for name in SCHEMA.names), strict=True)
    clips = tuple(Clip(*row) for row in rows)
    if not no_media and (bare := [clip.clip_id for clip in clips if not clip.path]):
        raise EmofuseError(
            f"{root}: {len(bare)} clips have no path, the first is {bare[0]!r}; give --no-media when the features come "
            "from elsewhere."
        )
    over_time = load_annotations(Path(annotations)) if annotations else None
    return ClipTable(clips, Path(media_root).resolve() if media_root else root.resolve().parent, over_time)


def _load(path: Path) -> pa.Table:
    if not path.is_file():
        raise EmofuseError(f"{path}: no such file; expected a CSV or Parquet file with one row per clip.")
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return pq.read_table(path, partitioning=None)
        if suffix in (".csv", ".tsv"):
            # Ids such as 007 are text; only an empty field is null, for `NA` may be a label.
            return pyarrow.csv.read_csv(
                path,
                parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if suffix == ".tsv" else ","),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict(zip(SCHEMA.names, SCHEMA.types, strict=True)),
                    null_values=[""], strings_can_be_null=True,
                ),
            )
    except (OSError, pa.ArrowException) as error:
        raise EmofuseError(f"{path}: can't be read as {suffix[1:].upper()} ({error}).") from None
    raise WrongUse(f"{path}: expected a file that ends in .csv, .tsv or .parquet.")


def _cast(path: Path, table: pa.Table, field: pa.Field) -> list[Any]:
    try:
        return table[field.name].cast(field.type).to_pylist()
    except pa.ArrowException as error:
        raise EmofuseError(f"{path}: column {field.name!r} should hold {field.type} values ({error}).") from None


ADAPTER = Adapter(
    name="table",
    summary="Your own list: CSV or Parquet with clip_id, path, split, label, group_id, start_s, end_s.",
    read=read,
    root="the .csv, .tsv or .parquet file",
    example="table my_clips.csv -o clips.parquet",
    options={
        "media_root": Option("", "Folder where relative paths start; by default that of the file."),
        "no_media": Option(False, "The clips have no media files: features are imported from arrays."),
        "annotations": Option("", "Continuous labels: CSV or Parquet with clip_id, time_s, a column per dimension."),
    },
)
