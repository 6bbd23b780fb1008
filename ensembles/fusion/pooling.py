"""From the members' scores and their weights to fused scores: the weighted sum, its logarithmic twin, temperatures."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.errors import EmofuseError
from models.metrics import FLOOR

Missing = Literal["share", "uniform"]

# A share of the uniform distribution that keeps a single 0 (of a forest, of few votes) from vetoing a class.
_SMOOTHING = 0.01


def fuse(P: np.ndarray, weights: np.ndarray, valid: np.ndarray | None = None, missing: Missing = "share") -> np.ndarray:
    """The weighted sum over members: (N, C) float64 rows that sum to 1.

    `P` (M, N, C), `weights` (M, C) non-negative with sum 1 over members for each class, `valid` (M, N) tells which
    clips a member has. With `missing="share"` the weight of a member that lacks a clip is shared among those that
    have it, in proportion to their weights (equally where these are all 0); with `"uniform"` it counts as 1/C for every
    class (the 2013 code of Kahou's group). A clip that nobody has is uniform. Errors: scores or weights that are not
    finite.
    """
    scores = _weighted_mean(P, weights, valid, missing)
    total = scores.sum(axis=1, keepdims=True)
    if not np.isfinite(total).all():
        raise _not_finite(P, valid, weights)
    return np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0)


@dataclass(frozen=True)
class LogPool:
    """The logarithmic pool: a linear function of all members' log-probabilities, then a softmax.

    The logit of class c is the sum over members m and classes k of `coefficients[m][k][c]` times the log-probability
    that m gives k, plus `biases[c]`; each member is first mixed with 1 % of the uniform distribution.
    """

    coefficients: tuple[tuple[tuple[float, ...], ...], ...]
    biases: tuple[float, ...]

    @classmethod
    def of(cls, coefficients: np.ndarray, biases: np.ndarray) -> "LogPool":
        """The pool of `coefficients` (M, C, C) and `biases` (C,)."""
        return cls(
            tuple(tuple(tuple(row) for row in member) for member in coefficients.tolist()), tuple(biases.tolist())
        )

    @classmethod
    def geometric_mean(cls, M: int, C: int) -> "LogPool":
        """The pool that gives every member the same say."""
        return cls.of(np.tile(np.eye(C) / M, (M, 1, 1)), np.zeros(C))

    @property
    def weights(self) -> np.ndarray:
        """(M, C) each member's share of a class's absolute coefficients; equal ones where these are all 0."""
        sizes = np.abs(np.array(self.coefficients)).sum(axis=1)
        totals = sizes.sum(axis=0)
        return np.divide(sizes, totals, out=np.full_like(sizes, 1 / len(sizes)), where=totals > 0)

    def logits(self, logs: np.ndarray) -> np.ndarray:
        """(N, C) from log-probabilities (M, N, C) of which none is missing."""
        total = np.tile(np.array(self.biases), (logs.shape[1], 1))
        for own, by_class in zip(logs, np.array(self.coefficients), strict=True):
            total += own @ by_class
        return total

    def fuse(self, P: np.ndarray, valid: np.ndarray | None = None, missing: Missing = "share") -> np.ndarray:
        """Fused probabilities (N, C) of `P` (M, N, C); a clip that nobody has is uniform. Errors: as `fuse`."""
        p = _softmax(self.logits(filled_logs(P, valid, missing)))
        if not np.isfinite(p).all():
            raise _not_finite(P, valid, np.array(self.coefficients))
        if valid is not None:
            p[~valid.any(axis=0)] = 1 / P.shape[2]
        return p


def combine(
    P: np.ndarray,
    weights: np.ndarray,
    valid: np.ndarray | None = None,
    missing: Missing = "share",
    temperatures: np.ndarray | None = None,
    log_pool: LogPool | None = None,
) -> np.ndarray:
    """Fused probabilities (N, C) of all that a fitted fusion may consist of; a log-pool has its own weights.

    Errors: scores, weights or temperatures that are not finite.
    """
    if temperatures is not None:
        # Powers of scores are taken above a floor, which would turn minus infinity into a number.
        if not np.isfinite(P if valid is None else P[valid]).all():
            raise _not_finite(P, valid, weights)
        P = at_temperatures(P, temperatures)
    return fuse(P, weights, valid, missing) if log_pool is None else log_pool.fuse(P, valid, missing)


def at_temperatures(P: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Each member's probabilities (M, N, C) to the power 1/T, rescaled; `temperatures` (M,), above 1 means flatter."""
    if not all(0 < temperature < np.inf for temperature in temperatures):
        raise EmofuseError(f"Fusion needs finite temperatures above 0, but got {np.asarray(temperatures).tolist()}.")
    return _softmax(log_scores(P) / np.asarray(temperatures)[:, None, None]).astype(np.float32)


def log_scores(P: np.ndarray) -> np.ndarray:
    """Log-probabilities in float64, those below the log-loss' floor cut off there."""
    return np.log(np.maximum(P, FLOOR, dtype=np.float64))


def filled_logs(P: np.ndarray, valid: np.ndarray | None, missing: Missing) -> np.ndarray:
    """Log-probabilities (M, N, C) in float64 of members mixed with 1 % of the uniform distribution.

    A member that lacks a clip gets the mean over those that have it ("share"), or the uniform distribution's.
    """
    if valid is None or valid.all():
        return _smooth_logs(P)
    uniform = np.log(1 / P.shape[2])
    logs = _smooth_logs(np.where(valid[:, :, None], P, np.float32(1 / P.shape[2])))
    if missing == "uniform":
        return np.where(valid[:, :, None], logs, uniform)
    means = equal_share(np.where(valid[:, :, None], logs, 0), valid)
    nobody = np.logical_not(valid.any(axis=0))
    means[nobody] = uniform
    return np.where(valid[:, :, None], logs, means)


def _smooth_logs(P: np.ndarray) -> np.ndarray:
    return np.log((1 - _SMOOTHING) * P.astype(np.float64) + _SMOOTHING / P.shape[-1])


def equal_share(P: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(N, C) mean over the members that have the clip; `P` is 0 where a member lacks it. Zeros where nobody has it."""
    return P.sum(axis=0, dtype=np.float64) / np.maximum(valid.sum(axis=0), 1)[:, None]


def _weighted_mean(P: np.ndarray, weights: np.ndarray, valid: np.ndarray | None, missing: Missing) -> np.ndarray:
    if valid is None or valid.all():
        return _weighted_sum(P, weights)
    if missing == "uniform":
        return _weighted_sum(np.where(valid[:, :, None], P, P.dtype.type(1 / P.shape[2])), weights)
    P = np.where(valid[:, :, None], P, P.dtype.type(0))
    means = _weighted_sum(P, weights)
    rows = np.flatnonzero(~valid.all(axis=0))
    present = _weighted_sum(valid[:, rows, None], weights)
    means[rows] = np.divide(means[rows], present, out=equal_share(P, valid)[rows], where=present > 0)
    return means


def _weighted_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros((values.shape[1], weights.shape[1]))
    for value, weight in zip(values, weights, strict=True):
        total += weight * value
    return total


def _not_finite(P: np.ndarray, valid: np.ndarray | None, weights: np.ndarray) -> EmofuseError:
    """What is not finite, in a sentence: some weight, or the scores of some member for some clip."""
    bad = ~np.isfinite(P).all(axis=2)
    if valid is not None:
        bad &= valid
    if not bad.any():
        what = "are not all finite" if not np.isfinite(weights).all() else "are too large"
        return EmofuseError(f"Fusion needs finite weights and scores, but its weights {what}; fit it again.")
    m, n = np.argwhere(bad)[0]
    return EmofuseError(
        f"The scores of member {m} for clip {n} are {P[m, n].tolist()}; expected finite numbers. Mark clips that a "
        "member lacks in `valid`."
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
