"""RAVDESS (Livingstone and Russo 2018): official file names, any of its archives, split by actor."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.folders import AUDIO, VIDEO, files_below, warn
from features.errors import EmofuseError, WrongUse

MODALITIES = {"full": "01", "video": "02", "audio": "03"}
CHANNELS = {"speech": "01", "song": "02"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
# Clips of each actor in one modality, by channel.
OFFICIAL_COUNT = {"01": 60, "02": 44}
_EXPECTED = "RAVDESS files such as Actor_01/03-01-06-01-02-01-01.wav"


def read(root: Path, *, modality: str, channel: str, train: str, val: str, test: str) -> ClipTable:
    """The clips of one modality; `train`, `val` and `test` are ranges of actors such as `1-8,10`.

    With no range given, two thirds of the actors that are there train, a sixth is val and a sixth test.
    """
    files = _by_fields(files_below(root, AUDIO | VIDEO, _EXPECTED))
    if channel != "all":
        files = {fields: path for fields, path in files.items() if fields[1] == CHANNELS[channel]}
    present = {fields[0] for fields in files}
    wanted = [MODALITIES[modality]] if modality != "auto" else ["01", "03", "02"]
    chosen = next((code for code in wanted if code in present), None)
    if chosen is None:
        there = sorted(name for name, code in MODALITIES.items() if code in present)
        raise EmofuseError(
            f"{root}: no {channel} clips of modality {modality!r}; those that are there: {', '.join(there) or 'none'}."
        )
    files = {fields: path for fields, path in files.items() if fields[0] == chosen}
    _check_counts(files)
    splits = _splits({int(fields[6]) for fields in files}, {"train": train, "val": val, "test": test})
    return ClipTable(
        tuple(
            Clip(
                clip_id="-".join(fields),
                path=str(path.relative_to(root)),
                split=splits[int(fields[6])],
                label=EMOTIONS[fields[2]],
                group_id=f"actor_{fields[6]}",
                dataset="ravdess",
            )
            for fields, path in sorted(files.items(), key=lambda item: (item[0][6], item[0]))
            if int(fields[6]) in splits
        ),
        root.resolve(),
    )


def _by_fields(paths: Iterable[Path]) -> dict[tuple[str, ...], Path]:
    found: dict[tuple[str, ...], Path] = {}
    others = []
    for path in paths:
        fields = tuple(path.stem.split("-"))
        if len(fields) != 7 or not all(len(f) == 2 and f.isdigit() for f in fields) or fields[2] not in EMOTIONS:
            others.append(path)
        elif fields in found:
            raise EmofuseError(f"RAVDESS clip {path.stem} is there twice: {found[fields]} and {path}; remove one.")
        else:
            found[fields] = path
    if not found:
        raise EmofuseError(f"Expected {_EXPECTED}, but {others[0]} and all other media files are named otherwise.")
    if others:
        warn(f"{len(others)} files are left out, their names are not RAVDESS's: {others[0].name}, ...")
    return found


def _check_counts(files: Iterable[tuple[str, ...]]) -> None:
    counts = Counter((fields[1], fields[6]) for fields in files)
    odd = [f"actor {actor}: {n}" for (channel, actor), n in sorted(counts.items()) if n != OFFICIAL_COUNT.get(channel)]
    if odd:
        more = ", ..." if len(odd) > 3 else ""
        warn(f"RAVDESS has 60 spoken and 44 sung clips of each actor; other numbers here: {', '.join(odd[:3])}{more}")


def _splits(actors: set[int], ranges: dict[str, str]) -> dict[int, str]:
    """The split of each actor that is in one."""
    if not any(ranges.values()):
        ordered = sorted(actors)
        held = len(ordered) // 6
        names = ["train"] * (len(ordered) - 2 * held) + ["val"] * held + ["test"] * held
        return dict(zip(ordered, names, strict=True))
    splits: dict[int, str] = {}
    for split, text in ranges.items():
        for actor in parse_range(text):
            if actor in splits:
                raise WrongUse(f"Actor {actor} is in both {splits[actor]} and {split}; an actor belongs to one split.")
            splits[actor] = split
    if absent := sorted(splits.keys() - actors):
        warn(f"no clips of actors {', '.join(map(str, absent))}")
    return splits


def parse_range(text: str) -> list[int]:
    """`1-3,7` as [1, 2, 3, 7]; empty text is no number."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        try:
            numbers += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise WrongUse(f"Expected a range of actors such as 1-12 or 1-8,10, but got {text!r}.") from None
    return numbers


ADAPTER = Adapter(
    name="ravdess",
    summary="RAVDESS acted speech and song: audio, video or both, split by actor.",
    read=read,
    root="the folder with Actor_01, ... or Video_Speech_Actor_01, ..., at any depth",
    example="ravdess RAVDESS -o clips.parquet --modality audio --train 1-12 --test 13-16",
    options={
        "modality": Option(
            "auto",
            "Which files to take; auto: full where there are any, else audio, else video.",
            ("auto", "full", "video", "audio"),
        ),
        "channel": Option("speech", "Spoken or sung clips.", ("speech", "song", "all")),
        "train": Option("", "Actors of the split train, e.g. 1-12 or 1-8,10."),
        "val": Option("", "Actors of the split val."),
        "test": Option("", "Actors of the split test. With no range at all: 2/3, 1/6 and 1/6 of the actors."),
    },
)
