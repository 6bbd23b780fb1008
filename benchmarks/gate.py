"""An experiment: a gate that weighs the members anew for each clip, by how sure each of them is of it.

Whether it is worth its place among the methods is measured by `python benchmarks/fusion_methods.py` (docs/fusion.md).
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from ensembles.evaluation.folds import inner_folds
from ensembles.fusion.base import Fusion, Metric, Missing, Problem, check_probabilities
from models.metrics import FLOOR

_STRENGTHS = (1000.0, 100.0, 10.0, 1.0)


class ConfidenceGate(Fusion):
    """The weight of member m for a clip is a softmax over members of a[m] + b[m] certainty + c[m] margin.

    Certainty is 1 minus the normalised entropy of what the member says of the clip, margin the distance of its two
    highest probabilities; both are standardised by member. The log-loss of the weighted sum is minimised, with a
    penalty of strength / 2 times the squared coefficients, which pulls toward the plain average; of the strengths the
    one of lowest log-loss on inner folds by group is taken.
    """

    def __init__(
        self,
        strengths: Sequence[float] = _STRENGTHS,
        folds: int = 5,
        seed: int = 0,
        metric: Metric = "accuracy",
        missing: Missing = "share",
    ):
        self.strengths = strengths
        self.folds = folds
        self.seed = seed
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        raw = _signs(problem.P)
        self._mean, self._deviation = raw.mean(axis=1, keepdims=True), raw.std(axis=1, keepdims=True) + 1e-6
        signs = self._standardised(problem.P)
        losses = np.zeros(len(self.strengths))
        for fit, rest in inner_folds(problem.y, groups, self.folds, self.seed):
            part, other = problem.clips(fit), problem.clips(rest)
            for i, strength in enumerate(self.strengths):
                found = _fitted(part, signs[:, fit], strength)
                losses[i] += _loss(found, other, signs[:, rest])[0]
        self.strength_ = self.strengths[int(losses.argmin())]
        self.coefficients_ = _fitted(problem, signs, self.strength_)
        mean = _shares(self.coefficients_, signs, problem.valid).mean(axis=1)
        return np.repeat((mean / mean.sum())[:, None], problem.shape[2], axis=1)

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused probabilities (N, C) of `P` (M, N, C), each clip by weights of its own."""
        P, valid = check_probabilities(P, valid)
        shares = _shares(self.coefficients_, self._standardised(P), valid)
        fused = np.einsum("mn,mnc->nc", shares, np.where(valid[:, :, None], P, 0))
        total = fused.sum(axis=1, keepdims=True)
        return np.divide(fused, total, out=np.full_like(fused, 1 / P.shape[2]), where=total > 0)

    def _standardised(self, P: np.ndarray) -> np.ndarray:
        return (_signs(P) - self._mean) / self._deviation


def _signs(P: np.ndarray) -> np.ndarray:
    """(M, N, 2): certainty and margin of what each member says of each clip."""
    entropy = -(P * np.log(np.maximum(P, FLOOR))).sum(axis=2) / np.log(P.shape[2])
    top = np.sort(P, axis=2)
    return np.stack([1 - entropy, top[:, :, -1] - top[:, :, -2]], axis=2).astype(np.float64)


def _shares(coefficients: np.ndarray, signs: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(M, N) the weight of each member for each clip; `coefficients` (M, 3) are the offset and those of the signs."""
    logits = coefficients[:, :1] + (signs * coefficients[:, None, 1:]).sum(axis=2)
    logits = np.where(valid, logits, -np.inf)
    weights = np.exp(logits - np.where(valid.any(axis=0), logits.max(axis=0), 0))
    return weights / np.maximum(weights.sum(axis=0), FLOOR)


def _loss(coefficients: np.ndarray, problem: Problem, signs: np.ndarray) -> tuple[float, np.ndarray]:
    """The clips' summed log-loss and its gradient (M, 3)."""
    shares = _shares(coefficients, signs, problem.valid)
    own = shares * problem.P[:, np.arange(len(problem.y)), problem.y]
    p = np.maximum(own.sum(axis=0), FLOOR)
    slopes = shares - own / p
    gradient = [slopes.sum(axis=1), *np.einsum("mn,mnk->km", slopes, signs)]
    return float(-np.log(p).sum()), np.stack(gradient, axis=1)


def _fitted(problem: Problem, signs: np.ndarray, strength: float) -> np.ndarray:
    shape = len(signs), 1 + signs.shape[2]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = _loss(flat.reshape(shape), problem, signs)
        return loss + strength / 2 * float(flat @ flat), gradient.ravel() + strength * flat

    found = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return np.asarray(found).reshape(shape)
