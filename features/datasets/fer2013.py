"""FER2013 (Goodfellow et al. 2013) as its official CSV: 48x48 grey faces, the pictures themselves in its rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from features.clips import Clip, ClipTable
from features.datasets import Adapter
from features.datasets.folders import warn
from features.datasets.pictures import OPTIONS, picture_table
from features.disk.sizes import refuse_size
from features.errors import EmofuseError
from features.spelling import key, trimmed
from features.tables.user_tables import one_line

# The class of each code; the names are those of AFEW.
CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
OFFICIAL_COUNTS = {"train": 28709, "val": 3589, "test": 3589}
SIDE = 48
_PIECE = 1 << 24  # bytes
_COLUMNS = {"emotion": pa.int64(), "pixels": pa.string(), "Usage": pa.string()}


def read(root: Path, **options: Any) -> ClipTable:
    """One clip for each row of the file `root`; a clip's id is its Usage and its row, counted from 0."""
    data = _load(root)
    clips, faces = [], np.empty((len(data), SIDE, SIDE), np.uint8)
    known = {key(usage): usage for usage in SPLITS}
    rows = zip(*(data[name].to_pylist() for name in _COLUMNS), strict=True)
    for row, (emotion, pixels, usage) in enumerate(rows):
        usage = known.get(key(usage or ""), usage or "")
        if usage not in SPLITS or emotion is None or not 0 <= emotion < len(CLASSES):
            raise EmofuseError(
                f"{root}: row {row}: expected an emotion from 0 to 6 and a Usage of {', '.join(SPLITS)}, but got "
                f"{emotion} and {usage!r}."
            )
        faces[row] = _face(root, row, pixels or "")
        clips.append(Clip(f"{usage}_{row:05d}", None, SPLITS[usage], CLASSES[emotion], ""))
    counts = {split: sum(clip.split == split for clip in clips) for split in OFFICIAL_COUNTS}
    if counts != OFFICIAL_COUNTS:
        warn(
            f"{counts['train']} Training, {counts['val']} PublicTest and {counts['test']} PrivateTest faces; "
            "published were 28709, 3589 and 3589"
        )
    return picture_table(clips, faces, dataset="fer2013", **options)


def _load(path: Path) -> pa.Table:
    expected = f"FER2013's CSV with the columns {', '.join(_COLUMNS)}"
    if not path.is_file():
        raise EmofuseError(f"{path}: no such file; expected {expected} (.csv or .csv.gz).")
    try:
        data = _read(path)
        # icml_face_data.csv has blanks before its column names.
        data = data.rename_columns([trimmed(name) for name in data.column_names])
        absent = [name for name in _COLUMNS if name not in data.column_names]
        if absent:
            raise EmofuseError(f"{path}: expected {expected}, but there is no {', '.join(absent)}.")
        return data.select(list(_COLUMNS)).cast(pa.schema(list(_COLUMNS.items())))
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise EmofuseError(f"{path}: expected {expected}, but it can't be read ({one_line(error)}).") from None


def _read(path: Path) -> pa.Table:
    if path.suffix.lower() != ".gz":
        refuse_size(path, path.stat().st_size)
        return pyarrow.csv.read_csv(path)
    unpacked = bytearray()
    with pa.input_stream(path, compression="gzip") as stream:
        while piece := stream.read(_PIECE):
            unpacked += piece
            refuse_size(path, len(unpacked))
    return pyarrow.csv.read_csv(pa.BufferReader(unpacked))


def _face(path: Path, row: int, pixels: str) -> np.ndarray:
    try:
        values = np.array(pixels.split(), np.int64)
    except (ValueError, OverflowError):
        values = np.empty(0, np.int64)
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise EmofuseError(
            f"{path}: row {row}: expected {SIDE * SIDE} pixels from 0 to 255, blanks between them, but got "
            f"{len(pixels.split())} values: {pixels[:20]!r}..."
        )
    return values.reshape(SIDE, SIDE)


ADAPTER = Adapter(
    name="fer2013",
    summary="FER2013's CSV of 48x48 faces; they are brought into a feature store, for a backbone CNN.",
    read=read,
    root="the file fer2013.csv (or icml_face_data.csv), perhaps compressed as .csv.gz",
    example="fer2013 fer2013.csv -o fer.parquet --store store",
    options=OPTIONS,
)
