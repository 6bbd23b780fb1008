"""eNTERFACE'05 (Martin and others 2006): 42 subjects say five sentences in six emotions; split by subject."""

import re
from pathlib import Path

from features.clips import ClipTable
from features.datasets import Adapter, Value
from features.datasets.stems import OPTIONS, Stems, read_stems

_EMOTIONS = {"AN": "anger", "DI": "disgust", "FE": "fear", "HA": "happiness", "SA": "sadness", "SU": "surprise"}
_ENTERFACE = Stems(
    dataset="enterface",
    title="eNTERFACE'05",
    # Folders have blanks and their depth varies; some names have one underscore too many or lack one.
    pattern=r"s_?(?P<speaker>\d{1,2})_?(?P<emotion>an|di|fe|ha|sa|su)_?\d+",
    emotions=_EMOTIONS,
    expected="eNTERFACE'05's files such as subject 1/anger/sentence 1/s1_an_1.avi",
    count=1166,
    clip_id=lambda speaker, stem: re.sub(r"s_?0*", "s", stem.lower(), count=1),
)


def read(root: Path, **options: Value) -> ClipTable:
    """The clips; subject and emotion are what the file's name says, whatever folder it lies in."""
    return read_stems(_ENTERFACE, root, **options)  # type: ignore[arg-type]


ADAPTER = Adapter(
    name="enterface",
    summary="eNTERFACE'05: 42 subjects, six emotions without neutral, video with sound, split by subject.",
    read=read,
    root="the folder with `subject 1/anger/sentence 1/s1_an_1.avi` and the like, at any depth",
    example="enterface enterface05 -o clips.parquet --folds 6 --fold 1",
    options=OPTIONS,
    access="free download at eNTERFACE's site, the 2005 workshop's emotion database (enterface.net)",
)
