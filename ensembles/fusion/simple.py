"""The two methods that every other one has to beat."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem


class UniformAverage(Fusion):
    """The same weight for every member: the plain average (Chao 2016)."""

    def __init__(self, metric: Metric = "accuracy", missing: Missing = "share"):
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        return np.full((M, C), 1 / M)


class BestSingle(Fusion):
    """All weight on the member that scores best alone; of equals the one of lower log-loss, then the first."""

    def __init__(self, metric: Metric = "accuracy", missing: Missing = "share"):
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        weights = np.zeros((M, C))
        weights[rank_members(problem)[0]] = 1
        return weights


def rank_members(problem: Problem) -> list[int]:
    """Members from best to worst alone: by the metric, then by log-loss, then by position.

    A clip that a member lacks counts as a uniform guess: nobody else speaks for a single member.
    """
    M, N, C = problem.shape
    P = np.where(problem.valid[:, :, None], problem.P, np.float32(1 / C))
    right = P.argmax(axis=2) == problem.y
    counts = np.stack([right[:, problem.y == c].sum(axis=1) for c in range(C)], axis=1)
    true = P[:, np.arange(N), problem.y].astype(np.float64)
    losses = -np.log(np.maximum(true, np.finfo(np.float32).eps)).mean(axis=1)
    values = problem.value(counts) if problem.counts_right else np.array([problem.worth(p) for p in P])
    return sorted(range(M), key=lambda m: (-values[m], losses[m], m))
