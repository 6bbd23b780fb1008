"""Caruana's ensemble selection: members join one by one, with replacement."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.solvers.additions import Additions
from features.cores import cores
from features.errors import WrongUse


class GreedySelection(Fusion):
    """Add, `size` times, the member whose addition makes the average best (Caruana 2004).

    A member can be added again: its weight is its share of the additions, the same for every class. Of equals the one
    that is in already wins, then lower log-loss, then the lower name (`names`, (M,); None: the position). The best
    ensemble on the way is kept, of equals the smaller.

    Parameters
    ----------
    size : additions.
    names : (M,), which break ties (None: positions).
    metric : what is maximised, "accuracy" or "unweighted_accuracy".
    missing : "share" or "uniform", see `ensembles.fusion.pooling.fuse`.
    bags : how often it is done with a random half of the members, weights averaged (0: once with all).
    seed : draws the halves.
    n_jobs : threads (None: all cores).

    Attributes
    ----------
    weights_ : (M, C), the same for every class, and what every `Fusion` has.
    trace_ : (member, score) of each addition, of all bags in turn.
    """

    def __init__(
        self,
        size: int = 25,
        names: Sequence[str] | None = None,
        metric: Metric = "accuracy",
        missing: Missing = "share",
        bags: int = 0,
        seed: int = 0,
        n_jobs: int | None = None,
    ):
        self.size = size
        self.names = names
        self.metric = metric
        self.missing = missing
        self.bags = bags
        self.seed = seed
        self.n_jobs = n_jobs

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        if self.size < 1:
            raise WrongUse(f"GreedySelection needs a size of at least 1, but got size={self.size}.")
        if self.names is not None and len(self.names) != M:
            raise WrongUse(f"GreedySelection needs one name per member, but got {len(self.names)} for {M} members.")
        if self.bags < 0:
            raise WrongUse(f"GreedySelection needs 0 bags or more, but got bags={self.bags}.")
        order = np.arange(M) if self.names is None else np.argsort(np.argsort(np.asarray(self.names), kind="stable"))
        rng = np.random.default_rng(self.seed)
        halves = [rng.choice(M, (M + 1) // 2, replace=False) for _ in range(self.bags)]
        self.trace_: list[tuple[int, float]] = []
        with ThreadPoolExecutor(self.n_jobs or cores()) as pool:
            sums = Additions(problem, pool)
            shares = [self._select(sums, order, members) for members in halves or [np.arange(M)]]
        return np.repeat(np.mean(shares, axis=0)[:, None], C, axis=1)

    def _select(self, sums: Additions, order: np.ndarray, members: np.ndarray) -> np.ndarray:
        """(M,) the share of each member in the best ensemble of some of them."""
        barred = np.ones(len(order), bool)
        barred[members] = False
        counts = np.zeros(len(order), int)
        best_counts, best_score = counts, -np.inf
        sums.clear()
        for _ in range(self.size):
            scores = np.where(barred, -np.inf, sums.scores_with_each())
            equal = np.flatnonzero(scores == scores.max())
            losses = sums.log_losses_with(equal) if len(equal) > 1 else np.zeros(1)
            tied = zip(equal.tolist(), losses, strict=True)
            chosen, _ = min(tied, key=lambda e: (counts[e[0]] == 0, e[1], order[e[0]]))
            sums.add(chosen)
            counts[chosen] += 1
            self.trace_.append((chosen, float(scores[chosen])))
            if scores[chosen] > best_score:
                best_counts, best_score = counts.copy(), scores[chosen]
        return best_counts / best_counts.sum()
