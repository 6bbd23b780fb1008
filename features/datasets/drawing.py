"""Splits for corpora that come without: whole groups drawn to train, val and test, each class in proportion."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.clips import SPLITS, Clip
from features.datasets import Option
from features.datasets.folders import warn
from features.errors import EmofuseError, WrongUse

DRAWN = {
    "split": Option("70/15/15", "Shares of train, val and test (of two numbers: train and val)."),
    "folds": Option(0, "Test is one of so many folds, and --split divides the others alone; 0: by --split."),
    "fold": Option(1, "Which of the folds, from 1 on."),
    "seed": Option(0, "Another number draws other splits."),
}


def drawn(clips: Sequence[Clip], *, split: str, folds: int, fold: int, seed: int) -> tuple[Clip, ...]:
    """The clips with new splits: no group in two, classes in proportion, whatever the order of the clips.

    With `folds`, the test split is the `fold`-th of them (scikit-learn's StratifiedGroupKFold).
    """
    shares = parse_shares(split)
    if not folds:
        if fold != 1:
            raise WrongUse(f"--fold {fold} says which fold is the test split, so it needs --folds.")
        return _placed(clips, shares, seed)
    test = _fold(clips, folds, fold, seed)
    rest = _placed([clip for clip in clips if clip.group_id not in test], shares[:2], seed)
    placed = {clip.clip_id: clip for clip in rest}
    return tuple(placed.get(clip.clip_id, replace(clip, split="test")) for clip in clips)


def with_val(clips: Sequence[Clip], split: str, seed: int) -> tuple[Clip, ...]:
    """The clips with a val split drawn from train, by the first two shares, where they have none."""
    shares = parse_shares(split)[:2]
    if any(clip.split == "val" for clip in clips) or not shares[1]:
        return tuple(clips)
    placed = {c.clip_id: c for c in _placed([clip for clip in clips if clip.split == "train"], shares, seed)}
    return tuple(placed.get(clip.clip_id, clip) for clip in clips)


def parse_shares(text: str) -> tuple[float, ...]:
    """`70/15/15` as shares of train, val and test; they need not sum to 100."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0 <= n < float("inf") for n in numbers) or numbers[0] <= 0:
        raise WrongUse(f"--split: expected shares of train, val and test such as 70/15/15, but got {text!r}.")
    shares = [*numbers, 0.0][:3]
    return tuple(share / sum(shares) for share in shares)


def _placed(clips: Sequence[Clip], shares: Sequence[float], seed: int) -> tuple[Clip, ...]:
    """Large groups first, each goes where its classes are filled least for that side's share (as Sainte-Lague's seats).

    Sides that would stay empty get the last groups.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        counts[clip.group_id][clip.label or ""] += 1
    classes = sorted({label for count in counts.values() for label in count})
    groups = sorted(counts)
    np.random.default_rng(seed).shuffle(groups)
    groups.sort(key=lambda group: -counts[group].total())
    sizes = np.array([[counts[group][label] for label in classes] for group in groups], float).reshape(-1, len(classes))
    sides = [side for side in range(len(shares)) if shares[side] > 0]
    filled, weight = np.zeros((len(shares), len(classes))), 1 / np.maximum(sizes.sum(0), 1) ** 2
    places = {}
    for at, (group, size) in enumerate(zip(groups, sizes, strict=True)):
        empty = [side for side in sides if not filled[side].any()]
        among = empty if len(empty) >= len(groups) - at else sides
        cost = {side: ((2 * filled[side] * size + size**2) * weight).sum() / shares[side] for side in among}
        best = min(among, key=lambda side: (cost[side], side))
        filled[best] += size
        places[group] = SPLITS[best]
    if bare := [SPLITS[side] for side in sides if not filled[side].any()]:
        warn(f"{len(groups)} groups are too few for {len(sides)} splits: no {' and no '.join(bare)} clips")
    return tuple(replace(clip, split=places[clip.group_id]) for clip in clips)


def _fold(clips: Sequence[Clip], folds: int, fold: int, seed: int) -> set[str]:
    """The groups of one fold."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = len({clip.group_id for clip in clips})
    if folds < 2 or not 1 <= fold <= folds:
        raise WrongUse(f"Expected --folds of at least 2 and --fold from 1 to that, but got {folds} and {fold}.")
    if groups < folds:
        raise EmofuseError(f"{folds} folds need {folds} groups or more, but there are {groups}.")
    rows = sorted(clips, key=lambda clip: clip.clip_id)
    labels = [clip.label or "" for clip in rows]
    # scikit-learn refuses to stratify where no class can fill the folds.
    splitter = StratifiedGroupKFold if max(Counter(labels).values()) >= folds else GroupKFold
    sides = splitter(folds, shuffle=True, random_state=seed).split(rows, labels, [clip.group_id for clip in rows])
    return {rows[row].group_id for row in list(sides)[fold - 1][1]}
