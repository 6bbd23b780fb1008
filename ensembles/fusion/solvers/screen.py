"""Find the first of many weight sets that beats the best so far, at the speed of compiled float32.

A batch is first screened (`kernel.py`): every clip that could be right within the rounding error counts as right. A set
whose count doesn't beat the best can't beat it exactly either; the few others are scored by `Problem.right_counts`, the
one definition. So the outcome has the exact bits of scoring every set one by one.
"""

from typing import NamedTuple

import numpy as np

from ensembles.fusion.base import Problem
from ensembles.fusion.solvers import kernel


class Clips(NamedTuple):
    """The clips whose decision depends on the weights, sorted by pattern of missing members and true class.

    `rows` (n, C, M) are their scores; `columns` (C, M, n) and `middles` (C, n) the same as distances from the mean
    member, `spreads` (C, n) the norms of these distances; `patterns` (K, M) which members are there; `edges` (K, C + 1)
    bound the clips of each pattern's classes; `margin` covers the rounding.
    """

    rows: np.ndarray
    columns: np.ndarray
    middles: np.ndarray
    spreads: np.ndarray
    edges: np.ndarray
    patterns: np.ndarray
    margin: np.float32


class Incumbent:
    """The best weights so far (the older stays on ties) and the search for better ones."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self.clips, self.certain = pack(problem)
        C = problem.shape[2]
        totals = np.bincount(problem.y, minlength=C)
        # What a right clip of each class is worth, as whole numbers; `_slack` allows for their rounding.
        if problem.metric == "accuracy":
            self.gains, self._slack = np.ones(C, np.int64), 0
        else:
            unit = 2.0**40 / (totals > 0).sum()
            self.gains = np.round(unit / np.maximum(totals, 1)).astype(np.int64)
            self._slack = len(problem.y)
        self.counts = np.full(C, -1, np.int64)  # of open clips; any count beats these, so the first set is taken
        self.weights = np.zeros(0)
        self.score = -np.inf

    @property
    def perfect(self) -> bool:
        """Whether nothing can be better."""
        return self.score >= 1.0

    @property
    def threshold(self) -> int:
        """Only sets that are worth more in the screen can be better."""
        return int(self.gains @ self.counts) - self._slack

    def offer(self, weights: np.ndarray) -> bool:
        """Take weights (M, C) if they score higher."""
        counts = self._problem.right_counts(weights)
        score = float(self._problem.value(counts))
        if score <= self.score:
            return False
        self.weights, self.score, self.counts = weights, score, counts - self.certain
        return True

    def take_best(self, weights: np.ndarray) -> None:
        """Take the best of the sets (W, M, C), if it is better; of equals the first."""
        W, M, C = weights.shape
        lanes = kernel.aligned(-(-W // kernel.BLOCK) * kernel.BLOCK * C * M).reshape(-1, C, M, kernel.LANES)
        lanes[:] = 0
        for start in range(0, W, kernel.LANES):
            part = weights[start : start + kernel.LANES]
            lanes[start // kernel.LANES, :, :, : len(part)] = part.transpose(2, 1, 0)
        scores = np.empty(len(lanes) * kernel.LANES, np.int64)
        kernel.screen(lanes, self.clips, self.gains, self.counts, self.threshold, scores)
        for w in np.flatnonzero(scores[:W] > self.threshold):
            if scores[w] > self.threshold:
                self.offer(weights[w])


def pack(problem: Problem) -> tuple[Clips, np.ndarray]:
    """The clips that weights can change, and how many of each class (C,) are right whatever the weights."""
    M, N, C = problem.shape
    sharing = problem.missing == "share"
    valid = problem.valid if sharing else np.ones((M, N), bool)
    P = np.where(problem.valid[:, :, None], problem.P, np.float32(0 if sharing else 1 / C))
    always, never = _decided(P, problem.y, valid)
    patterns, pattern = np.unique(valid.T, axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    order = np.lexsort((problem.y, pattern))
    order = order[~(always | never)[order]]
    rows, present = P[:, order].transpose(1, 2, 0), valid[:, order]
    middles = (rows.sum(axis=2) / present.sum(axis=0)[:, None]).T
    columns = np.where(present, rows.transpose(1, 2, 0) - middles[:, None, :], 0)
    bounds = np.arange(len(patterns))[:, None] * C + np.arange(C + 1)
    edges = np.searchsorted(pattern[order] * C + problem.y[order], bounds)
    # Relative rounding errors of M products, M sums, two divisions and the rounding of the weights, twice over.
    margin = np.float32((4 * M + 40) * np.finfo(np.float32).eps / 2)
    clips = Clips(
        np.ascontiguousarray(rows, np.float32),
        np.ascontiguousarray(columns, np.float32),
        np.ascontiguousarray(middles, np.float32),
        np.linalg.norm(columns, axis=1).astype(np.float32),
        edges,
        patterns,
        margin,
    )
    return clips, np.bincount(problem.y[always], minlength=C)


def _decided(P: np.ndarray, y: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) clips that any weights get right, and that none do: a fused score lies between the members' own.

    A clip that nobody has is uniform: the first class is decided.
    """
    clips = np.arange(len(y))
    present = valid[:, :, None]
    low = np.where(present, P, np.float32(np.inf)).min(axis=0)  # (N, C)
    high = np.where(present, P, np.float32(-np.inf)).max(axis=0)
    nobody = ~valid.any(axis=0)
    own_low, own_high = low[clips, y], high[clips, y]
    low[clips, y] = high[clips, y] = -np.inf
    always = np.where(nobody, y == 0, own_low > high.max(axis=1) + 1e-6)
    return always, np.where(nobody, y != 0, own_high < low.max(axis=1) - 1e-6)
