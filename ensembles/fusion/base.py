"""What all fusion methods share: the contract, the checks, and the one weighted sum.

A method learns one weight per member and class, (M, C). The score of a class is the weighted sum of what the members
say (Kahou 2015, section 5); scores are rescaled to sum to 1 over the classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from sklearn.base import BaseEstimator

from features.errors import EmofuseError
from features.names import unknown_name

Missing = Literal["share", "uniform"]
Metric = Literal["accuracy", "unweighted_accuracy"]
_TOLERANCE = 1e-3


def fuse(P: np.ndarray, weights: np.ndarray, valid: np.ndarray | None = None, missing: Missing = "share") -> np.ndarray:
    """The weighted sum over members: (N, C) float64 rows that sum to 1.

    `P` (M, N, C), `weights` (M, C) non-negative with sum 1 over members for each class, `valid` (M, N) tells which
    clips a member has. With `missing="share"` the weight of a member that lacks a clip is shared among those that
    have it, in proportion to their weights (equally where these are all 0); with `"uniform"` it counts as 1/C for every
    class (the 2013 code of Kahou's group). A clip that nobody has is uniform.
    """
    if valid is None or valid.all():
        scores = _weighted_sum(P, weights)
    elif missing == "uniform":
        scores = _weighted_sum(np.where(valid[:, :, None], P, np.float32(1 / P.shape[2])), weights)
    else:
        P = np.where(valid[:, :, None], P, np.float32(0))
        scores = _weighted_sum(P, weights)
        rows = np.flatnonzero(~valid.all(axis=0))
        present = _weighted_sum(valid[:, rows, None], weights)
        scores[rows] = np.divide(scores[rows], present, out=equal_share(P, valid)[rows], where=present > 0)
    total = scores.sum(axis=1, keepdims=True)
    return np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0)


def _weighted_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros((values.shape[1], weights.shape[1]))
    for value, weight in zip(values, weights, strict=True):
        total += weight * value
    return total


def equal_share(P: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(N, C) mean over the members that have the clip; `P` is 0 where a member lacks it. Zeros where nobody has it."""
    return P.sum(axis=0, dtype=np.float64) / np.maximum(valid.sum(axis=0), 1)[:, None]


def rescale(weights: np.ndarray) -> np.ndarray:
    """Weights (..., M, C) divided by their sum over members, for each class.

    The sum is taken member by member, so that a batch of weights gets the same bits as one alone.
    """
    return weights / member_sum(weights)[..., None, :]


def member_sum(weights: np.ndarray) -> np.ndarray:
    """(..., C): weights (..., M, C) added up member by member."""
    total = weights[..., 0, :].copy()
    for m in range(1, weights.shape[-2]):
        total += weights[..., m, :]
    return total


@dataclass(frozen=True, eq=False)
class Problem:
    """Checked input of a fit: `P` (M, N, C) float32, `y` (N,), `valid` (M, N) bool, and what is maximised."""

    P: np.ndarray
    y: np.ndarray
    valid: np.ndarray
    metric: Metric
    missing: Missing

    @property
    def shape(self) -> tuple[int, int, int]:
        """(M, N, C)."""
        M, N, C = self.P.shape
        return M, N, C

    def right_counts(self, weights: np.ndarray) -> np.ndarray:
        """(C,) clips of each true class that the fused decision gets right."""
        right = fuse(self.P, weights, self.valid, self.missing).argmax(axis=1) == self.y
        return np.bincount(self.y[right], minlength=self.shape[2])

    def value(self, right_counts: np.ndarray) -> np.ndarray:
        """The metric from counts (..., C) of right clips per true class."""
        totals = np.bincount(self.y, minlength=self.shape[2])
        if self.metric == "accuracy":
            return right_counts.sum(axis=-1) / totals.sum()
        return (right_counts[..., totals > 0] / totals[totals > 0]).mean(axis=-1)

    def score(self, weights: np.ndarray) -> float:
        """The metric of the fused decision: what every search compares, and what `fit_score_` is."""
        return float(self.value(self.right_counts(weights)))


class Fusion(BaseEstimator, ABC):
    """A fusion method in scikit-learn's manner.

    Attributes after `fit`: `weights_` (M, C), sum 1 over members for each class; `fit_score_`, the metric on the rows
    that the weights were fitted on (always too high: see `ensembles.estimate`).
    """

    metric: Metric = "accuracy"
    missing: Missing = "share"
    weights_: np.ndarray
    fit_score_: float

    def fit(
        self, P: np.ndarray, y: np.ndarray, valid: np.ndarray | None = None, groups: Sequence[str] | None = None
    ) -> Self:
        """Find the weights.

        `P` (M, N, C) float32 probabilities, `y` (N,) class numbers, `valid` (M, N) bool (None: every member has every
        clip), `groups` (N,) for methods that split the clips. Errors: EmofuseError with the array and what it lacks.
        """
        if self.metric not in get_args(Metric):
            raise unknown_name("metric", self.metric, get_args(Metric))
        if self.missing not in get_args(Missing):
            raise unknown_name("rule for missing members", self.missing, get_args(Missing))
        P, valid = check_probabilities(P, valid)
        y = _check_labels(y, P)
        if groups is not None and len(groups) != len(y):
            raise EmofuseError(f"Fusion needs one group per clip, but got {len(groups)} for {len(y)} clips.")
        problem = Problem(P, y, valid, self.metric, self.missing)
        self.weights_ = self._find_weights(problem, groups)
        self.fit_score_ = problem.score(self.weights_)
        return self

    @abstractmethod
    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        """(M, C) float64 weights that sum to 1 over members for each class."""

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused probabilities (N, C), rows sum to 1, of `P` (M, N, C) with the members in the order of the fit."""
        P, valid = check_probabilities(P, valid)
        if (len(P), P.shape[2]) != self.weights_.shape:
            M, C = self.weights_.shape
            raise EmofuseError(
                f"Expected scores of {M} members over {C} classes as in the fit, but got {len(P)} over {P.shape[2]}."
            )
        return fuse(P, self.weights_, valid, self.missing)

    def predict(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Class numbers (N,): the first class of highest probability."""
        return self.predict_proba(P, valid).argmax(axis=1)


def check_probabilities(P: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """`P` as float32 and `valid` as bool, or EmofuseError. Rows of clips that a member lacks are not looked at."""
    P = np.asarray(P, dtype=np.float32)
    if P.ndim != 3 or min(P.shape) == 0:
        raise EmofuseError(f"Fusion needs probabilities of shape (members, clips, classes), but got {P.shape}.")
    M, N, C = P.shape
    if C < 2:
        raise EmofuseError("Fusion needs at least two classes, but the probabilities have one.")
    valid = np.ones((M, N), bool) if valid is None else np.asarray(valid, dtype=bool)
    if valid.shape != (M, N):
        raise EmofuseError(f"Fusion needs `valid` of shape {(M, N)} (members, clips), but got {valid.shape}.")
    sums = P.sum(axis=2, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = valid & ~((np.abs(sums - 1) <= _TOLERANCE) & (P >= 0).all(axis=2))
    if bad.any():
        m, n = np.argwhere(bad)[0]
        raise EmofuseError(
            f"The scores of member {m} for clip {n} are {P[m, n].tolist()}; expected finite, non-negative numbers that "
            "sum to 1. Mark clips that a member lacks in `valid`."
        )
    return P, valid


def _check_labels(y: np.ndarray, P: np.ndarray) -> np.ndarray:
    _, N, C = P.shape
    y = np.asarray(y)
    if y.shape != (N,):
        raise EmofuseError(f"Fusion needs one label per clip, shape {(N,)}, but got {y.shape}.")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= C:
        got = np.unique(y)[:10].tolist()
        raise EmofuseError(f"Fusion needs labels as class numbers from 0 to {C - 1}, but got {got}.")
    return y.astype(np.int64)
