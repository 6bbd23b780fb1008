"""The concordance correlation coefficient (CCC) of continuous predictions.

CCC = 2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))^2), all moments divided by the number of samples (Lin 1989).
Recordings are concatenated first, as AVEC does: a constant offset between recordings counts as an error.
"""

from collections.abc import Sequence

import numpy as np

from features.errors import EmofuseError


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


def continuous_metrics(y: np.ndarray, p: np.ndarray, dimensions: Sequence[str]) -> dict[str, float]:
    """`ccc` (the mean over dimensions), `ccc_<dimension>` of each, and `mse`, of labels `y` and predictions `p` (T, D).

    Rows are all recordings' steps one after the other; where `y` is NaN nothing was annotated and nothing is scored.
    Errors: EmofuseError for a dimension without a label.
    """
    found = {}
    for d, name in enumerate(dimensions):
        known = ~np.isnan(y[:, d])
        if not known.any():
            raise EmofuseError(f"None of the {len(y)} steps has a label of {name}, so its CCC can't be measured.")
        found[f"ccc_{name}"] = concordance(y[known, d], p[known, d])
    squares = np.square(np.asarray(p, np.float64) - y)
    return {"ccc": float(np.mean(list(found.values()))), **found, "mse": float(np.nanmean(squares))}
