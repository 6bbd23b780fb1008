"""Caruana's ensemble selection: members join one by one, with replacement."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem, equal_share
from features.errors import WrongUse

_FLOOR = float(np.finfo(np.float32).eps)
_CHUNK_VALUES = 4_000_000  # scores held at once while all candidates are tried


class GreedySelection(Fusion):
    """Add, `size` times, the member whose addition makes the average best (Caruana 2004).

    A member can be added again: its weight is its share of the additions, the same for every class. Of equals the one
    that is in already wins, then lower log-loss, then the lower name (`names`, (M,); None: the position). The best
    ensemble on the way is kept, of equals the smaller.

    Further attribute after `fit`: `trace_`, (member, score) of each addition.
    """

    def __init__(
        self,
        size: int = 25,
        names: Sequence[str] | None = None,
        metric: Metric = "accuracy",
        missing: Missing = "share",
    ):
        self.size = size
        self.names = names
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        if self.size < 1:
            raise WrongUse(f"GreedySelection needs a size of at least 1, but got size={self.size}.")
        if self.names is not None and len(self.names) != M:
            raise WrongUse(f"GreedySelection needs one name per member, but got {len(self.names)} for {M} members.")
        order = np.arange(M) if self.names is None else np.argsort(np.argsort(np.asarray(self.names), kind="stable"))
        sums = _RunningSum(problem)
        self.trace_: list[tuple[int, float]] = []
        counts = np.zeros(M, int)
        best_counts, best_score = counts, -np.inf
        for _ in range(self.size):
            scores = sums.scores_with_each()
            equal = np.flatnonzero(scores == scores.max())
            losses = sums.log_losses_with(equal) if len(equal) > 1 else np.zeros(1)
            tied = zip(equal.tolist(), losses, strict=True)
            chosen, _ = min(tied, key=lambda e: (counts[e[0]] == 0, e[1], order[e[0]]))
            sums.add(chosen)
            counts[chosen] += 1
            self.trace_.append((chosen, float(scores[chosen])))
            if scores[chosen] > best_score:
                best_counts, best_score = counts.copy(), scores[chosen]
        return np.repeat(best_counts[:, None] / best_counts.sum(), C, axis=1)


class _RunningSum:
    """The summed scores of the chosen members, and what each candidate would make of them."""

    def __init__(self, problem: Problem):
        M, N, C = problem.shape
        filler = np.float32(1 / C if problem.missing == "uniform" else 0)
        self._problem = problem
        self._P = np.where(problem.valid[:, :, None], problem.P, filler)
        self._present = problem.valid if problem.missing == "share" else np.ones((M, N), bool)
        # A clip that no chosen member has is left to all who have it, as `fuse` does.
        equal = equal_share(self._P, self._present)
        self._nobody_right = equal.argmax(axis=1) == problem.y
        self._nobody_p = np.where(self._present.any(axis=0), equal[np.arange(N), problem.y], 1 / C)
        self._sum = np.zeros((N, C))
        self._count = np.zeros(N, int)

    def scores_with_each(self) -> np.ndarray:
        """(M,) the metric after adding each member."""
        M, N, C = self._problem.shape
        right = np.empty((M, N), bool)
        step = max(1, _CHUNK_VALUES // (N * C))
        for start in range(0, M, step):
            part = slice(start, start + step)
            right[part] = (self._sum + self._P[part]).argmax(axis=2) == self._problem.y
            if not self._count.all():
                right[part] = np.where(self._count + self._present[part] > 0, right[part], self._nobody_right)
        counts = np.stack([right[:, self._problem.y == c].sum(axis=1) for c in range(C)], axis=1)
        return self._problem.value(counts)

    def log_losses_with(self, members: np.ndarray) -> np.ndarray:
        """The log-loss after adding each of the given members."""
        N, y = self._problem.shape[1], self._problem.y
        true = self._sum[np.arange(N), y] + self._P[members][:, np.arange(N), y]
        count = self._count + self._present[members]
        p = np.divide(true, count, out=np.tile(self._nobody_p, (len(members), 1)), where=count > 0)
        return -np.log(np.maximum(p, _FLOOR)).mean(axis=1)

    def add(self, member: int) -> None:
        """Add a member for good."""
        self._sum += self._P[member]
        self._count += self._present[member]
