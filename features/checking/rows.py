"""What a clip table's rows tell: leaks between splits, labels that look alike, classes out of balance."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from features.clips import SPLITS, Clip, ClipTable

Level = Literal["error", "warning"]
_FEW_CLIPS = 5
_FEW_GROUPS = 3
_UNEVEN = 10.0
_SHORT = 4


class Finding(NamedTuple):
    """One thing that is wrong; an `error` is what a search refuses or what makes its scores worthless."""

    level: Level
    text: str


def row_findings(table: ClipTable) -> Iterator[Finding]:
    """What the rows alone tell; nothing is opened."""
    yield from _in_two_splits(table.clips, "group", lambda clip: clip.group_id)
    yield from _in_two_splits(table.clips, "media file", lambda clip: clip.media_sha256 or clip.path)
    yield from _one_letter_apart(table.classes)
    if table.classes:
        yield from _balance(table)
    for split in SPLITS:
        groups = {clip.group_id for clip in table.split(split)}
        if 0 < len(groups) < _FEW_GROUPS:
            what = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
            yield Finding("warning", f"{split} holds {what} (speakers, films): its scores and intervals mean little")
    for split in ("val", "test"):
        if not table.split(split):
            yield Finding("warning", f"no clip is in {split}")


def media_in_two_splits(table: ClipTable) -> Iterator[Finding]:
    """Word of files, by their bytes, that lie in more than one split."""
    yield from _in_two_splits(table.clips, "media file", lambda clip: clip.media_sha256)


def _in_two_splits(clips: Sequence[Clip], what: str, of: Callable[[Clip], str | None]) -> Iterator[Finding]:
    places: dict[str, dict[str, Clip]] = defaultdict(dict)
    for clip in clips:
        if (name := of(clip)) is not None:
            places[name].setdefault(clip.split, clip)
    shared = [found for _, found in sorted(places.items()) if len(found) > 1]
    if shared:
        where = " and ".join(f"{clip.clip_id!r} in {split}" for split, clip in shared[0].items())
        count = f"1 {what} lies" if len(shared) == 1 else f"{len(shared)} {what}s lie"
        yield Finding(
            "error", f"{count} in more than one split, such as {where}: a model has seen what it is scored on"
        )


def _one_letter_apart(labels: Sequence[str]) -> Iterator[Finding]:
    for one, other in combinations(labels, 2):
        if min(len(one), len(other)) >= _SHORT and _differ_by_one(one, other):
            yield Finding("warning", f"the labels {one!r} and {other!r} differ by one letter: are they one class?")


def _differ_by_one(one: str, other: str) -> bool:
    """Whether one letter put in, left out, changed, or swapped with its neighbour makes one word the other."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or short.isdigit() or long.isdigit():
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start + 1 : start + 2] + short[start : start + 1] + short[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped == long[start:]


def _balance(table: ClipTable) -> Iterator[Finding]:
    counts = class_counts(table)
    for split, of_class in counts.items():
        missing = [name for name in table.classes if not of_class[name]]
        if missing and any(of_class.values()):
            level: Level = "error" if split == "train" else "warning"
            yield Finding(level, f"{split} holds no clip of {', '.join(missing)}")
    few = [f"{name} ({counts['train'][name]})" for name in table.classes if 0 < counts["train"][name] < _FEW_CLIPS]
    if few:
        yield Finding("warning", f"train holds fewer than {_FEW_CLIPS} clips of {', '.join(few)}")
    sizes = sorted((counts["train"][name], name) for name in table.classes if counts["train"][name])
    if sizes and sizes[-1][0] > _UNEVEN * sizes[0][0]:
        (least, rare), (most, common) = sizes[0], sizes[-1]
        text = f"train holds {most} clips of {common} and {least} of {rare}: look at unweighted accuracy (UAR) too"
        yield Finding("warning", text)


def class_counts(table: ClipTable) -> dict[str, Counter[str]]:
    """How many labelled clips each class has, by split."""
    return {split: Counter(c.label for c in table.split(split) if c.label is not None) for split in SPLITS}
