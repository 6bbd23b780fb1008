"""Fusion of continuous outputs: one weight per member and dimension, in the manner of scikit-learn estimators."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator

from ensembles.continuous.concordance import concordance
from ensembles.continuous.objective import NO_WEIGHT, Objective
from features.errors import EmofuseError


class ContinuousMethod(BaseEstimator, ABC):
    """What the methods share.

    Parameters
    ----------
    recalibrate : also fit an offset and a positive scale per dimension. CCC punishes bias and a wrong spread, and an
        average has less spread than what it averages. It is fitted on the same rows, so what it is worth the nested
        estimate says.

    Attributes after `fit`: `weights_` (M, D), non-negative, sum 1 over members for each dimension; `scale_` and
    `offset_` (D,), applied to the weighted mean; `label_mean_` (D,), predicted where no member has a sample;
    `fit_score_` (D,), CCC on the rows that the weights were fitted on (see `ensembles.continuous.evaluate` for what it
    is worth elsewhere).
    """

    weights_: np.ndarray
    scale_: np.ndarray
    offset_: np.ndarray
    label_mean_: np.ndarray
    fit_score_: np.ndarray

    def __init__(self, recalibrate: bool = False):
        self.recalibrate = recalibrate

    def fit(
        self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray | None = None, groups: Sequence[str] | None = None
    ) -> Self:
        """Find the weights.

        `P` (M, T, D) predictions and `Y` (T, D) labels of all recordings, one after the other; `valid` (M, T) or
        (M, T, D) bool tells what a member has (None: everything). `groups` (T,) names what bagging draws and shrinkage
        holds apart (None: one group). Errors: EmofuseError with what the arrays lack.
        """
        P, valid = check_predictions(P, valid)
        Y = _check_labels(Y, P)
        if groups is not None and len(groups) != len(Y):
            raise EmofuseError(f"Fusion needs one group per sample, but got {len(groups)} for {len(Y)} samples.")
        for d in range(P.shape[2]):
            # What nobody has tells nothing about the weights.
            if len(np.unique(Y[valid[:, :, d].any(axis=0), d])) < 2:
                raise EmofuseError(f"CCC needs labels that vary, but in dimension {d} those with predictions don't.")
        self.label_mean_ = Y.mean(axis=0)
        self.weights_ = self._find_all(P, Y, valid, np.zeros(len(Y), int) if groups is None else np.asarray(groups))
        self.calibrate(P, Y, valid)
        return self

    @abstractmethod
    def _find_all(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """(M, D) weights."""

    def calibrate(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray) -> None:
        """Set scale and offset for the weights, and the score with them."""
        D = Y.shape[1]
        self.scale_, self.offset_, self.fit_score_ = np.ones(D), np.zeros(D), np.empty(D)
        for d in range(D):
            p, y, here = _of_dimension(P, Y, valid, d)
            fused = weighted_mean(p, self.weights_[:, d], here, y.mean())
            if self.recalibrate and np.ptp(fused) > 0:
                self.scale_[d] = y.std() / fused.std()
                self.offset_[d] = y.mean() - self.scale_[d] * fused.mean()
            self.fit_score_[d] = concordance(y, self.scale_[d] * fused + self.offset_[d])

    def predict(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused predictions (T, D) of `P` (M, T, D) with the members and dimensions in the order of the fit.

        The weight of a member that lacks a sample is shared among those that have it, in proportion to their weights
        (equally where these are all 0). A sample that nobody has is predicted as the mean label of the fit.
        """
        P, valid = check_predictions(P, valid)
        M, _, D = P.shape
        expected = self.weights_.shape
        if expected != (M, D):
            raise EmofuseError(
                f"Expected predictions of {expected[0]} members in {expected[1]} dimensions as in the fit, "
                f"but got {M} in {D}."
            )
        return fuse(P, valid, self.weights_, self.scale_, self.offset_, self.label_mean_)


class ByDimension(ContinuousMethod):
    """A method that looks at one dimension after the other."""

    def _find_all(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray, groups: np.ndarray) -> np.ndarray:
        found = []
        for d in range(P.shape[2]):
            p, y, here = _of_dimension(P, Y, valid, d)
            mean, deviation = y.mean(), y.std()
            objective = Objective.of((p - mean) / deviation, (y - mean) / deviation, here, self.recalibrate)
            found.append(self._find_weights(objective))
        return np.stack(found, axis=1)

    @abstractmethod
    def _find_weights(self, objective: Objective) -> np.ndarray:
        """(M,) weights of one dimension."""


