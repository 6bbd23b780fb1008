"""Partitions: which clips a trial is fitted on, which it stops on, and which it never sees."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass

from features.annotations import FILE_NAME
from features.clips import Clip, ClipTable
from features.errors import EmofuseError
from features.names import unknown_name

_FOLD = re.compile(r"fold-(\d+)-of-(\d+)")
_DROPPED = ", as `emofuse clips` does with `--duplicates drop` (images, fer2013, tfd and table have it)"
_SIDES = {"train": ("train", "val"), "stills": ("train", "val"), "swap": ("val", "train")}


@dataclass(frozen=True)
class Partition:
    """Clip ids of the two sides and of the test split; `held_out_ids` is empty for `full`."""

    name: str
    fit_ids: tuple[str, ...]
    held_out_ids: tuple[str, ...]
    test_ids: tuple[str, ...]

    def roles(self) -> dict[str, str]:
        """`fit`, `held_out` or `test` for each clip id."""
        return {
            **dict.fromkeys(self.fit_ids, "fit"),
            **dict.fromkeys(self.held_out_ids, "held_out"),
            **dict.fromkeys(self.test_ids, "test"),
        }


def make_partition(
    table: ClipTable, name: str, *, seed: int, allow_shared_groups: bool = False, continuous: bool = False
) -> Partition:
    """One partition of a clip table, refused when its sides aren't independent of each other.

    `train` fits on the split train and holds out val, `swap` the other way round, `full` fits on both and holds out
    nothing, `stills` is a backbone's train. `fold-k-of-n` holds out the k-th of n folds of train and val together,
    grouped and stratified, the same for the same seed. `allow_shared_groups` lets through groups and media that lie on
    two sides, for official splits that are made so. `continuous` asks for annotations in place of labels.
    """
    fit, held_out = _sides(table, name, seed)
    test = table.split("test")
    if continuous:
        _refuse_unannotated(table, name, (*fit, *held_out))
    unlabelled = [clip.clip_id for clip in (*fit, *held_out) if clip.label is None]
    if unlabelled and not continuous:
        raise EmofuseError(
            f"Partition {name!r}: clips of the splits train and val need a label, but {_some(unlabelled)} has none."
        )
    if not fit or not (held_out or name == "full"):
        side, source = ("fit", "fitted on") if not fit else ("held-out", "stopped on")
        raise EmofuseError(
            f"Partition {name!r}: its {side} side is empty, so nothing can be {source}; "
            f"the clip table has {len(table.split('train'))} train and {len(table.split('val'))} val clips."
        )
    missing = {clip.label for clip in (*fit, *held_out)} - {clip.label for clip in fit}
    if missing and not continuous:
        raise EmofuseError(
            f"Partition {name!r}: every class needs a clip on the fit side, but there is none of "
            f"{', '.join(sorted(map(str, missing)))}."
        )
    if not allow_shared_groups:
        sides = {"fit": fit, "held-out": held_out, "test": test}
        for one, other in (("fit", "held-out"), ("fit", "test"), ("held-out", "test")):
            _refuse_shared(name, one, sides[one], other, sides[other])
    return Partition(name, _ids(fit), _ids(held_out), _ids(test))


def _sides(table: ClipTable, name: str, seed: int) -> tuple[Sequence[Clip], Sequence[Clip]]:
    train, val = table.split("train"), table.split("val")
    if name == "full":
        return (*train, *val), ()
    if name in _SIDES:
        fit, held_out = _SIDES[name]
        return table.split(fit), table.split(held_out)
    match = _FOLD.fullmatch(name)
    if not match:
        raise unknown_name("partition", name, {*_SIDES, "full", "fold-0-of-4"})
    return _fold((*train, *val), name, int(match[1]), int(match[2]), seed)


def _fold(clips: Sequence[Clip], name: str, k: int, n: int, seed: int) -> tuple[list[Clip], list[Clip]]:
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [clip.group_id for clip in clips]
    if n < 2 or k >= n:
        raise EmofuseError(f"Partition {name!r}: expected fold-k-of-n with n of at least 2 and k from 0 to n - 1.")
    if len(set(groups)) < n:
        raise EmofuseError(
            f"Partition {name!r}: {n} folds need {n} groups or more in train and val, but there are {len(set(groups))}."
        )
    labels = [clip.label or "" for clip in clips]
    largest = max(Counter(labels).values())
    if largest < n:
        raise EmofuseError(
            f"Partition {name!r}: {n} folds need a class of {n} clips or more, but the largest has {largest}."
        )
    # scikit-learn places groups in the order of rows; sorted rows make the folds independent of the table's order.
    order = sorted(range(len(clips)), key=lambda i: clips[i].clip_id)
    folds = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a small class; one that leaves the fit side is refused by make_partition
        rows = list(folds.split(order, [labels[i] for i in order], [groups[i] for i in order]))[k][1]
    held_out = {order[row] for row in rows}
    return [c for i, c in enumerate(clips) if i not in held_out], [c for i, c in enumerate(clips) if i in held_out]


def _refuse_unannotated(table: ClipTable, name: str, clips: Sequence[Clip]) -> None:
    if table.annotations is None:
        raise EmofuseError(
            f"Partition {name!r}: continuous emotion is learnt from annotations, but there is no {FILE_NAME} of these "
            "clips beside the clip table."
        )
    without = [clip.clip_id for clip in clips if clip.clip_id not in table.annotations]
    if without:
        raise EmofuseError(
            f"Partition {name!r}: clips of the splits train and val need annotations, but {_some(without)} has none."
        )


def _refuse_shared(name: str, one: str, ours: Sequence[Clip], other: str, theirs: Sequence[Clip]) -> None:
    """Refuse media, then groups, that lie on both sides; the clips and files are named.

    For pictures nothing but leaving them out is advised: what lets them through lets the clips' own leaks through too.
    """
    official = "give such clips one split"
    if name != "stills":
        official += ", or set `allow_shared_groups: true` in the recipe if the official split is made so"
    media = {clip.media_sha256: clip for clip in reversed(ours) if clip.media_sha256}
    same = [(media[clip.media_sha256], clip) for clip in theirs if clip.media_sha256 in media]
    if same:
        mine, its = same[0]
        parts = (mine.start_s, mine.end_s) != (its.start_s, its.end_s)
        what = "are parts of the same media" if parts else "have the same media bytes"
        way_out = official if parts else f"leave one of the two out{_DROPPED}"
        raise EmofuseError(
            f"Partition {name!r}: {one} clip {_shown(mine)} and {other} clip {_shown(its)} {what}{_more(same)}; "
            f"{way_out}."
        )
    first = {clip.group_id: clip for clip in reversed(ours)}
    shared = {clip.group_id: clip for clip in reversed(theirs) if clip.group_id in first}
    if shared:
        group = min(shared)
        raise EmofuseError(
            f"Partition {name!r}: a group lies on one side only, but {group!r} is on the {one} side with clip "
            f"{first[group].clip_id!r} and on the {other} side with clip {shared[group].clip_id!r}{_more(shared)}; "
            f"{official}."
        )


def _shown(clip: Clip) -> str:
    """The clip with its file, where the id doesn't tell it."""
    return repr(clip.clip_id) + (f" ({clip.path})" if clip.path else "")


def _more(found: Sized) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def _ids(clips: Sequence[Clip]) -> tuple[str, ...]:
    return tuple(clip.clip_id for clip in clips)


def _some(names: Sequence[str]) -> str:
    return f"{names[0]!r}" + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
