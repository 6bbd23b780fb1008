"""Shrinkage: weights moved toward equal ones or the best single member, as far as nested validation advises."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone

from ensembles.evaluation.folds import inner_folds
from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.wrappers.anchors import anchors, strengths, toward
from ensembles.fusion.wrappers.wrapper import Wrapper
from features.errors import WrongUse


class Shrunk(Wrapper):
    """(1 - s) times a fusion's weights plus s times those of an anchor.

    Anchors are equal votes (`EqualVotes`: near copies may share one) and the best single member. The anchor
    and the strength s, on a grid of `steps` + 1 points from 0 to 1, are those that do best on `folds` inner folds, each
    scored by weights fitted on the others; of equals the strongest, then equal votes. Folds are by group (by clip where
    there are no two groups); without two clips only equal votes are left.

    Further attributes after `fit`: `strength_`, `anchor_` ("equal" or "best"), and `path_`, the inner worth of each
    (anchor, strength).
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
        grid = list(strengths(self.steps))
        probabilities = np.full((len(grid), *problem.P.shape[1:]), 1 / problem.shape[2])
        for fit, rest in inner_folds(problem.y, groups, self.folds, self.seed):
            part = problem.clips(fit)
            fitted = self._fit_inner(part, None if groups is None else [groups[n] for n in fit])
            if fitted.interrupted_:  # no strength is chosen yet, so there are no weights to end with
                raise KeyboardInterrupt
            ends = anchors(part, fitted)
            for i, (anchor, strength) in enumerate(grid):
                self.weights_ = self._mix(toward(fitted, ends[anchor], strength))
                probabilities[i, rest] = self.predict_proba(problem.P[:, rest], problem.valid[:, rest])
        worths = np.array([problem.worth(p) for p in probabilities])
        best = int(np.flatnonzero(worths == worths.max())[-1])
        self.anchor_, self.strength_ = grid[best]
        self.path_ = tuple(zip(grid, worths.tolist(), strict=True))
        everything = self._fit_inner(problem, groups)
        self.interrupted_ = everything.interrupted_
        return self._mix(toward(everything, anchors(problem, everything)[self.anchor_], self.strength_))

    def _fit_inner(self, problem: Problem, groups: Sequence[str] | None) -> Fusion:
        return clone(self.fusion).fit(problem.P, problem.y, problem.valid, groups)
