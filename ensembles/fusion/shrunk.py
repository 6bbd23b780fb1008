"""Shrinkage: weights moved toward equal ones, as far as nested validation advises."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone

from ensembles.evaluation.folds import inner_folds
from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.pooling import LogPool
from ensembles.fusion.simple import UniformAverage
from ensembles.fusion.wrapper import Wrapper
from features.errors import WrongUse


class Shrunk(Wrapper):
    """(1 - s) times a fusion's weights plus s times equal weights.

    The strength s, on a grid of `steps` + 1 points from 0 to 1, is the one that does best on `folds` inner folds, each
    scored by weights fitted on the others; of equals the stronger. Folds are by group (by clip where there are no two
    groups), and s is 1 where there are no two clips.

    Further attributes after `fit`: `strength_`, and `path_`, the inner score of each strength.
    """

    def __init__(self, fusion: Fusion, folds: int = 5, steps: int = 10, seed: int = 0):
        self.fusion = fusion
        self.folds = folds
        self.steps = steps
        self.seed = seed

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        if self.folds < 2 or self.steps < 1:
            raise WrongUse(
                f"Shrinkage needs 2 folds and 1 step or more, but got folds={self.folds} and steps={self.steps}."
            )
        strengths = np.arange(self.steps + 1) / self.steps
        counts = np.zeros((len(strengths), problem.shape[2]), int)
        for fit, rest in inner_folds(problem.y, groups, self.folds, self.seed):
            fitted = self._fit_inner(problem, fit, groups)
            if fitted.interrupted_:  # no strength is chosen yet, so there are no weights to end with
                raise KeyboardInterrupt
            for i, strength in enumerate(strengths):
                self.weights_ = self._mix(_toward_equal(fitted, strength))
                p = self.predict_proba(problem.P[:, rest], problem.valid[:, rest])
                right = rest[p.argmax(axis=1) == problem.y[rest]]
                counts[i] += np.bincount(problem.y[right], minlength=problem.shape[2])
        scores = problem.value(counts)
        best = np.flatnonzero(scores == scores.max())[-1]
        self.strength_ = float(strengths[best])
        self.path_ = tuple(zip(strengths.tolist(), scores.tolist(), strict=True))
        everything = self._fit_inner(problem, np.arange(len(problem.y)), groups)
        self.interrupted_ = everything.interrupted_
        return self._mix(_toward_equal(everything, self.strength_))

    def _fit_inner(self, problem: Problem, rows: np.ndarray, groups: Sequence[str] | None) -> Fusion:
        some = None if groups is None else [groups[n] for n in rows]
        return clone(self.fusion).fit(problem.P[:, rows], problem.y[rows], problem.valid[:, rows], some)


def _toward_equal(fusion: Fusion, strength: float) -> list[tuple[float, Fusion]]:
    M, C = fusion.weights_.shape
    equal = UniformAverage(fusion.metric, fusion.missing)
    equal.weights_ = np.full((M, C), 1 / M)
    if fusion.log_pool_ is not None:
        equal.log_pool_ = LogPool.geometric_mean(M, C)
    return [(1 - strength, fusion), (strength, equal)]
