"""Members that are near copies share one vote."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem, fuse
from ensembles.fusion.pooling import LogPool
from models.metrics import log_loss

# Different models of one modality correlate by 0.2 to 0.6 within classes; segments of one ConvNet, or the trials of one
# search, by 0.6 and more.
_ALIKE = 0.6
_MOST_MEMBERS = 1000  # that are compared, each with each


class SharedVotes(Fusion):
    """Equal weights for clusters of members that are alike, shared equally inside each.

    Members are alike where their probabilities correlate within the true classes: that both are right makes no two
    models alike. Clusters are merged as long as their members correlate by 0.6 or more on average. Without near-copies
    it is the plain average; more than 1,000 members are not compared.

    Further attribute after `fit`: `clusters_` (M,), the number of each member's cluster.
    """

    def __init__(self, metric: Metric = "accuracy", missing: Missing = "share"):
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        self.clusters_ = clusters(problem)
        return np.repeat(votes(self.clusters_)[:, None], problem.shape[2], axis=1)


class EqualVotes(Fusion):
    """The plain average or shared votes, whichever has the lower log-loss: what shrinkage goes toward.

    A useless member that resembles none has a vote of its own among shared ones, so these are not always better.
    """

    def __init__(self, metric: Metric = "accuracy", missing: Missing = "share"):
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        return np.repeat(equal_votes(problem)[:, None], problem.shape[2], axis=1)


def equal_votes(problem: Problem) -> np.ndarray:
    """(M,) each member's vote: the same for all, or shared by near copies where that has the lower log-loss."""
    M, _, C = problem.shape
    plain, shared = np.full(M, 1 / M), votes(clusters(problem))
    losses = [
        log_loss(problem.y, fuse(problem.P, np.repeat(one[:, None], C, axis=1), problem.valid, problem.missing))
        for one in (plain, shared)
    ]
    return shared if losses[1] < losses[0] else plain


def votes(clusters: np.ndarray) -> np.ndarray:
    """(M,) each member's vote, from the number of its cluster (M,)."""
    sizes = np.bincount(clusters)
    return 1 / (len(sizes) * sizes[clusters])


def clusters(problem: Problem) -> np.ndarray:
    """(M,) numbers from 0: members of the same are near copies."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    M, _, C = problem.shape
    if not 1 < M <= _MOST_MEMBERS:
        return np.arange(M)
    away = np.where(problem.valid[:, :, None], problem.P, np.float32(0))
    for c in range(C):
        own = problem.y == c
        counts = np.maximum(problem.valid[:, own].sum(axis=1), 1)[:, None]
        away[:, own] -= (away[:, own].sum(axis=1) / counts)[:, None]
    flat = np.where(problem.valid[:, :, None], away, np.float32(0)).reshape(M, -1)
    norms = np.linalg.norm(flat, axis=1)
    flat = flat / np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
    distances = np.clip(1 - (flat @ flat.T).astype(np.float64), 0, 2)
    np.fill_diagonal(distances, 0)
    merged = linkage(squareform(distances, checks=False), "average")
    numbers = fcluster(merged, 1 - _ALIKE, criterion="distance")
    return np.unique(numbers, return_inverse=True)[1].reshape(-1)


def pool_of(shares: np.ndarray, C: int) -> LogPool:
    """The log-pool in which each member has its share (M,) of every class: a weighted geometric mean."""
    return LogPool.of(shares[:, None, None] * np.eye(C), np.zeros(C))
