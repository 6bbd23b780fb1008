"""Find the first of many weight sets that beats the best so far, at the speed of float32.

A batch is first screened in float32: every clip that could be right within the rounding error counts as right. A set
whose count doesn't beat the best can't beat it exactly either; the few others are scored by `Problem.score`, the one
definition. So the outcome has the exact bits of scoring every set one by one.
"""

import numpy as np

from ensembles.fusion.base import Problem, equal_share

_CHUNK = 128  # weight sets at once: the scores of a chunk stay in the cache


class Incumbent:
    """The best weights so far (the older stays on ties) and the search for better ones."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._screen = _Screen(problem)
        self.weights = np.zeros(0)
        self.score = -np.inf

    @property
    def perfect(self) -> bool:
        """Whether nothing can be better."""
        return self.score >= 1.0

    def take_first_better(self, weights: np.ndarray) -> int | None:
        """Take the first of the sets (W, M, C) whose score is higher; return its index, None when there is none."""
        for start in range(0, len(weights), _CHUNK):
            bounds = self._screen.upper_bounds(weights[start : start + _CHUNK])
            for w in np.flatnonzero(bounds > self.score):
                score = self._problem.score(weights[start + w])
                if score > self.score:
                    self.score, self.weights = score, weights[start + w]
                    return int(start + w)
        return None


class _Screen:
    """Upper bounds of the metric in float32, over the clips whose decision depends on the weights at all."""

    def __init__(self, problem: Problem):
        M, N, C = problem.shape
        valid = problem.valid
        P = np.where(valid[:, :, None], problem.P, np.float32(1 / C if problem.missing == "uniform" else 0))
        shared = ~valid.all(axis=0) & (problem.missing == "share")
        always, never = _decided(P, problem.y, valid if problem.missing == "share" else np.ones((M, N), bool))
        # Relative rounding errors of M products, M sums, the rounding of the weights and one division, twice over.
        self._margin = np.float32((4 * M + 32) * np.finfo(np.float32).eps / 2)
        self._problem = problem
        self._certain = np.bincount(problem.y[always], minlength=C)
        open_ = ~(always | never)
        self._parts = [
            _Part(c, P[:, rows], valid[:, rows], bool(incomplete))
            for c in range(C)
            for incomplete in (False, True)
            if (rows := open_ & (problem.y == c) & (shared == incomplete)).any()
        ]

    def upper_bounds(self, weights: np.ndarray) -> np.ndarray:
        """(W,) values that the metric of each set (W, M, C) can't exceed."""
        counts = np.tile(self._certain, (len(weights), 1))
        columns = np.ascontiguousarray(weights.transpose(2, 0, 1), dtype=np.float32)  # (C, W, M)
        for part in self._parts:
            counts[:, part.label] += part.maybe_right(columns, self._margin)
        return self._problem.value(counts)


class _Part:
    """Clips of one true class, either all complete or all lacking a member whose weight is shared."""

    def __init__(self, label: int, P: np.ndarray, valid: np.ndarray, incomplete: bool):
        self.label = label
        self._P = np.ascontiguousarray(P.transpose(2, 0, 1))  # (C, M, n)
        self._valid = valid.astype(np.float32) if incomplete else None
        self._equal = equal_share(P, valid).T.astype(np.float32)  # (C, n)

    def maybe_right(self, columns: np.ndarray, margin: np.float32) -> np.ndarray:
        """(W,) clips that may be decided right by the weights (C, W, M)."""
        first, *others = (c for c in range(len(columns)) if c != self.label)
        rivals = self._scores(first, columns[first])
        for c in others:
            np.maximum(rivals, self._scores(c, columns[c]), out=rivals)
        return np.count_nonzero(self._scores(self.label, columns[self.label]) >= rivals - margin, axis=1)

    def _scores(self, c: int, column: np.ndarray) -> np.ndarray:
        scores = column @ self._P[c]  # (W, n)
        if self._valid is None:
            return scores
        present = column @ self._valid
        return np.divide(scores, present, out=np.tile(self._equal[c], (len(column), 1)), where=present > 0)


def _decided(P: np.ndarray, y: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) clips that any weights get right, and that none do: a fused score lies between the members' own."""
    clips = np.arange(len(y))
    present = valid[:, :, None]
    low = np.where(present, P, np.float32(np.inf)).min(axis=0)  # (N, C)
    high = np.where(present, P, np.float32(-np.inf)).max(axis=0)
    own_low, own_high = low[clips, y], high[clips, y]
    low[clips, y] = high[clips, y] = -np.inf
    return own_low > high.max(axis=1) + 1e-6, own_high < low.max(axis=1) - 1e-6
