"""How sure an accuracy is, and two classifiers compared on the same clips.

Clips of one group (a speaker, a film) resemble each other, so what counts is how groups differ, never single clips. An
interval is Wilson's with the effective number of clips, and Student's t for so many groups: unlike a bootstrap's it has
a width where every clip is right, and holds the truth as often as it says with four groups too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Where few clips are wrong (or right), they don't tell how alike those of a group are. Then it is as if that many more
# had been seen, alike by an intra-class correlation of 0.1.
_PRIOR_CLIPS = 2.0
_PRIOR_CORRELATION = 0.1


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same clips.

    `difference` = accuracy (or the `metric`) of the first minus the second, with its paired interval over groups
    (None with one group). `only_first` and `only_second` count the clips that one alone gets right. `p_value` is
    two-sided, of the `test` that is named: of accuracies McNemar's exact one on these clips.
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
    metric: str = "accuracy"
    test: str = "McNemar"


class Grouping:
    """Clips by group: what intervals need of them."""

    def __init__(self, groups: Sequence[str] | np.ndarray):
        _, self.codes = np.unique(np.asarray(groups), return_inverse=True)
        self.sizes = np.bincount(self.codes)
        self.n_clips, self.n_groups = len(self.codes), len(self.sizes)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(..., G) sums by group of `values` (..., N)."""
        flat = values.reshape(-1, self.n_clips)
        sums = [np.bincount(self.codes, weights=row, minlength=self.n_groups) for row in flat]
        return np.reshape(sums, (*values.shape[:-1], self.n_groups))

    def variance(self, values: np.ndarray) -> np.ndarray:
        """(...,) variance of the mean of `values` (..., N), by how far groups lie from it (a ratio of sums)."""
        away = self.sums(values) - values.mean(axis=-1)[..., None] * self.sizes
        return self.n_groups / (self.n_groups - 1) * (away * away).sum(axis=-1) / self.n_clips**2

    def design_effect(self, seen: np.ndarray | float, counted: np.ndarray | float) -> np.ndarray:
        """How many clips are worth one: the `seen` effect as far as `counted` clips can tell, at least 1."""
        alike = (self.sizes**2).sum() / self.n_clips  # clips in the group of a clip, itself included
        prior = 1 + (alike - 1) * _PRIOR_CORRELATION
        return np.maximum(1, (counted * seen + _PRIOR_CLIPS * prior) / (counted + _PRIOR_CLIPS))

    @property
    def quantile(self) -> float:
        """Student's, for a two-sided 95 % interval from so many groups."""
        from scipy.special import stdtrit

        return float(stdtrit(self.n_groups - 1, 0.975))


def accuracy_interval(right: np.ndarray, groups: Sequence[str]) -> Interval | None:
    """Interval over groups of the mean of `right` (N,), shares from 0 to 1; None with fewer than two groups."""
    return accuracy_intervals(np.asarray(right)[None], groups)[0]


def accuracy_intervals(right: np.ndarray, groups: Sequence[str]) -> list[Interval | None]:
    """The intervals of many classifiers on the same clips, `right` (M, N)."""
    grouping = Grouping(groups)
    if grouping.n_groups < 2 or not len(right):
        return [None] * len(right)
    lows, highs = share_bounds(right.mean(axis=1), grouping.variance(right), grouping)
    return [Interval(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]


def share_bounds(share: np.ndarray, variance: np.ndarray, grouping: Grouping) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of shares (...,) between 0 and 1 whose `variance` over groups is known, as (low, high)."""
    share = np.asarray(share, float)
    alone = share * (1 - share) / grouping.n_clips  # their variance if no two clips were alike
    seen = np.divide(variance, alone, out=np.ones_like(alone), where=alone > 0)
    rarer = np.minimum(share, 1 - share) * grouping.n_clips
    n, q = grouping.n_clips / grouping.design_effect(seen, rarer), grouping.quantile
    middle = (share + q * q / (2 * n)) / (1 + q * q / n)
    half = q / (1 + q * q / n) * np.sqrt(share * (1 - share) / n + q * q / (4 * n * n))
    # At the edge the bound is the share itself but for rounding.
    return np.clip(np.minimum(middle - half, share), 0, 1), np.clip(np.maximum(middle + half, share), 0, 1)


def compare_right(first: np.ndarray, second: np.ndarray, groups: Sequence[str]) -> Comparison:
    """Compare two classifiers by whether each clip is right, `first` and `second` (N,) bool."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return Comparison(
        n_clips=len(first),
        n_groups=len(set(groups)),
        first=float(first.mean()),
        second=float(second.mean()),
        difference=float(first.mean() - second.mean()),
        interval=_difference_interval(first.astype(float) - second, Grouping(groups)),
        only_first=only_first,
        only_second=only_second,
        p_value=_mcnemar(only_first, only_second),
    )


def _mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of so many clips that one classifier alone gets right."""
    from scipy.special import bdtr  # scipy.stats takes longer to import than a small run's report

    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def _difference_interval(gains: np.ndarray, grouping: Grouping) -> Interval | None:
    """Bonett and Price's interval (2012) of the mean of `gains` (N,), each -1, 0 or 1, with the design effect."""
    if grouping.n_groups < 2:
        return None
    n = len(gains)
    alone = ((gains * gains).sum() - n * gains.mean() ** 2) / n**2
    seen = grouping.variance(gains) / alone if alone > 0 else 1.0
    # One clip more on either side: where none is, the two may differ on the next.
    ahead, discordant = gains.sum() / (n + 2), (gains * gains).sum()
    variance = ((discordant + 2) / (n + 2) - ahead**2) / (n + 2)
    half = grouping.quantile * np.sqrt(variance * grouping.design_effect(seen, discordant))
    low, high = np.clip([min(ahead - half, gains.mean()), max(ahead + half, gains.mean())], -1, 1)
    return Interval(float(low), float(high))
