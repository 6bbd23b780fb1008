"""Emo-DB (Burkhardt and others 2005): ten German speakers, ten sentences, seven emotions; sound, split by speaker."""

from pathlib import Path

from features.clips import ClipTable
from features.datasets import Adapter, Value
from features.datasets.drawing import DRAWN
from features.datasets.stems import Stems, read_stems

# The first letters of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer.
_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_EMODB = Stems(
    dataset="emodb",
    title="Emo-DB",
    pattern=r"(?P<speaker>\d\d)[ab]\d\d(?P<emotion>[WLEAFTN])[a-z]?",
    emotions=_EMOTIONS,
    expected="Emo-DB's files such as wav/03a01Fa.wav",
    count=535,
)


def read(root: Path, **options: Value) -> ClipTable:
    """The 535 sentences of the wav folder."""
    return read_stems(_EMODB, root, media="audio", **options)  # type: ignore[arg-type]


ADAPTER = Adapter(
    name="emodb",
    summary="Emo-DB, the Berlin database: ten German speakers, seven emotions with boredom, sound, split by speaker.",
    read=read,
    root="the folder with wav/03a01Fa.wav and the like, at any depth",
    example="emodb EMODB -o clips.parquet --folds 10 --fold 1",
    options=DRAWN,
    access="free download at the Technical University of Berlin (the Berlin Database of Emotional Speech)",
)
