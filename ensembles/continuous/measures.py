"""Predictions over time against labels: concordance, correlation and error, each with an interval over groups.

Recordings are taken one after the other, as AVEC does; where a dimension has no label nothing is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.continuous.concordance import TAILS, concordance, drawn_groups, resampled_moments
from ensembles.evaluation.intervals import Interval

# By the names that JSON has, with what people call them.
MEASURES = {"ccc": "CCC", "pearson": "Pearson's r", "rmse": "RMSE"}


@dataclass(frozen=True)
class Measure:
    """A value with its 95 % interval over groups; None where one group alone is labelled."""

    value: float
    interval: Interval | None

    @property
    def told(self) -> str:
        """The value and its interval."""
        return f"{self.value:.3f}" + (f" [{self.interval.low:.3f}, {self.interval.high:.3f}]" if self.interval else "")


@dataclass(frozen=True)
class Measured:
    """Each of `MEASURES`: the mean over dimensions, and by dimension."""

    mean: Mapping[str, Measure]
    by_dimension: Mapping[str, Mapping[str, Measure]]


def measured(
    Y: np.ndarray,
    P: np.ndarray,
    groups: np.ndarray,
    dimensions: Sequence[str],
    seed: int = 0,
    *,
    intervals: bool = True,
) -> Measured:
    """Predictions `P` (T, D) against labels `Y` (T, D), NaN where there are none; every dimension has a label.

    `groups` (T,) are never split where resamples are drawn.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    drawn = drawn_groups(n_groups, seed) if intervals and n_groups > 1 else None
    values, resampled, sure = [], [], []
    for d in range(len(dimensions)):
        known = ~np.isnan(Y[:, d])
        y, p, own = Y[known, d], P[known, d], codes[known]
        values.append(_values(y, p))
        sure.append(drawn is not None and len(set(own.tolist())) > 1)
        if drawn is not None:
            resampled.append(_measures(resampled_moments(y, p, own, drawn)))
    bounds = np.stack(resampled) if resampled else None

    def of(value: np.ndarray, spread: np.ndarray | None) -> dict[str, Measure]:
        between = [_interval(own) for own in spread] if spread is not None else [None] * len(MEASURES)
        return {name: Measure(float(one), low) for name, one, low in zip(MEASURES, value, between, strict=True)}

    by_dimension = {
        name: of(values[d], bounds[d] if bounds is not None and sure[d] else None) for d, name in enumerate(dimensions)
    }
    whole = bounds.mean(axis=0) if bounds is not None and all(sure) else None
    return Measured(of(np.mean(values, axis=0), whole), by_dimension)


def _values(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(3,) each of `MEASURES`; where one side does not vary there is nothing to agree about, and it is 0."""
    varies = np.ptp(y) > 0 and np.ptp(p) > 0
    pearson = np.corrcoef(y, p)[0, 1] if varies else 0.0
    return np.array([concordance(y, p), pearson, np.sqrt(np.mean((y - p) ** 2))])


def _measures(moments: np.ndarray) -> np.ndarray:
    """(3, R): each of `MEASURES` of the moments (R, 5) of `resampled_moments`; without variance as in `_values`."""
    y_mean, p_mean, y_var, p_var, covariance = moments.T
    apart = (y_mean - p_mean) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ccc = 2 * covariance / (y_var + p_var + apart)
        pearson = covariance / np.sqrt(y_var * p_var)
    alike = (y_var <= 0) | (p_var <= 0)
    error = np.sqrt(np.maximum(y_var + p_var - 2 * covariance + apart, 0))
    return np.stack([np.where(alike, 0, ccc), np.where(alike, 0, pearson), error])


def _interval(values: np.ndarray) -> Interval:
    low, high = np.nanpercentile(values, TAILS)
    return Interval(float(low), float(high))
