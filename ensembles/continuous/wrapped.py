"""Bagging and shrinkage of continuous fusions: against weights that a few recordings happened to favour."""

import numpy as np
from sklearn.base import clone

from ensembles.continuous.concordance import concordance
from ensembles.continuous.fusion import ContinuousMethod
from ensembles.evaluation.folds import group_folds
from features.errors import WrongUse


class _Wrapped(ContinuousMethod):
    """A fusion that fits another one several times."""

    fusion: ContinuousMethod

    @property
    def recalibrate(self) -> bool:  # type: ignore[override]
        """As the inner fusion has it."""
        return self.fusion.recalibrate


class ContinuousBagged(_Wrapped):
    """The mean of a fusion's weights over bootstrap samples of the groups.

    Parameters
    ----------
    fusion : what is fitted on each sample; its `recalibrate` holds for the mean of the weights too.
    n : how many samples are drawn; each draws as many groups as there are, with replacement.
    seed : draws them.

    Attributes after `fit`: those of every method, and `bag_weights_` (n, M, D).
    """

    def __init__(self, fusion: ContinuousMethod, n: int = 10, seed: int = 0):
        self.fusion = fusion
        self.n = n
        self.seed = seed

    def _find_all(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray, groups: np.ndarray) -> np.ndarray:
        if self.n < 1:
            raise WrongUse(f"Bagging needs at least 1 bootstrap sample, but got n={self.n}.")
        _, codes = np.unique(groups, return_inverse=True)
        samples_of = [np.flatnonzero(codes == g) for g in range(codes.max() + 1)]
        rng = np.random.default_rng(self.seed)
        bags = []
        for _ in range(self.n):
            rows = np.concatenate([samples_of[g] for g in rng.integers(len(samples_of), size=len(samples_of))])
            bags.append(clone(self.fusion).fit(P[:, rows], Y[rows], valid[:, rows], groups[rows].tolist()).weights_)
        self.bag_weights_ = np.stack(bags)
        return self.bag_weights_.mean(axis=0)


class ContinuousShrunk(_Wrapped):
    """A fusion's weights moved toward equal ones, for each dimension as far as inner folds by group advise.

    Parameters
    ----------
    fusion : what is fitted, on all samples and on each inner fold.
    folds : how many inner folds; with fewer groups, as many as groups.
    steps : the strength is one of 0, 1/steps, ..., 1: the one of highest CCC over all folds' other samples, of equals
        the stronger; 1 (equal weights) where there is only one group.
    seed : shuffles the folds.

    Attributes after `fit`: those of every method, and `strength_` (D,).
    """

    def __init__(self, fusion: ContinuousMethod, folds: int = 5, steps: int = 10, seed: int = 0):
        self.fusion = fusion
        self.folds = folds
        self.steps = steps
        self.seed = seed

    def _find_all(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray, groups: np.ndarray) -> np.ndarray:
        if self.folds < 2 or self.steps < 1:
            raise WrongUse(
                f"Shrinkage needs 2 folds and 1 step or more, but got folds={self.folds} and steps={self.steps}."
            )
        strengths = np.arange(self.steps + 1) / self.steps
        _, T, D = P.shape
        self.strength_ = np.ones(D)
        if len(np.unique(groups)) > 1:
            fused = np.empty((len(strengths), T, D))
            for fit, rest in group_folds(np.zeros(T, int), groups.tolist(), self.folds, self.seed):
                inner = clone(self.fusion).fit(P[:, fit], Y[fit], valid[:, fit], groups[fit].tolist())
                own = inner.weights_
                for i, strength in enumerate(strengths):
                    inner.weights_ = _toward_equal(own, strength)
                    inner.calibrate(P[:, fit], Y[fit], valid[:, fit])
                    fused[i, rest] = inner.predict(P[:, rest], valid[:, rest])
            for d in range(D):
                scores = np.array([concordance(Y[:, d], p) for p in fused[:, :, d]])
                self.strength_[d] = strengths[np.flatnonzero(scores == scores.max())[-1]]
        everything = clone(self.fusion).fit(P, Y, valid, groups.tolist())
        return _toward_equal(everything.weights_, self.strength_)


def _toward_equal(weights: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
    return (1 - strength) * weights + strength / len(weights)
