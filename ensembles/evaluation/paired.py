"""Two predictions of the same clips compared by any metric: how far they lie apart, and whether it may be chance.

Accuracies have McNemar's test. For the other metrics the predictions of whole groups are swapped: were both of one
worth, each group's would as well be the other's, and the difference as large in so many of the swaps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ensembles.evaluation.intervals import Comparison, compare_right
from ensembles.evaluation.jackknife import Tally, difference_interval
from models.metrics import Metric

_ALL_UP_TO = 13  # groups: all their swaps are made
_SWAPS = 9_999  # that are drawn of more groups
_CELLS = 4_000_000  # that lie in memory at once


def compare(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, groups: Sequence[str], metric: Metric = "accuracy"
) -> Comparison:
    """The first's `metric` beside the second's: probabilities (N, C) of the clips `y` (N,) in `groups` (N,)."""
    by_clips = compare_right(first.argmax(axis=1) == y, second.argmax(axis=1) == y, groups)
    if metric == "accuracy":
        return by_clips
    one, other = Tally(y, first, groups), Tally(y, second, groups)
    return replace(
        by_clips,
        metric=metric,
        first=one.value(metric),
        second=other.value(metric),
        difference=one.value(metric) - other.value(metric),
        interval=difference_interval(metric, one, other),
        p_value=swapped(one, other, metric),
        test="permutation over groups",
    )


def swapped(first: Tally, second: Tally, metric: Metric) -> float:
    """The two-sided p-value of the difference of a metric: the share of swaps of groups in which it is as large.

    All swaps count of 13 groups or fewer, else 9,999 that are always the same and the one that swaps nothing.
    """
    ahead = abs(first.value(metric) - second.value(metric))
    least = ahead * (1 - 1e-9) - 1e-12  # sums in another order are the same
    found = [np.abs(first.swapped(second, metric, some)) >= least for some in _swaps(first.blocks, first.cells)]
    return float(np.concatenate(found).mean())


def _swaps(groups: int, cells: int) -> Iterator[np.ndarray]:
    """Which groups are swapped, (K, G) of 0 and 1, in pieces of a bounded size."""
    if groups <= _ALL_UP_TO:
        swaps = (np.arange(2**groups)[:, None] >> np.arange(groups)) & 1
    else:
        swaps = np.random.default_rng(0).integers(0, 2, (_SWAPS + 1, groups))
        swaps[0] = 0
    most = max(1, _CELLS // max(groups, cells))
    yield from (swaps[start : start + most].astype(np.float64) for start in range(0, len(swaps), most))
