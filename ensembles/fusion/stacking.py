"""Stacking: regularised multinomial logistic regression on the members' log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.folds import inner_folds
from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.pooling import LogPool, equal_share, smooth_logs
from ensembles.fusion.wrapper import weights_of
from features.errors import WrongUse


class Stacking(Fusion):
    """Multinomial logistic regression with one non-negative coefficient per member and class.

    The logit of class c is the sum over members of a[m, c] log p[m, c], plus a bias per class. What a member says of
    class c goes into the logit of c alone (a full regression has M C^2 coefficients, for some hundred clips), which
    leaves as many coefficients as decision fusion has weights: `weights_` is a over its sum for each class, the sums
    are `log_pool_.slopes`. The penalty is strength / 2 times the squared distance from the plain geometric mean of the
    members (a = 1 / M, no bias); of `strengths` the one of lowest log-loss on `folds` inner folds by group is taken.
    Members are first mixed with 1 % of the uniform distribution, so that no single 0 vetoes a class.

    It minimises log-loss; `metric` is only what `fit_score_` tells.

    Further attributes after `fit`: `strength_`, `path_` (the inner log-loss of each strength).
    """

    def __init__(
        self,
        strengths: Sequence[float] = (0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0),
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
        M, _, C = problem.shape
        strengths = _checked(self.strengths)
        if self.folds < 2:
            raise WrongUse(f"Stacking needs 2 folds or more, but got folds={self.folds}.")
        regression = _Regression.of(problem)
        losses = np.zeros(len(strengths))
        for fit, rest in inner_folds(problem.y, groups, self.folds, self.seed) if len(strengths) > 1 else ():
            fitted, scored = regression.of_clips(fit), regression.of_clips(rest)
            coefficients = _start(M, C)
            for i, strength in enumerate(strengths):
                coefficients = fitted.solve(strength, coefficients)
                losses[i] += scored.loss(coefficients)[0]
        self.strength_ = strengths[int(losses.argmin())]
        self.path_ = tuple(zip(strengths, (losses / len(problem.y)).tolist(), strict=True))
        coefficients = regression.solve(self.strength_, _start(M, C))
        self.log_pool_ = LogPool(tuple(coefficients[:M].sum(axis=0).tolist()), tuple(coefficients[M].tolist()))
        return weights_of(coefficients[:M])


def _checked(strengths: Sequence[float]) -> list[float]:
    """The strengths from the strongest, so that each solution starts near the one before."""
    try:
        numbers = [float(strength) for strength in strengths]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or min(numbers) <= 0:
        raise WrongUse(f"Stacking needs strengths as a list of numbers above 0, but got strengths={strengths!r}.")
    return sorted(numbers, reverse=True)


def _start(M: int, C: int) -> np.ndarray:
    """(M + 1, C): the geometric mean; the last row holds the biases."""
    return np.concatenate([np.full((M, C), 1 / M), np.zeros((1, C))])


@dataclass(frozen=True, eq=False)
class _Regression:
    """Log-probabilities `logs` (C, M, N), 0 where a member lacks a clip, `present` (M, N), labels `y` (N,).

    `equal` (C, N) is the mean over those that have the clip. Coefficients are (M + 1, C), the last row are the biases.
    """

    logs: np.ndarray
    present: np.ndarray
    equal: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, problem: Problem) -> "_Regression":
        """The clips that somebody has."""
        C = problem.shape[2]
        sharing = problem.missing == "share"
        rows = np.flatnonzero(problem.valid.any(axis=0))
        valid = problem.valid[:, rows]
        logs = np.where(valid[:, :, None], smooth_logs(problem.P[:, rows]), 0.0 if sharing else np.log(1 / C))
        present = valid if sharing else np.ones_like(valid)
        equal = equal_share(logs, present).T
        return cls(np.ascontiguousarray(logs.transpose(2, 0, 1)), present.astype(float), equal, problem.y[rows])

    def of_clips(self, rows: np.ndarray) -> "_Regression":
        """Some of the clips."""
        return _Regression(self.logs[:, :, rows], self.present[:, rows], self.equal[:, rows], self.y[rows])

    def loss(self, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        """Summed log-loss, and its gradient (M + 1, C).

        Coefficients of members that lack a clip are shared among the others, so a logit is their sum over all members
        times the weighted mean over those that have the clip.
        """
        a, biases = coefficients[:-1].T, coefficients[-1]  # (C, M), (C,)
        totals = a.sum(axis=1)[:, None]
        there = a @ self.present  # (C, N)
        sums = np.matmul(a[:, None, :], self.logs)[:, 0]
        means = np.divide(sums, there, out=self.equal.copy(), where=there > 0)
        logits = totals * means + biases[:, None]
        logits -= logits.max(axis=0)
        p = np.exp(logits)
        norm = p.sum(axis=0)
        clips = np.arange(len(self.y))
        loss = float((np.log(norm) - logits[self.y, clips]).sum())
        slope = p / norm
        slope[self.y, clips] -= 1
        share = np.divide(slope * totals, there, out=np.zeros_like(slope), where=there > 0)
        gradient = (slope * means).sum(axis=1)[:, None] + np.matmul(self.logs, share[:, :, None])[:, :, 0]
        gradient -= (share * means) @ self.present.T
        return loss, np.concatenate([gradient.T, slope.sum(axis=1)[None]])

    def solve(self, strength: float, start: np.ndarray) -> np.ndarray:
        """The coefficients of least penalised loss."""
        from scipy.optimize import minimize

        M, C = len(start) - 1, start.shape[1]
        centre = _start(M, C)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            coefficients = flat.reshape(M + 1, C)
            loss, gradient = self.loss(coefficients)
            away = coefficients - centre
            return loss + strength / 2 * float((away * away).sum()), (gradient + strength * away).ravel()

        bounds = [(0, None)] * (M * C) + [(None, None)] * C
        found = minimize(objective, start.ravel(), jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 300})
        return found.x.reshape(M + 1, C)
