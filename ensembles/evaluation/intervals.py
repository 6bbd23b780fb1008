"""How sure an accuracy is: bootstrap over groups, and two classifiers compared on the same clips.

Clips of one group (a speaker, a film) resemble each other, so groups are drawn, never single clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
_TAILS = (2.5, 97.5)
_MANY = 256  # classifiers at once
_MOST_GROUPS = 1000  # that are drawn for all of them: beyond, clips are mostly interchangeable within one


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same clips.

    `difference` = accuracy of the first minus the second, with its paired bootstrap interval over groups (None with
    one group). `only_first` and `only_second` count the clips that one alone gets right; `p_value` is McNemar's exact
    two-sided test on them.
    """

    n_clips: int
    n_groups: int
    first: float
    second: float
    difference: float
    interval: Interval | None
    only_first: int
    only_second: int
    p_value: float


def accuracy_interval(right: np.ndarray, groups: Sequence[str], seed: int = 0) -> Interval | None:
    """Bootstrap interval over groups of the mean of `right` (N,); None with fewer than two groups."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(codes, weights=right), np.bincount(codes)
    if len(sizes) < 2:
        return None
    # Groups of the same sum and size are interchangeable: with one clip per group only two kinds are left to draw.
    kinds, counts = np.unique(np.stack([sums, sizes]), axis=1, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(sizes), counts / len(sizes), size=RESAMPLES)
    low, high = np.percentile(drawn @ kinds[0] / (drawn @ kinds[1]), _TAILS)
    return Interval(float(low), float(high))


def accuracy_intervals(right: np.ndarray, groups: Sequence[str], seed: int = 0) -> list[Interval | None]:
    """The intervals of many classifiers on the same clips, `right` (M, N); all see the same drawn groups.

    They are those of `accuracy_interval` but for the luck of the draw, in a hundredth of its time.
    """
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(codes)
    G = len(sizes)
    if G < 2 or G > _MOST_GROUPS:
        return [accuracy_interval(row, groups, seed) for row in right]
    drawn = np.random.default_rng(seed).multinomial(G, np.full(G, 1 / G), size=RESAMPLES)
    drawn = drawn / (drawn @ sizes)[:, None]  # (RESAMPLES, G)
    found: list[Interval | None] = []
    for start in range(0, len(right), _MANY):
        some = right[start : start + _MANY]
        sums = np.stack([np.bincount(codes, weights=row, minlength=G) for row in some], axis=1)
        bounds = np.percentile(drawn @ sums, _TAILS, axis=0, overwrite_input=True)
        found += [Interval(float(low), float(high)) for low, high in bounds.T]
    return found


def compare_right(first: np.ndarray, second: np.ndarray, groups: Sequence[str], seed: int = 0) -> Comparison:
    """Compare two classifiers by whether each clip is right, `first` and `second` (N,) bool."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return Comparison(
        n_clips=len(first),
        n_groups=len(set(groups)),
        first=float(first.mean()),
        second=float(second.mean()),
        difference=float(first.mean() - second.mean()),
        interval=accuracy_interval(first.astype(float) - second, groups, seed),
        only_first=only_first,
        only_second=only_second,
        p_value=float(binomtest(only_first, discordant).pvalue) if discordant else 1.0,
    )
