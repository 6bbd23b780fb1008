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
        (M, T, D) bool tells what a member has (None: everything). `groups` (T,) is accepted for one signature with the
        other methods; no method here needs it. Errors: EmofuseError with what the arrays lack.
        """
        P, valid = check_predictions(P, valid)
        Y = _check_labels(Y, P)
        if groups is not None and len(groups) != len(Y):
            raise EmofuseError(f"Fusion needs one group per sample, but got {len(groups)} for {len(Y)} samples.")
        M, _, D = P.shape
        self.weights_, self.scale_, self.offset_ = np.empty((M, D)), np.ones(D), np.zeros(D)
        self.label_mean_ = Y.mean(axis=0)
        self.fit_score_ = np.empty(D)
        for d in range(D):
            # What nobody has tells nothing about the weights.
            rows = valid[:, :, d].any(axis=0)
            if len(np.unique(Y[rows, d])) < 2:
                raise EmofuseError(f"CCC needs labels that vary, but in dimension {d} those with predictions don't.")
            p, y, here = P[:, rows, d].astype(np.float64), Y[rows, d], valid[:, rows, d]
            mean, deviation = y.mean(), y.std()
            objective = Objective.of((p - mean) / deviation, (y - mean) / deviation, here, self.recalibrate)
            self.weights_[:, d] = self._find_weights(objective)
            fused = weighted_mean(p, self.weights_[:, d], here, mean)
            if self.recalibrate and np.ptp(fused) > 0:
                self.scale_[d] = deviation / fused.std()
                self.offset_[d] = mean - self.scale_[d] * fused.mean()
            self.fit_score_[d] = concordance(y, self.scale_[d] * fused + self.offset_[d])
        return self

    @abstractmethod
    def _find_weights(self, objective: Objective) -> np.ndarray:
        """(M,) weights of one dimension."""

    def predict(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused predictions (T, D) of `P` (M, T, D) with the members and dimensions in the order of the fit.

        The weight of a member that lacks a sample is shared among those that have it, in proportion to their weights
        (equally where these are all 0). A sample that nobody has is predicted as the mean label of the fit.
        """
        P, valid = check_predictions(P, valid)
        M, T, D = P.shape
        expected = self.weights_.shape
        if expected != (M, D):
            raise EmofuseError(
                f"Expected predictions of {expected[0]} members in {expected[1]} dimensions as in the fit, "
                f"but got {M} in {D}."
            )
        fused = np.empty((T, D))
        for d in range(D):
            means = weighted_mean(P[:, :, d], self.weights_[:, d], valid[:, :, d], 0.0)
            somebody = valid[:, :, d].any(axis=0)
            fused[:, d] = np.where(somebody, self.scale_[d] * means + self.offset_[d], self.label_mean_[d])
        return fused


class ContinuousFusion(ContinuousMethod):
    """The weights of highest CCC, for each dimension by itself.

    With complete predictions the optimum is global (see `objective`), so nothing is drawn and there is no seed.
    """

    def _find_weights(self, objective: Objective) -> np.ndarray:
        return objective.maximise()


class ContinuousBest(ContinuousMethod):
    """For each dimension the one member of highest CCC on the fit rows; what it lacks, the others give equally."""

    def _find_weights(self, objective: Objective) -> np.ndarray:
        known = np.asarray(objective.present.any(axis=0))
        singles = np.eye(len(known))[known]
        return singles[int(np.argmax([objective.value(w) for w in singles]))]


class ContinuousAverage(ContinuousMethod):
    """Equal weights."""

    def _find_weights(self, objective: Objective) -> np.ndarray:
        M = objective.present.shape[1]
        return np.full(M, 1 / M)


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
