"""Guo's fusion: a grid search of one weight per member."""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice, pairwise
from math import comb

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.solvers.screen import Incumbent
from features.errors import WrongUse

_BATCH = 8192
_MOST_POINTS = 5_000_000


class GridFusion(Fusion):
    """All weights on a grid with sum 1, one per member, the same for every class (Guo 2019).

    `step` is the distance of the grid's points and has to divide 1. Of equals the first stays; points come with the
    weight moving from the last member to the first. EmofuseError when the grid has too many points to try.

    Further attribute after `fit`: `n_points_`.
    """

    only_right_counts = True

    def __init__(self, step: float = 0.1, metric: Metric = "accuracy", missing: Missing = "share"):
        self.step = step
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        parts = round(1 / self.step) if self.step > 0 else 0
        if parts < 1 or abs(parts * self.step - 1) > 1e-6:
            raise WrongUse(f"GridFusion needs a step that divides 1, such as 0.1 or 0.05, but got step={self.step}.")
        self.n_points_ = comb(parts + M - 1, parts)
        if self.n_points_ > _MOST_POINTS:
            raise WrongUse(
                f"A grid of step {self.step} over {M} members has {self.n_points_:,} points, more than "
                f"{_MOST_POINTS:,}; choose fewer members, a wider step, or the method decision or greedy."
            )
        best = Incumbent(problem)
        points = _simplex(M, parts)
        while batch := list(islice(points, _BATCH)):
            best.take_best(np.repeat(np.array(batch)[:, :, None] / parts, C, axis=2))
        return best.weights


def _simplex(M: int, parts: int) -> Iterator[list[int]]:
    """Every way of giving `parts` equal parts to M members."""
    for bars in combinations(range(parts + M - 1), M - 1):
        edges = [-1, *bars, parts + M - 1]
        yield [right - left - 1 for left, right in pairwise(edges)]
