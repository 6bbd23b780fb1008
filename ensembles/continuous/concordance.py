"""How sure a concordance correlation coefficient (`models.concordance`) is."""

from collections.abc import Sequence

import numpy as np

from ensembles.evaluation.intervals import Interval
from models.concordance import concordance

__all__ = ["concordance", "concordance_interval", "mean_concordance_interval"]

_RESAMPLES = 10_000
TAILS = (2.5, 97.5)


def concordance_interval(
    y: np.ndarray, p: np.ndarray, groups: Sequence[str] | np.ndarray, p_rival: np.ndarray | None = None, seed: int = 0
) -> Interval | None:
    """95 % bootstrap interval of the CCC, drawn over groups (recordings), never over single samples.

    With `p_rival` (T,) it is the paired interval of the CCC of `p` minus that of `p_rival`. None with one group.
    """
    rivals = None if p_rival is None else p_rival[:, None]
    return mean_concordance_interval(y[:, None], p[:, None], groups, rivals, seed)


def mean_concordance_interval(
    Y: np.ndarray, P: np.ndarray, groups: Sequence[str] | np.ndarray, P_rival: np.ndarray | None = None, seed: int = 0
) -> Interval | None:
    """`concordance_interval` of the mean CCC over dimensions, of labels `Y` and predictions `P` (T, D)."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(codes.max()) + 1
    if n_groups < 2:
        return None
    drawn = drawn_groups(n_groups, seed)
    values = _mean_resampled(Y, P, codes, drawn)
    if P_rival is not None:
        values = values - _mean_resampled(Y, P_rival, codes, drawn)
    low, high = np.percentile(values, TAILS)
    return Interval(float(low), float(high))


def drawn_groups(n_groups: int, seed: int) -> np.ndarray:
    """(R, G) how often each group is in each of the resamples."""
    chances = np.full(n_groups, 1 / n_groups)
    return np.random.default_rng(seed).multinomial(n_groups, chances, size=_RESAMPLES)


def _mean_resampled(Y: np.ndarray, P: np.ndarray, codes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return np.mean([_resampled(y, p, codes, drawn) for y, p in zip(Y.T, P.T, strict=True)], axis=0)


def _resampled(y: np.ndarray, p: np.ndarray, codes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(R,) CCC of each resample."""
    y_mean, p_mean, y_var, p_var, covariance = resampled_moments(y, p, codes, drawn).T
    spread = y_var + p_var + (y_mean - p_mean) ** 2
    return np.divide(2 * covariance, spread, out=np.zeros(len(spread)), where=spread > 0)


def resampled_moments(y: np.ndarray, p: np.ndarray, codes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(R, 5) both means, both variances and the covariance in each resample of groups, from sums per group.

    `codes` (T,) are the groups of labels `y` and predictions `p` (T,), `drawn` (R, G) says how often each is taken.
    Means are told from the mean of `y`; a resample without a label has NaN.
    """
    # Moments about a common centre keep their digits when labels lie far from 0; none but the means change with it.
    centre = float(np.mean(y))
    y, p = np.asarray(y, np.float64) - centre, np.asarray(p, np.float64) - centre
    terms = np.stack([np.ones(len(y)), y, p, y * y, p * p, y * p], axis=1)
    sums = np.stack([np.bincount(codes, weights=term, minlength=drawn.shape[1]) for term in terms.T], axis=1)
    totals = drawn @ sums
    with np.errstate(divide="ignore", invalid="ignore"):
        y_mean, p_mean, yy, pp, yp = (totals[:, 1:] / totals[:, :1]).T
    return np.stack([y_mean, p_mean, yy - y_mean**2, pp - p_mean**2, yp - y_mean * p_mean], axis=1)