class ContinuousFusion(ByDimension):
    """The weights of highest CCC, for each dimension by itself.

    With complete predictions the optimum is global (see `objective`), so nothing is drawn and there is no seed.
    """

    def _find_weights(self, objective: Objective) -> np.ndarray:
        return objective.maximise()


class ContinuousBest(ByDimension):
    """For each dimension the one member of highest CCC on the fit rows; what it lacks, the others give equally."""

    def _find_weights(self, objective: Objective) -> np.ndarray:
        known = np.asarray(objective.present.any(axis=0))
        singles = np.eye(len(known))[known]
        return singles[int(np.argmax([objective.value(w) for w in singles]))]


class ContinuousAverage(ByDimension):
    """Equal weights."""

    def _find_weights(self, objective: Objective) -> np.ndarray:
        M = objective.present.shape[1]
        return np.full(M, 1 / M)


def fuse(
    P: np.ndarray,
    valid: np.ndarray,
    weights: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    label_mean: np.ndarray,
) -> np.ndarray:
    """Fused predictions (T, D) of `P` (M, T, D), `valid` alike; the others are what a fit leaves.

    Errors: numbers of the fit that are not finite.
    """
    if not all(np.isfinite(numbers).all() for numbers in (weights, scale, offset, label_mean)):
        raise EmofuseError("Fusion needs finite weights, scales, offsets and mean labels; fit it again.")
    fused = np.empty(P.shape[1:])
    for d in range(P.shape[2]):
        means = weighted_mean(P[:, :, d], weights[:, d], valid[:, :, d], 0.0)
        somebody = valid[:, :, d].any(axis=0)
        fused[:, d] = np.where(somebody, scale[d] * means + offset[d], label_mean[d])
    return fused


def weighted_mean(P: np.ndarray, weights: np.ndarray, valid: np.ndarray, filler: float) -> np.ndarray:
    """(T,) weighted mean of `P` (M, T) over the members that have each sample; `filler` where nobody has it."""
    P = np.where(valid, P, 0).astype(np.float64)
    totals, counts = weights @ valid, valid.sum(axis=0)
    means = np.full(P.shape[1], float(filler))
    np.divide(P.sum(axis=0), counts, out=means, where=counts > 0)
    return np.divide(weights @ P, totals, out=means, where=totals > NO_WEIGHT)


def check_predictions(P: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """`P` (M, T, D) and `valid` (M, T, D) bool, or EmofuseError. What a member lacks is not looked at."""
    P = np.asarray(P)
    if P.ndim != 3 or min(P.shape) == 0:
        raise EmofuseError(f"Fusion needs predictions of shape (members, samples, dimensions), but got {P.shape}.")
    present = np.ones(P.shape, bool) if valid is None else np.asarray(valid, dtype=bool)
    if present.shape not in (P.shape, P.shape[:2]):
        raise EmofuseError(f"Fusion needs `valid` of shape {P.shape[:2]} or {P.shape}, but got {present.shape}.")
    if present.ndim == 2:
        present = np.broadcast_to(present[:, :, None], P.shape)
    bad = present & ~np.isfinite(P)
    if bad.any():
        m, t, d = np.argwhere(bad)[0]
        raise EmofuseError(
            f"Member {m} predicts {P[m, t, d]} at sample {t} in dimension {d}; expected finite numbers. "
            "Mark what a member lacks in `valid`."
        )
    return P, present


def _of_dimension(P: np.ndarray, Y: np.ndarray, valid: np.ndarray, d: int) -> tuple[np.ndarray, ...]:
    """(M, R) predictions, (R,) labels and (M, R) what is there, of the samples that somebody has."""
    rows = valid[:, :, d].any(axis=0)
    return P[:, rows, d].astype(np.float64), Y[rows, d], valid[:, rows, d]


def _check_labels(Y: np.ndarray, P: np.ndarray) -> np.ndarray:
    Y = np.asarray(Y, dtype=np.float64)
    if Y.shape != P.shape[1:]:
        raise EmofuseError(
            f"Fusion needs labels of shape {P.shape[1:]} (samples, dimensions) as the predictions have, "
            f"but got {Y.shape}."
        )
    if not np.isfinite(Y).all():
        t, d = np.argwhere(~np.isfinite(Y))[0]
        raise EmofuseError(f"The label of sample {t} in dimension {d} is {Y[t, d]}; expected finite numbers.")
    return Y
