"""SFEW 2.0 (Dhall and others): stills of films, the organisers' aligned faces; official splits, groups are films."""

import re
from collections import Counter
from pathlib import Path

from features.clips import Clip, ClipTable, hash_media
from features.datasets import Adapter, Option
from features.datasets.afew import CLASSES
from features.datasets.duplicates import DUPLICATES, without_duplicates
from features.datasets.folders import IMAGES, files_below, listed, split_of, warn
from features.errors import EmofuseError, WrongUse

_CLASSES = {name.lower(): name for name in CLASSES}
_NAME = re.compile(r"(.+)_\d+_\d+")  # the film's name has underscores of its own
OFFICIAL_COUNTS = {"train": 958, "val": 436, "test": 372}
_NAMED = re.compile(r"\w+_\d{9}_\d{8}")
_EXPECTED = "SFEW's Train/Train_Aligned_Faces/Angry/*.png, Val/..., Test/Test_Aligned_Faces/*.png"


def read(root: Path, *, duplicates: str, bad: str) -> ClipTable:
    """One clip per still; of a still that is there whole and aligned, the aligned face is taken. Test has no labels.

    `clip_id` is the split and the stem, `train/Airheads_000519240_00000005`. Aligned faces that `bad` names are left
    out.
    """
    wrong = _named(Path(bad)) if bad else frozenset()
    chosen: dict[str, Path] = {}
    unplaced, whole = [], 0
    places = [path.relative_to(root) for path in files_below(root, IMAGES, _EXPECTED)]
    for inside in sorted(places, key=lambda inside: not _aligned(inside)):
        splits = [split for part in inside.parts[:-1] if (split := split_of(part))]
        if not splits or not (_label(inside) or splits[-1] == "test"):
            unplaced.append(str(inside))
            continue
        clip_id = f"{splits[-1]}/{inside.stem}"
        other = chosen.setdefault(clip_id, inside)
        if other != inside and _aligned(inside) == _aligned(other):
            raise EmofuseError(f"SFEW picture {clip_id} is there twice: {other} and {inside}; remove one.")
        whole += other != inside
    if not chosen:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but found {unplaced[0]!r} and the like.")
    if unplaced:
        warn(f"left out, in no class folder of a split: {listed(unplaced)}")
    cropped = [clip_id for clip_id, inside in chosen.items() if _aligned(inside) and inside.stem in wrong]
    if cropped:
        warn(f"left out, crops that {bad} calls bad: {listed(sorted(cropped))}")
    elif any(_aligned(inside) for inside in chosen.values()):
        warn("some 130 of SFEW's aligned faces show none, or a wrong crop; a list of them can be given by --bad")
    chosen = {clip_id: inside for clip_id, inside in chosen.items() if clip_id not in cropped}
    if whole:
        warn(f"{whole} whole stills are passed over: their aligned faces are there")
    clips = [_clip(clip_id, inside) for clip_id, inside in sorted(chosen.items())]
    sizes = Counter(clip.split for clip in clips)
    if odd := [f"{sizes[s]} {s}" for s, count in OFFICIAL_COUNTS.items() if sizes[s] not in (count, 0)]:
        here = ", ".join(odd)
        warn(f"SFEW 2.0 has 958 train, 436 val and 372 test stills (fewer where no face was found); here: {here}")
    if duplicates == "drop":
        hashed = hash_media(ClipTable(tuple(clips), root.resolve())).clips
        clips = [hashed[i] for i in without_duplicates(hashed)]
    return ClipTable(tuple(clips), root.resolve())


def _clip(clip_id: str, inside: Path) -> Clip:
    film = _NAME.fullmatch(inside.stem)
    split = clip_id.partition("/")[0]
    return Clip(clip_id, str(inside), split, _label(inside), film[1] if film else clip_id, dataset="sfew")


def _named(path: Path) -> frozenset[str]:
    """The stills that a text names, whatever else stands in it."""
    try:
        found = frozenset(_NAMED.findall(path.read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise WrongUse(f"--bad {path}: expected a text, but it can't be read ({error.strerror or error}).") from None
    if not found:
        raise WrongUse(f"--bad {path}: expected names such as Airheads_000519240_00000005, but it has none.")
    return found


def _aligned(inside: Path) -> bool:
    return any("aligned" in part.lower() for part in inside.parts[:-1])


def _label(inside: Path) -> str | None:
    return next((_CLASSES[part.lower()] for part in reversed(inside.parts[:-1]) if part.lower() in _CLASSES), None)


ADAPTER = Adapter(
    name="sfew",
    summary="SFEW 2.0 stills of films: aligned faces or whole stills, official splits, grouped by film; for backbones.",
    read=read,
    root="the folder with Train, Val and Test, each with its *_Aligned_Faces",
    example="sfew SFEW_2 -o stills.parquet",
    options={
        **DUPLICATES,
        "bad": Option("", "A text that names bad crops, such as SFEW20Classifier.java of the program FEDC, with 130."),
    },
    access="a licence signed for EmotiW's organisers, as for AFEW (emotiw2014@gmail.com)",
)
