"""The same pictures in two splits: FER2013 and what was made from it hold many."""

from collections.abc import Sequence

from features.clips import Clip
from features.datasets import Option
from features.progress import say

DUPLICATES = {"duplicates": Option("drop", "Pictures of train (or val) that recur in val or test.", ("drop", "keep"))}


def without_duplicates(clips: Sequence[Clip]) -> list[int]:
    """The indices of the clips to keep: test whole, val without test's media, train without both's; the rest is told.

    Media are the same where their digests are.
    """
    known = {clip.media_sha256: clip for split in ("val", "test") for clip in clips if clip.split == split}
    digests = {split: {c.media_sha256 for c in clips if c.split == split} for split in ("val", "test")}
    others = {"train": digests["val"] | digests["test"], "val": digests["test"], "test": set()}
    kept = [
        i
        for i, clip in enumerate(clips)
        if clip.media_sha256 is None or clip.media_sha256 not in others.get(clip.split, set())
    ]
    for split, where in (("train", "val or test"), ("val", "test")):
        mine = [clip for clip in clips if clip.split == split]
        gone = [clip for clip in mine if clip.media_sha256 is not None and clip.media_sha256 in others[split]]
        if gone:
            example = f"{_name(gone[0])} is {_name(known[gone[0].media_sha256])}"
            say(f"dropped {len(gone)} of {len(mine)} {split} pictures: the same picture is in {where} ({example})")
    return kept


def _name(clip: Clip) -> str:
    return clip.path or clip.clip_id
