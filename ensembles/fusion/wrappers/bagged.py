"""Bagging: the mean of the weights over bootstrap samples of the groups."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone

from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.wrappers.wrapper import Wrapper
from features.errors import WrongUse


class Bagged(Wrapper):
    """Fit a fusion on `n` bootstrap samples and average the weights (Caruana 2004, section 2.3, bags members instead).

    Whole groups are drawn, with replacement; without `groups` every clip is its own. Weights that a few clips happened
    to favour are averaged away.

    Ctrl-C ends it with the samples that are done. Further attribute after `fit`: `bag_weights_` (n, M, C).
    """

    def __init__(self, fusion: Fusion, n: int = 10, seed: int = 0):
        self.fusion = fusion
        self.n = n
        self.seed = seed

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        if self.n < 1:
            raise WrongUse(f"Bagging needs at least 1 bootstrap sample, but got n={self.n}.")
        names = np.arange(len(problem.y)) if groups is None else np.asarray(groups)
        _, codes = np.unique(names, return_inverse=True)
        members = [np.flatnonzero(codes == g) for g in range(codes.max() + 1)]
        rng = np.random.default_rng(self.seed)
        bags: list[Fusion] = []
        for _ in range(self.n):
            rows = np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
            drawn = names[rows].astype(str).tolist()
            try:
                bags.append(clone(self.fusion).fit(problem.P[:, rows], problem.y[rows], problem.valid[:, rows], drawn))
            except KeyboardInterrupt:
                if not bags:
                    raise
                self.interrupted_ = True
            self.interrupted_ |= bags[-1].interrupted_
            if self.interrupted_:
                break
        self.bag_weights_ = np.stack([bag.weights_ for bag in bags])
        return self._mix([(1 / len(bags), bag) for bag in bags])
