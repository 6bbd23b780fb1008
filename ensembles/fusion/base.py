"""What all fusion methods share: the contract and the checks.

A method learns one weight per member and class, (M, C). The score of a class is the weighted sum of what the members
say (Kahou 2015, section 5); scores are rescaled to sum to 1 over the classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, get_args

import numpy as np
from sklearn.base import BaseEstimator

from ensembles.fusion.pooling import LogPool, combine
from ensembles.fusion.pooling import Missing as Missing
from ensembles.fusion.pooling import equal_share as equal_share
from ensembles.fusion.pooling import fuse as fuse
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from models.metrics import Metric as Metric
from models.metrics import told, worth

_TOLERANCE = 1e-3


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

    def clips(self, rows: np.ndarray) -> "Problem":
        """Some of the clips."""
        return Problem(self.P[:, rows], self.y[rows], self.valid[:, rows], self.metric, self.missing)

    def right_counts(self, weights: np.ndarray) -> np.ndarray:
        """(C,) clips of each true class that the fused decision gets right."""
        right = fuse(self.P, weights, self.valid, self.missing).argmax(axis=1) == self.y
        return np.bincount(self.y[right], minlength=self.shape[2])

    @property
    def counts_right(self) -> bool:
        """Whether the metric is a weighted count of right clips, with the same weight for all clips of a class."""
        return self.metric not in ("macro_f1", "log_loss")

    def value(self, right_counts: np.ndarray) -> np.ndarray:
        """The metric from counts (..., C) of right clips per true class, where it is one of right clips."""
        totals = np.bincount(self.y, minlength=self.shape[2])
        if self.metric == "accuracy":
            return right_counts.sum(axis=-1) / totals.sum()
        recalls = right_counts[..., totals > 0] / totals[totals > 0]
        if self.metric == "macro_average_precision":  # classes that don't occur count as 0
            return recalls.sum(axis=-1) / len(totals)
        return recalls.mean(axis=-1)

    def score(self, weights: np.ndarray) -> float:
        """The metric of the fused scores, turned so that more is better: what every search compares."""
        if self.counts_right:
            return float(self.value(self.right_counts(weights)))
        return self.worth(fuse(self.P, weights, self.valid, self.missing))

    def worth(self, probabilities: np.ndarray) -> float:
        """The metric of `probabilities` (N, C) of these clips, turned so that more is better."""
        return worth(self.metric, self.y, probabilities)


class Fusion(BaseEstimator, ABC):
    """A fusion method in scikit-learn's manner.

    Attributes
    ----------
    weights_ : (M, C), sum 1 over members for each class.
    fit_score_ : the metric on the rows that the weights were fitted on (too high: see `ensembles.fitting.estimate`).
    temperatures_ : (M,), by which the members' scores are flattened before they are weighted (None: not at all).
    log_pool_ : the coefficients where logarithms are summed, else None.
    interrupted_ : whether Ctrl-C ended the fit, so that the weights are the best so far.
    """

    only_right_counts = False  # whether the method can only count right clips: no macro-F1, no log-loss
    metric: Metric = "accuracy"
    missing: Missing = "share"
    weights_: np.ndarray
    fit_score_: float
    temperatures_: np.ndarray | None = None
    log_pool_: LogPool | None = None
    interrupted_: bool = False

    def fit(
        self, P: np.ndarray, y: np.ndarray, valid: np.ndarray | None = None, groups: Sequence[str] | None = None
    ) -> Self:
        """Find the weights.

        Parameters
        ----------
        P : (M, N, C) float32, each member's probabilities; rows sum to 1.
        y : (N,) int, class numbers.
        valid : (M, N) bool, which clips a member has (None: all).
        groups : (N,) names, for methods that split the clips (None: every clip by itself).

        Returns
        -------
        The fusion itself, fitted.

        Raises
        ------
        EmofuseError : names the array and what it lacks.
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
        if self.only_right_counts and not problem.counts_right:
            raise WrongUse(
                f"{type(self).__name__} compares weights by the clips that are right, which {self.metric} is not a "
                "count of; take the method greedy, lines, stacking or auto, or the metric accuracy, "
                "unweighted_accuracy or macro_average_precision."
            )
        self.interrupted_ = False
        self.weights_ = self._find_weights(problem, groups)
        if not np.isfinite(self.weights_).all():
            raise EmofuseError(f"{type(self).__name__} found weights that are not finite; take another method.")
        self.fit_score_ = told(self.metric, problem.worth(self.predict_proba(P, valid)))
        return self

    @abstractmethod
    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        """(M, C) float64 weights that sum to 1 over members for each class."""

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused probabilities.

        Parameters
        ----------
        P : (M, N, C), the members in the order of the fit.
        valid : (M, N) bool, which clips a member has (None: all).

        Returns
        -------
        (N, C) float64, rows sum to 1; uniform where no member has the clip.
        """
        P, valid = check_probabilities(P, valid)
        if (len(P), P.shape[2]) != self.weights_.shape:
            M, C = self.weights_.shape
            raise EmofuseError(
                f"Expected scores of {M} members over {C} classes as in the fit, but got {len(P)} over {P.shape[2]}."
            )
        return combine(P, self.weights_, valid, self.missing, self.temperatures_, self.log_pool_)

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
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(P @ np.ones(C, np.float32) - 1) <= _TOLERANCE) & valid
        if not P.min() >= 0:  # NaN too, which clips that a member lacks may hold
            bad |= (P < 0).any(axis=2) & valid
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
