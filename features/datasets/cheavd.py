"""CHEAVD, the corpus of the MEC challenges of 2016 and 2017: acted Chinese speech from films, series and shows.

Its layout is not published. Read is what programs that use it expect: folders train, val and test with a file of labels
each, or with a folder per class.
"""

import re
from collections import Counter
from pathlib import Path

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.folders import AUDIO, VIDEO, files_below, warn
from features.errors import EmofuseError, WrongUse
from features.spelling import key
from features.walk import walk

SPLITS = ("train", "val", "test")
# Clips of train, val and test in 2016 and 2017.
OFFICIAL_COUNTS = ((1981, 243, 628), (4917, 707, 1406))
_EXPECTED = "CHEAVD's folders train, val and test with clips, and either train_label.txt or a folder per class"


def read(root: Path, *, train: str, val: str, test: str, labels: str, speaker: str) -> ClipTable:
    """Clips with lower-case labels, of the file of labels or else of their folder.

    `clip_id` is `train/` and the stem. The group is what `speaker` finds in the stem, else the clip itself.
    """
    folders = dict(zip((name.lower() for name in (train, val, test)), SPLITS, strict=True))
    if len(folders) != len(SPLITS):
        raise WrongUse(f"The folders of train, val and test must differ, but got {train!r}, {val!r} and {test!r}.")
    pattern = _pattern(speaker)
    given = _labels(root, folders, labels)
    listed = {split for split, _ in given}
    clips: dict[str, Clip] = {}
    unplaced: list[str] = []
    for path in files_below(root, VIDEO | AUDIO, _EXPECTED):
        inside = path.relative_to(root)
        at = [i for i, name in enumerate(inside.parts[:-1]) if name.lower() in folders]
        split = folders[inside.parts[at[-1]].lower()] if at else ""
        below = inside.parts[at[-1] + 1 : -1] if at else ()
        label = below[0].lower() if below and split not in listed else None
        label = given.get((split, key(path.stem)), label)
        if not split or (label is None and split != "test"):
            unplaced.append(str(inside))
            continue
        clip_id = f"{split}/{path.stem}"
        if clip_id in clips:
            raise EmofuseError(f"CHEAVD clip {clip_id} is there twice: {clips[clip_id].path} and {inside}.")
        who = pattern.search(path.stem) if pattern else None
        group = who[who.lastindex or 0] if who else clip_id
        clips[clip_id] = Clip(clip_id, str(inside), split, label, group, dataset="cheavd")
    if not clips:
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but found {unplaced[0]!r} and the like.")
    if unplaced:
        warn(f"{len(unplaced)} clips are left out, they have no split or no label: {unplaced[0]}, ...")
    _compare(list(clips.values()))
    return ClipTable(tuple(clips.values()), root.resolve())


def _pattern(speaker: str) -> re.Pattern[str] | None:
    try:
        return re.compile(speaker) if speaker else None
    except re.error as error:
        raise WrongUse(f"--speaker expects a regular expression, but {speaker!r} is none ({error}).") from None


def _labels(root: Path, folders: dict[str, str], name: str) -> dict[tuple[str, str], str]:
    """The label of each split and key of a stem that the files of labels tell: a name and a word per line."""
    found: dict[tuple[str, str], str] = {}
    files = walk(root, _EXPECTED).files
    for folder, split in folders.items():
        wanted = name.format(split=folder).lower()
        for path in (path for path in files if path.name.lower() == wanted):
            for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
                words = re.split(r"[\s,;]+", line.strip())
                if words == [""]:
                    continue
                if len(words) != 2:
                    raise EmofuseError(f"{path}: line {number}: expected a clip's name and label, but got {line!r}.")
                stem = re.sub(r"\.\w{2,4}$", "", words[0].replace("\\", "/").rpartition("/")[2])
                found[split, key(stem)] = words[1].lower()
    return found


def _compare(clips: list[Clip]) -> None:
    """Warn where the corpus is not as published."""
    sizes = Counter(clip.split for clip in clips)
    counts = tuple(sizes[split] for split in SPLITS)
    if not any(counts[:2] == known[:2] and counts[2] in (0, known[2]) for known in OFFICIAL_COUNTS):
        warn("{} train, {} val and {} test clips are not the numbers of 2016 or 2017".format(*counts))


ADAPTER = Adapter(
    name="cheavd",
    summary="CHEAVD clips of the MEC challenges: train, val and test with files of labels, or a folder per class.",
    read=read,
    root="the folder with train, val and test",
    example="cheavd CHEAVD -o clips.parquet",
    options={
        "train": Option("train", "The folder of the training clips; upper and lower case are the same."),
        "val": Option("val", "The folder of the validation clips."),
        "test": Option("test", "The folder of the test clips."),
        "labels": Option("{split}_label.txt", "The files of labels; {split} stands for the folder's name."),
        "speaker": Option("_([FM][0-9]+)_", "A regular expression for the speaker in a clip's name; empty: none."),
    },
)
