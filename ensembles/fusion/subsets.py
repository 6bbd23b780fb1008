"""The plain average of every subset of the members."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.pooling import equal_share
from features.errors import WrongUse
from models.metrics import FLOOR

_MOST_MEMBERS = 12
_CHUNK_VALUES = 2_000_000  # scores held at once: a chunk of clips for all subsets


class SubsetSearch(Fusion):
    """Try all 2^M - 1 subsets, each with equal weights (Kahou 2015, section 5, tried all subsets of its models).

    Of equals the subset of fewer members wins, then the one of lower log-loss. WrongUse with more than 12 members.

    Further attribute after `fit`: `subset_`, the positions of its members.
    """

    only_right_counts = True

    def __init__(self, metric: Metric = "accuracy", missing: Missing = "share"):
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        if M > _MOST_MEMBERS:
            raise WrongUse(
                f"SubsetSearch tries all subsets of at most {_MOST_MEMBERS} members, but got {M}; choose fewer "
                "(--top 12), or the method greedy."
            )
        counts, losses = _score_all(problem)
        values = problem.value(counts)
        sizes = np.bitwise_count(np.arange(1, 1 << M))
        best = 1 + min(np.flatnonzero(values == values.max()).tolist(), key=lambda s: (sizes[s], losses[s]))
        self.subset_ = tuple(m for m in range(M) if best >> m & 1)
        weights = np.zeros((M, C))
        weights[list(self.subset_)] = 1 / len(self.subset_)
        return weights


def _score_all(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(2^M - 1, C) right clips of each class and (2^M - 1,) summed log-losses; bit m of row s - 1 is member m."""
    M, N, C = problem.shape
    sharing = problem.missing == "share"
    P = np.where(problem.valid[:, :, None], problem.P, np.float32(0 if sharing else 1 / C))
    present = problem.valid if sharing else np.ones((M, N), bool)
    # A clip that no member of the subset has is left to all who have it, as `fuse` does.
    others = equal_share(P, present)
    counts, losses = np.zeros((1 << M, C), np.int64), np.zeros(1 << M)
    step = max(1, _CHUNK_VALUES // (C << M))
    for start in range(0, N, step):
        part = slice(start, start + step)
        y, rows = problem.y[part], np.arange(len(problem.y[part]))
        sums, sizes = _subset_sums(P[:, part]), _subset_sums(present[:, part])
        nobody = sizes == 0
        right = np.where(nobody, others[part].argmax(axis=1) == y, sums.argmax(axis=2) == y)
        equal = np.where(present[:, part].any(axis=0), others[part][rows, y], 1 / C)
        p = np.where(nobody, equal, sums[:, rows, y] / np.maximum(sizes, 1))
        losses -= np.log(np.maximum(p, FLOOR)).sum(axis=1)
        for c in np.unique(y):
            counts[:, c] += right[:, y == c].sum(axis=1)
    return counts[1:], losses[1:]


def _subset_sums(values: np.ndarray) -> np.ndarray:
    """(2^M, ...) sums of `values` (M, ...) over each subset, by one addition each: its last member onto the others."""
    M = len(values)
    sums = np.zeros((1 << M, *values.shape[1:]))
    for m in range(M):
        np.add(sums[: 1 << m], values[m], out=sums[1 << m : 2 << m])
    return sums
