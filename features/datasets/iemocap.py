"""IEMOCAP (Busso and others 2008): dialogues of two actors in five sessions, cut into turns; split by session."""

import re
from collections import Counter
from pathlib import Path

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.drawing import DRAWN, drawn
from features.datasets.folders import AUDIO, VIDEO, files_below, is_media, listed, warn
from features.errors import EmofuseError, WrongUse
from features.walk import walk

WORDS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}
_TURN = re.compile(
    r"\[(?P<start>[\d.]+)\s*-\s*(?P<end>[\d.]+)\]\s+(?P<turn>(?P<dialogue>Ses0(?P<session>[1-5])[FM]_\w+)_[FM]\w*\d+)"
    r"\s+(?P<emotion>[a-z]{3})\b"
)
_EXPECTED = "IEMOCAP's Session1, ... with dialog/EmoEvaluation/*.txt beside sentences/wav or dialog/avi"


def read(root: Path, *, media: str, classes: str, split: str, folds: int, fold: int, seed: int) -> ClipTable:
    """The turns of the classes; groups are the five sessions, whose two actors speak with each other.

    A clip is a file of sentences/wav, or the turn's seconds of the dialogue's video.
    """
    wanted = parse_classes(classes)
    turns = _turns(root)
    files = {path.stem: path for path in _media(root, media)}
    video = media == "video"
    clips, missing = [], []
    for turn, match in turns.items():
        label = wanted.get(match["emotion"])
        path = files.get(match["dialogue"] if video else turn)
        if label is None:
            continue
        if path is None:
            missing.append(turn)
            continue
        start_s, end_s = (float(match["start"]), float(match["end"])) if video else (0.0, None)
        inside, group = str(path.relative_to(root)), f"session_{match['session']}"
        clips.append(Clip(turn, inside, "train", label, group, start_s, end_s, "iemocap"))
    _tell(root, turns, wanted, clips, missing)
    return ClipTable(drawn(clips, split=split, folds=folds, fold=fold, seed=seed), root.resolve())


def parse_classes(text: str) -> dict[str, str]:
    """`ang,hap+exc` as the label of each code: `{"ang": "anger", "hap": "happiness", "exc": "happiness"}`."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        codes = part.split("+")
        for code in codes:
            if code not in WORDS or code in found:
                raise WrongUse(
                    f"--classes: expected codes such as ang,hap+exc,neu,sad, each once, of {', '.join(WORDS)}, but got "
                    f"{code!r} in {text!r}."
                )
            found[code] = WORDS[codes[0]]
    if len(set(found.values())) < 2:
        raise WrongUse(f"--classes: expected two classes or more, but got {text!r}.")
    return found


def _turns(root: Path) -> dict[str, re.Match[str]]:
    """The summary line of each turn, of the files directly in the folders EmoEvaluation."""
    found: dict[str, re.Match[str]] = {}
    for path in walk(root, _EXPECTED).files:
        # Folders below hold what single raters said.
        if path.suffix.lower() == ".txt" and path.parent.name.lower() == "emoevaluation":
            for match in _TURN.finditer(path.read_text(encoding="utf-8", errors="replace")):
                found[match["turn"]] = match
    if not found:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but no EmoEvaluation/*.txt with turns is there.")
    return found


def _media(root: Path, media: str) -> list[Path]:
    kind = VIDEO if media == "video" else AUDIO
    return [path for path in files_below(root, VIDEO | AUDIO, _EXPECTED) if is_media(path, kind)]


def _tell(
    root: Path, turns: dict[str, re.Match[str]], wanted: dict[str, str], clips: list[Clip], missing: list[str]
) -> None:
    if not clips:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but no turn of these classes has its file.")
    others = Counter(code for match in turns.values() if (code := match["emotion"]) not in wanted)
    if others:
        counts = ", ".join(f"{count} {code}" for code, count in others.most_common())
        warn(f"left out, of no class that --classes names: {counts}")
    if missing:
        warn(f"left out, no file: {listed(missing)}")
    if len(turns) != 10039:
        warn(f"IEMOCAP has 10039 turns, here are {len(turns)}")


ADAPTER = Adapter(
    name="iemocap",
    summary="IEMOCAP: turns of acted dialogues, the usual four classes or others, sound or video, split by session.",
    read=read,
    root="the folder with Session1 to Session5 (dialog/EmoEvaluation, and sentences/wav or dialog/avi)",
    example="iemocap IEMOCAP_full_release -o clips.parquet --folds 5 --fold 5",
    options={
        "media": Option("audio", "The turn's sound, or its seconds of the dialogue's video.", ("audio", "video")),
        "classes": Option("ang,hap+exc,neu,sad", "Codes to keep; those joined by + are one class, named by the first."),
        **DRAWN,
    },
    access="a signed licence of SAIL, University of Southern California (the IEMOCAP release form)",
)
