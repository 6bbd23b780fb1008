"""The names in a clip table: one spelling for each label, group and split, and word of groups in several splits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from features.clips import SPLITS, Clip, ClipTable
from features.progress import say
from features.spelling import one_spelling, tell_words, trimmed


def with_one_spelling(table: ClipTable, where: object) -> ClipTable:
    """The table with each label, group and split in one spelling; `where` begins the lines that tell what is changed.

    A group of several spellings would otherwise stand on both sides of a partition.
    """
    labels = _one([clip.label for clip in table.clips], "label", where)
    groups = _one([clip.group_id for clip in table.clips], "group_id", where)
    splits = _one([clip.split for clip in table.clips], "split", where, SPLITS)
    rows = zip(table.clips, labels, groups, splits, strict=True)
    # Absent groups and splits stay so: check_clips tells of them.
    clips = tuple(
        replace(clip, label=label, group_id=group or clip.group_id, split=split or clip.split)
        for clip, label, group, split in rows
    )
    return replace(table, clips=clips)


def _one(texts: Sequence[str | None], what: str, where: object, known: Sequence[str] = ()) -> list[str | None]:
    bare = [None if text is None else trimmed(text) for text in texts]
    chosen = one_spelling(bare, what, where, known)
    return [None if text is None else chosen[text] for text in bare]


def tell_names(table: ClipTable, where: object) -> None:
    """Tell of labels and groups that may stand for a missing value, and of groups that lie in more than one split."""
    tell_words((clip.label for clip in table.clips), "label", where)
    tell_words((clip.group_id for clip in table.clips), "group_id", where)
    places: dict[str, dict[str, Clip]] = defaultdict(dict)
    for clip in filter(lambda clip: clip.group_id, table.clips):
        places[clip.group_id].setdefault(clip.split, clip)
    shared = {group: found for group, found in places.items() if len(found) > 1}
    if shared:
        group, found = min(shared.items())
        clips = " and ".join(f"clip {clip.clip_id!r} in {split}" for split, clip in found.items())
        count = f"{len(shared)} groups lie" if len(shared) > 1 else "1 group lies"
        # Such a group is named after a picture's digest, which tells nobody anything.
        named = "" if group.startswith("image-") else f"{group!r} with "
        say(f"warning: {where}: {count} in more than one split, {named}{clips}; a search refuses such partitions")
