"""How sure any metric is: each group of clips is left out once, and the metric's spread then is its standard error."""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from ensembles.evaluation.intervals import Grouping, Interval, share_bounds
from models.metrics import FLOOR, Metric, shares_of

_MOST_GROUPS = 300  # that are left out one by one: beyond, several at once say as much


class Tally:
    """What all metrics need of one or more predictions of the same clips (their mean), by group."""

    def __init__(self, y: np.ndarray, probabilities: np.ndarray, groups: Sequence[str] | np.ndarray):
        """`y` (N,), `probabilities` (N, C) or (R, N, C), `groups` (N,)."""
        many = probabilities if probabilities.ndim == 3 else probabilities[None]
        R, N, C = many.shape
        self.grouping = Grouping(groups)
        codes = np.random.default_rng(0).permutation(self.grouping.n_groups)[self.grouping.codes] % _MOST_GROUPS
        self.blocks = min(self.grouping.n_groups, _MOST_GROUPS)
        flat = (codes * C + y) * C + many.argmax(axis=2)
        counts = np.bincount(flat.ravel(), minlength=self.blocks * C * C) / R
        self._confusions = counts.reshape(self.blocks, C, C)
        losses = -np.log(np.maximum(many[:, np.arange(N), y].astype(np.float64), FLOOR)).mean(axis=0)
        self._losses = np.bincount(codes, weights=losses, minlength=self.blocks)
        self._sizes = np.bincount(codes, minlength=self.blocks)

    def value(self, metric: Metric) -> float:
        """The metric of all clips."""
        if metric == "log_loss":
            return float(self._losses.sum() / self._sizes.sum())
        return float(shares_of(metric, self._confusions.sum(axis=0)))

    def without_each(self, metric: Metric) -> np.ndarray:
        """(G,) the metric without each group."""
        if metric == "log_loss":
            return (self._losses.sum() - self._losses) / (self._sizes.sum() - self._sizes)
        return shares_of(metric, self._confusions.sum(axis=0) - self._confusions)

    @property
    def cells(self) -> int:
        """Numbers that it keeps of each group."""
        return self._confusions[0].size

    def swapped(self, other: "Tally", metric: Metric, swaps: np.ndarray) -> np.ndarray:
        """(K,) the metric minus that of `other` on the same clips, were groups swapped: `swaps` (K, G) of 0 and 1."""
        if metric == "log_loss":
            moved = swaps @ (other._losses - self._losses)
            return (self._losses.sum() - other._losses.sum() + 2 * moved) / self._sizes.sum()
        C = self._confusions.shape[1]
        moved = (swaps @ (other._confusions - self._confusions).reshape(len(swaps[0]), C * C)).reshape(-1, C, C)
        own, others = self._confusions.sum(axis=0) + moved, other._confusions.sum(axis=0) - moved
        return shares_of(metric, own) - shares_of(metric, others)

    def interval(self, metric: Metric) -> Interval | None:
        """The 95 % interval over groups; None with fewer than two."""
        if self.grouping.n_groups < 2:
            return None
        value, variance = self.value(metric), spread(self.without_each(metric)) ** 2
        if metric != "log_loss":
            low, high = share_bounds(np.array(value), np.array(variance), self.grouping)
            return Interval(float(low), float(high))
        half = self.grouping.quantile * float(np.sqrt(variance))
        return Interval(max(0.0, value - half), value + half)


def spread(without_each: np.ndarray) -> float:
    """The standard error of a metric from its values (G,) without each group, or of a difference of two from theirs."""
    G = len(without_each)
    return float(np.sqrt((G - 1) / G * ((without_each - without_each.mean()) ** 2).sum()))


def difference_interval(metric: Metric, first: Tally, second: Tally) -> Interval | None:
    """The paired interval of the first's metric minus the second's."""
    if first.grouping.n_groups < 2:
        return None
    ahead = first.value(metric) - second.value(metric)
    error = spread(first.without_each(metric) - second.without_each(metric))
    if metric != "log_loss":  # decisions that are all the same may differ on the next clips
        error = max(error, float(np.sqrt(2)) / (first.grouping.n_clips + 2))
    half = first.grouping.quantile * error
    return Interval(ahead - half, ahead + half)


def intervals_of(y: np.ndarray, probabilities: np.ndarray, groups: Sequence[str]) -> Mapping[str, Interval]:
    """Every metric's interval of `probabilities` (N, C) or (R, N, C), by name; none with fewer than two groups."""
    tally = Tally(y, probabilities, groups)
    found = {metric: tally.interval(metric) for metric in get_args(Metric)}
    return {metric: interval for metric, interval in found.items() if interval is not None}
