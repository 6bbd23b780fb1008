"""SAVEE (Haq and Jackson 2010): four men say 120 sentences each in seven emotions; split by speaker."""

from pathlib import Path

from features.clips import ClipTable
from features.datasets import Adapter, Value
from features.datasets.stems import OPTIONS, Stems, read_stems

_SPEAKERS = "DC|JE|JK|KL"
_EMOTIONS = {
    "A": "anger",
    "D": "disgust",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
_SAVEE = Stems(
    dataset="savee",
    title="SAVEE",
    pattern=rf"(?:(?P<speaker>{_SPEAKERS})_)?(?P<emotion>sa|su|[adfhn])\d{{1,2}}",
    emotions=_EMOTIONS,
    expected="SAVEE's files AudioVisualClip/DC/a1.avi, AudioData/DC/a01.wav or DC_a01.wav",
    count=480,
    speakers=_SPEAKERS,
    clip_id=lambda speaker, stem: stem if "_" in stem else f"{speaker}_{stem}",
)


def read(root: Path, **options: Value) -> ClipTable:
    """The clips of the four speakers."""
    return read_stems(_SAVEE, root, **options)  # type: ignore[arg-type]


ADAPTER = Adapter(
    name="savee",
    summary="SAVEE: four British speakers, seven emotions, video or sound, split by speaker.",
    read=read,
    root="the folder with AudioVisualClip or AudioData and a folder per speaker (DC, JE, JK, KL), or files DC_a01.wav",
    example="savee SAVEE -o clips.parquet --folds 4 --fold 1",
    options=OPTIONS,
    access="registration with the University of Surrey (Philip Jackson's SAVEE page)",
)
