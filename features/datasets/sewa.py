"""SEWA as the AVEC challenges gave it out: label files, recordings named `Train_01` or `Devel_DE_01`, media if any."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from features.annotations import Annotations
from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.avec_labels import read_labels
from features.datasets.folders import AUDIO, VIDEO, is_media, warn
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name

SPLITS = {"Train": "train", "Devel": "val", "Test": "test"}
# German recordings, which all of the challenges have.
OFFICIAL_COUNT = {"Train": 34, "Devel": 14, "Test": 16}
_NAME = re.compile(r"(Train|Devel|Test)(?:_([A-Z]{2}))?_\d+")
_MEDIA = {"video": VIDEO, "audio": AUDIO}


def read(root: Path, *, media: str, dimensions: str, tune: int, culture: str) -> ClipTable:
    """A clip for each recording, labelled over time by `labels/*.csv`; Train, Devel and Test are train, val and test.

    Of the labels those of `dimensions` are taken, names with commas or spaces between them. With `tune` the last
    recordings of Train of each culture, or of the one that is named, are val, Devel is test, and Test, whose labels
    were never given out, is left out (Huang 2018, section 4.1). Recordings without labels or media are known by their
    feature files.
    """
    if culture and not tune:
        raise WrongUse(f"culture={culture!r} says whose recordings tune takes: say how many, as tune=8.")
    if not (root / "labels").is_dir():
        raise EmofuseError(f"{root}: expected an unpacked challenge with a folder 'labels', but there is none.")
    gold = read_labels(root / "labels")
    labelled = {name: own for name, own in gold.items() if _NAME.fullmatch(name)}
    if len(labelled) < len(gold):
        odd = min(gold.keys() - labelled.keys())
        raise EmofuseError(f"{root}: expected recordings named as Train_01 or Devel_DE_01, but labels are of {odd!r}.")
    files = _media(root, media)
    names = sorted({*labelled, *files, *_with_features(root)})
    _warn_of_counts(names)
    clips = [
        Clip(
            name,
            str(files[name].relative_to(root)) if name in files else None,
            SPLITS[name.partition("_")[0]],
            None,
            name,
            dataset="sewa",
        )
        for name in names
    ]
    wanted, columns = _columns(root, dimensions, next(iter(labelled.values())).dimensions)
    series = {name: (own.time_s, own.values[:, columns]) for name, own in labelled.items()}
    annotations = Annotations(wanted, series)
    if tune:
        clips = _tuned(root, clips, tune, culture.upper())
        annotations = annotations.of([clip.clip_id for clip in clips]) or annotations
    return ClipTable(tuple(clips), root, annotations)


def _media(root: Path, wanted: str) -> dict[str, Path]:
    """The media file of each recording: of the folder `video`, else of `audio`."""
    for kind in _MEDIA if wanted == "auto" else [] if wanted == "none" else [wanted]:
        folder = root / kind
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        files: dict[str, Path] = {}
        for path in (p for p in found if _NAME.fullmatch(p.stem) and is_media(p, _MEDIA[kind])):
            if path.stem in files:
                raise EmofuseError(f"SEWA recording {path.stem} is there twice: {files[path.stem]} and {path}.")
            files[path.stem] = path
        if files:
            return files
    if wanted in _MEDIA:
        raise EmofuseError(f"{root}: expected {wanted} files as {wanted}/Train_01.*, but found none.")
    if wanted == "auto":
        warn(f"{root} has neither video nor audio: import features for its recordings")
    return {}


def _with_features(root: Path) -> set[str]:
    return {path.stem for path in root.glob("*_features*/*.csv") if _NAME.fullmatch(path.stem)}


def _warn_of_counts(names: list[str]) -> None:
    german = [match[1] for name in names if (match := _NAME.fullmatch(name)) and match[2] in (None, "DE")]
    counts = Counter(german)
    for part, expected in OFFICIAL_COUNT.items():
        if counts[part] != expected:
            warn(f"SEWA has {expected} German recordings in {part}, but here are {counts[part]}")


def _columns(root: Path, dimensions: str, known: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """The names that `dimensions` lists, and which columns of the labels they are."""
    wanted = tuple(dict.fromkeys(dimensions.replace(",", " ").split()))
    if not wanted:
        raise WrongUse(f"{root}: expected one or more dimensions, as arousal,valence, but got {dimensions!r}.")
    for name in wanted:
        if name not in known:
            raise unknown_name(f"dimension of {root / 'labels'}", name, known)
    return wanted, [known.index(name) for name in wanted]


def _tuned(root: Path, clips: list[Clip], tune: int, culture: str) -> list[Clip]:
    """Of each culture (or of the one named) the last `tune` of Train are val; Devel is test."""
    by_culture: dict[str, list[str]] = {}
    for clip in clips:
        if clip.split == "train":
            by_culture.setdefault(_culture(clip.clip_id), []).append(clip.clip_id)
    if culture and culture not in by_culture:
        raise unknown_name("culture of the Train recordings", culture, by_culture)
    held_out: set[str] = set()
    for name, own in by_culture.items() if not culture else [(culture, by_culture[culture])]:
        if not 0 < tune < len(own):
            raise WrongUse(
                f"{root}: expected tune from 1 to {len(own) - 1} of the {name} recordings of Train, got {tune}."
            )
        held_out.update(own[-tune:])
    splits = {"train": "train", "val": "test"}
    return [
        replace(clip, split="val" if clip.clip_id in held_out else splits[clip.split])
        for clip in clips
        if clip.split in splits
    ]


def _culture(name: str) -> str:
    """`HU` of `Train_HU_01`; names of 2017 have none and are German."""
    match = _NAME.fullmatch(name)
    return (match and match[2]) or "DE"


ADAPTER = Adapter(
    name="sewa",
    summary="SEWA as AVEC 2017 to 2019 gave it out: recordings labelled with arousal, valence and liking over time.",
    read=read,
    root="the challenge's folder, which holds labels/ and, where given out, video/ and audio/",
    example="sewa AVEC_17_Emotion_Sub-Challenge -o clips.parquet --tune 8",
    options={
        "media": Option("auto", "Which files the clips are.", ("auto", "video", "audio", "none")),
        "dimensions": Option(
            "arousal,valence", "Which labels are taken: arousal, valence, liking, with commas between."
        ),
        "tune": Option(0, "So many last recordings of Train, of each culture, are val; Devel is test (Huang 2018: 8)."),
        "culture": Option("", "With tune: the one culture whose recordings are taken, as DE or HU (default: each)."),
    },
)
