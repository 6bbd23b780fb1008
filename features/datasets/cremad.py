"""CREMA-D (Cao and others 2014): 91 actors say twelve sentences in six emotions; split by actor."""

from pathlib import Path

from features.clips import ClipTable
from features.datasets import Adapter, Value
from features.datasets.stems import OPTIONS, Stems, read_stems

_EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
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


def read(root: Path, **options: Value) -> ClipTable:
    """The clips with the emotion that was acted, without the four that the authors name as bad."""
    return read_stems(_CREMAD, root, **options)  # type: ignore[arg-type]


ADAPTER = Adapter(
    name="cremad",
    summary="CREMA-D acted sentences: video or sound, the acted emotion, split by actor; bad clips are left out.",
    read=read,
    root="the folder with VideoFlash (.flv), AudioWAV or AudioMP3, as the repository has them",
    example="cremad CREMA-D -o clips.parquet --split 70/15/15",
    options=OPTIONS,
    access="CheyneyComputerScience/CREMA-D on GitHub (Git LFS, Open Database License)",
)
