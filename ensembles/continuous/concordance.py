"""The concordance correlation coefficient (CCC) of continuous predictions, and how sure it is.

CCC = 2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))^2), all moments divided by the number of samples (Lin 1989).
Recordings are concatenated first, as AVEC does: a constant offset between recordings counts as an error.
"""

from collections.abc import Sequence

import numpy as np

from ensembles.intervals import RESAMPLES, Interval
from features.errors import EmofuseError

_TAILS = (2.5, 97.5)


def concordance(y: np.ndarray, p: np.ndarray) -> float:
    """CCC of the predictions `p` (T,) with the labels `y` (T,), between -1 and 1.

    Where `y` or `p` does not vary (one sample, say) there is nothing to agree about, and it is 0. Errors: EmofuseError
    with different lengths, without samples, and with numbers that are not finite.
    """
    y, p = (np.asarray(series, dtype=np.float64) for series in (y, p))
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise EmofuseError(f"CCC needs labels and predictions of one shape (T,), but got {y.shape} and {p.shape}.")
    for name, series in (("label", y), ("prediction", p)):
        if not np.isfinite(series).all():
            t = int(np.flatnonzero(~np.isfinite(series))[0])
            raise EmofuseError(f"CCC needs finite numbers, but {name} {t} is {series[t]}.")
    if (y == y[0]).all() or (p == p[0]).all():
        return 0.0
    y_mean, p_mean = y.mean(), p.mean()
    covariance = ((y - y_mean) * (p - p_mean)).mean()
    return float(2 * covariance / (y.var() + p.var() + (y_mean - p_mean) ** 2))


def concordance_interval(
    y: np.ndarray, p: np.ndarray, groups: Sequence[str] | np.ndarray, p_rival: np.ndarray | None = None, seed: int = 0
) -> Interval | None:
    """95 % bootstrap interval of the CCC, drawn over groups (recordings), never over single samples.

    With `p_rival` (T,) it is the paired interval of the CCC of `p` minus that of `p_rival`. None with one group.
    """
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(codes.max()) + 1
    if n_groups < 2:
        return None
    chances = np.full(n_groups, 1 / n_groups)
    drawn = np.random.default_rng(seed).multinomial(n_groups, chances, size=RESAMPLES)
    values = _resampled(y, p, codes, drawn)
    if p_rival is not None:
        values = values - _resampled(y, p_rival, codes, drawn)
    low, high = np.percentile(values, _TAILS)
    return Interval(float(low), float(high))


def _resampled(y: np.ndarray, p: np.ndarray, codes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(R,) CCC of each resample, from sums per group; `drawn` (R, G) says how often each group is in it."""
    # Moments about a common centre keep their digits when labels lie far from 0; CCC does not change with a shift.
    centre = float(np.mean(y))
    y, p = np.asarray(y, np.float64) - centre, np.asarray(p, np.float64) - centre
    terms = np.stack([np.ones(len(y)), y, p, y * y, p * p, y * p], axis=1)
    sums = np.stack([np.bincount(codes, weights=term, minlength=drawn.shape[1]) for term in terms.T], axis=1)
    totals = drawn @ sums
    y_mean, p_mean, yy, pp, yp = (totals[:, 1:] / totals[:, :1]).T
    spread = (yy - y_mean**2) + (pp - p_mean**2) + (y_mean - p_mean) ** 2
    return np.divide(2 * (yp - y_mean * p_mean), spread, out=np.zeros(len(spread)), where=spread > 0)
