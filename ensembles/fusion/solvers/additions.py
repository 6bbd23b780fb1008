"""What each member would make of a growing average, for all members at once.

Clips are sorted by true class and lie next to each other (lanes), so that every step works on many clips at once. The
sums are float64 and are compared as `argmax` does: of equal classes the first wins.
"""

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from ensembles.fusion.base import Problem
from ensembles.fusion.solvers.compiled import compiled
from models.metrics import worth

_FLOOR = float(np.finfo(np.float32).eps)
_PARTS = 16  # pieces of the work, for up to so many threads
_CLIPS = 1024  # clips tried at once: what is known of them stays in the first cache


class Additions:
    """The summed scores of the chosen members, and the metric after adding each of the others."""

    def __init__(self, problem: Problem, pool: Executor):
        M, N, C = problem.shape
        order = np.argsort(problem.y, kind="stable")
        self._problem, self._pool, self._y = problem, pool, problem.y[order]
        self._edges = np.searchsorted(problem.y[order], np.arange(C + 1))
        self._present = problem.valid[:, order] if problem.missing == "share" else np.ones((M, N), bool)
        self._P = np.empty((M, C, N), np.float32)
        filler = np.float32(1 / C if problem.missing == "uniform" else 0)
        self._on_members(_sort, problem.P, problem.valid, order, filler, self._P)
        # A clip that no chosen member has is left to all who have it, as `fuse` does.
        self._anyone = self._present.any(axis=0)
        if not self._present.all():
            equal = self._P.sum(axis=0, dtype=np.float64) / np.maximum(self._present.sum(axis=0), 1)
            self._nobody_right = equal.argmax(axis=0) == problem.y[order]
            self._nobody_p = np.where(self._anyone, self._own(equal[None])[0], 1 / C)
        self.clear()

    def clear(self) -> None:
        """Start again, without members."""
        self._sum = np.zeros(self._P.shape[1:])
        self._count = np.zeros(self._P.shape[2], int)

    def add(self, member: int) -> None:
        """Add a member for good."""
        self._sum += self._P[member]
        self._count += self._present[member]

    def scores_with_each(self) -> np.ndarray:
        """(M,) the metric after adding each member, turned so that more is better."""
        if self._problem.metric == "log_loss":
            return -self.log_losses_with(np.arange(len(self._P)))
        if not self._problem.counts_right:
            return np.array([self._worth_with(m) for m in range(len(self._P))])
        right = np.empty((len(self._P), self._P.shape[1]), np.int64)
        self._on_members(_right_counts, self._P, self._sum, self._edges, right)
        if not self._present.all():
            self._leave_to_others(right)
        return self._problem.value(right)

    def _worth_with(self, member: int) -> float:
        """The metric after adding a member, from the scores of all classes."""
        sums, count = self._sum + self._P[member], self._count + self._present[member]
        if not count.all():
            equal = self._P.sum(axis=0, dtype=np.float64) / np.maximum(self._present.sum(axis=0), 1)
            sums = np.where(count > 0, sums, equal)
        return worth(self._problem.metric, self._y, sums.T)

    def _leave_to_others(self, right: np.ndarray) -> None:
        """Mend the counts (M, C) for clips that neither the chosen members nor the added one have: all scores are 0."""
        for c, (start, stop) in enumerate(zip(self._edges[:-1], self._edges[1:], strict=True)):
            rows = start + np.flatnonzero(self._count[start:stop] == 0)
            gain = self._nobody_right[rows].astype(int) - (c == 0)
            right[:, c] += ~self._present[:, rows] @ gain

    def log_losses_with(self, members: np.ndarray) -> np.ndarray:
        """The log-loss after adding each of the given members."""
        true = self._own(self._P[members]) + self._own(self._sum[None])
        count = self._count + self._present[members]
        if not count.all():
            true = np.where(count > 0, true, self._nobody_p)
        return -np.log(np.maximum(true / np.maximum(count, 1), _FLOOR)).mean(axis=1)

    def _own(self, values: np.ndarray) -> np.ndarray:
        """(K, N) what `values` (K, C, N) say of each clip's true class."""
        pairs = enumerate(zip(self._edges[:-1], self._edges[1:], strict=True))
        return np.concatenate([values[:, c, start:stop] for c, (start, stop) in pairs], axis=1)

    def _on_members(self, work: Callable[..., None], *arrays: np.ndarray | np.float32) -> None:
        edges = np.linspace(0, len(self._P), _PARTS + 1).astype(int)
        list(self._pool.map(lambda start, stop: work(start, stop, *arrays), edges[:-1], edges[1:]))


@compiled
def _sort(
    start: int, stop: int, P: np.ndarray, valid: np.ndarray, order: np.ndarray, filler: np.float32, out: np.ndarray
) -> None:
    """Write members start to stop of P (M, N, C) to out (M, C, N), the clips in the given order."""
    C, N = out.shape[1:]
    for m in range(start, stop):
        for c in range(C):
            for i in range(N):
                n = order[i]
                out[m, c, i] = P[m, n, c] if valid[m, n] else filler


@compiled
def _right_counts(start: int, stop: int, P: np.ndarray, sums: np.ndarray, edges: np.ndarray, right: np.ndarray) -> None:
    """Write right (M, C): clips of each true class that the sums (C, N) with each of the members get right."""
    C, N = sums.shape
    own, lost = np.empty(_CLIPS), np.empty(_CLIPS, np.int64)
    for m in range(start, stop):
        right[m] = 0
        for first in range(0, N, _CLIPS):
            n = min(_CLIPS, N - first)
            lost[:] = 0
            for c in range(C):
                a, b = max(edges[c] - first, 0), min(edges[c + 1] - first, n)
                if a < b:
                    _add(P[m, c, first + a : first + b], sums[c, first + a : first + b], own[a:b])
            for c in range(C):
                a, b = min(edges[c] - first, n), max(edges[c + 1] - first, 0)
                scores, summed = P[m, c, first : first + n], sums[c, first : first + n]
                if a > 0:
                    _note_lost(scores[:a], summed[:a], own[:a], lost[:a], False)
                if b < n:
                    _note_lost(scores[b:], summed[b:], own[b:n], lost[b:n], True)
            for c in range(C):
                for i in range(max(edges[c] - first, 0), min(edges[c + 1] - first, n)):
                    right[m, c] += 1 - lost[i]


@compiled
def _add(scores: np.ndarray, summed: np.ndarray, own: np.ndarray) -> None:
    for i in range(len(own)):
        own[i] = summed[i] + scores[i]


@compiled
def _note_lost(scores: np.ndarray, summed: np.ndarray, own: np.ndarray, lost: np.ndarray, ties: bool) -> None:
    """Set lost (n,) to 1 where another class has more than the true one, or as much if the tie is lost."""
    if ties:
        for i in range(len(own)):
            lost[i] |= np.int64(summed[i] + scores[i] >= own[i])
    else:
        for i in range(len(own)):
            lost[i] |= np.int64(summed[i] + scores[i] > own[i])
