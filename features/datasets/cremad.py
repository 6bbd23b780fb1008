"""CREMA-D (Cao and others 2014): 91 actors say twelve sentences in six emotions; split by actor."""

import csv
from collections.abc import Mapping
from pathlib import Path

from features.clips import ClipTable
from features.datasets import Adapter, Option, Value
from features.datasets.stems import OPTIONS, Stems, read_stems
from features.errors import EmofuseError
from features.walk import walk

_EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
# What those who watched, heard or both named most: a column of the authors' table of votes.
_VOTES = {"voice": "VoiceVote", "face": "FaceVote", "both": "MultiModalVote"}
_LETTERS = {code[0]: name for code, name in _EMOTIONS.items()}
_TABLE = "summaryTable.csv"
_BROKEN = ("its video and mp3 are broken", (".flv", ".mp3"))
_CREMAD = Stems(
    dataset="cremad",
    title="CREMA-D",
    pattern=r"(?P<speaker>1\d{3})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(LO|MD|HI|XX?)",
    emotions=_EMOTIONS,
    expected="CREMA-D's folders VideoFlash, AudioWAV or AudioMP3 with files such as 1001_DFA_ANG_XX.flv",
    count=7442,
    bad={
        "1076_MTI_SAD_XX": ("in every format", ()),
        "1076_MTI_NEU_XX": _BROKEN,
        "1064_TIE_SAD_XX": _BROKEN,
        "1064_IEO_DIS_MD": _BROKEN,
    },
)


def read(root: Path, *, label: str, **options: Value) -> ClipTable:
    """The clips with the emotion that was acted, or voted for, without the four that the authors name as bad."""
    labels = None if label == "acted" else _voted(root, _VOTES[label])
    return read_stems(_CREMAD, root, labels=labels, **options)  # type: ignore[arg-type]


def _voted(root: Path, column: str) -> Mapping[str, str]:
    """The emotion that most named, by clip; ties (`A:D`) are none."""
    path = next((path for path in walk(root, _CREMAD.expected).files if path.name == _TABLE), None)
    if path is None:
        raise EmofuseError(f"{root}: expected CREMA-D's processedResults/{_TABLE} for voted labels, but there is none.")
    # The authors' table has row numbers without a name before its columns.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        if absent := [name for name in ("FileName", column) if name not in (rows.fieldnames or ())]:
            raise EmofuseError(f"{path}: expected CREMA-D's column {absent[0]!r}, but got {rows.fieldnames}.")
        return {row["FileName"]: _LETTERS[row[column]] for row in rows if row[column] in _LETTERS}


ADAPTER = Adapter(
    name="cremad",
    summary="CREMA-D acted sentences: video or sound, the emotion acted or voted, split by actor; bad clips left out.",
    read=read,
    root="the folder with VideoFlash (.flv), AudioWAV or AudioMP3, as the repository has them",
    example="cremad CREMA-D -o clips.parquet --split 70/15/15",
    options={
        "label": Option("acted", "The acted emotion, or what most named of voice, face or both.", ("acted", *_VOTES)),
        **OPTIONS,
    },
    access="CheyneyComputerScience/CREMA-D on GitHub (Git LFS, Open Database License)",
)
