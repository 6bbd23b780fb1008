"""Greedy ensemble selection that grows with a search: a new member costs a look, not a new selection."""

import numpy as np

from models.metrics import FLOOR

# Additions, as in `ensembles`: what more of them change is small (Caruana 2004).
SIZE = 25


class Selection:
    """Members joining one by one, with replacement, each the one whose joining makes the average's log-loss least.

    What is known of a member is the probability (N,) that it gives to the true class of each clip, NaN where it lacks
    the clip, on which the others are averaged. The path of additions is the one that a selection from scratch would
    take (of equals the member that was added first): a new member takes part from the first step at which it is better
    than what was chosen there; where it is at none, nothing else is computed.

    The log-loss chooses, whatever the search maximises: it moves with every clip. An accuracy on a few hundred clips
    moves only where a decision flips, and many members would be chosen by chance.
    """

    def __init__(self, clips: int, size: int = SIZE):
        self._size = size
        self._true = np.zeros((0, clips), np.float32)  # (capacity, N), 0 where a member lacks the clip
        self._has = np.zeros((0, clips), np.float32)
        self._whole = True  # no member lacks a clip
        self._members = 0
        self._path: list[int] = []
        self._losses: list[float] = []
        self._sums = np.zeros((size, clips), np.float32)  # before each step
        self._counts = np.zeros((size, clips), np.float32)

    def add(self, true: np.ndarray) -> bool:
        """Add members with probabilities `true` (K, N); whether the path changed."""
        first = self._members
        self._keep(true)
        if not self._path:
            self._choose_from(0)
            return True
        fresh = slice(first, self._members)
        steps = range(len(self._path))
        # One step at a time: arrays of one member stay in the cache.
        for step in steps:
            if (self._losses_after(step, fresh) < self._losses[step]).any():
                self._choose_from(step)
                return True
        return False

    @property
    def shares(self) -> np.ndarray:
        """(members,) how often each was added to the best ensemble on the way, of equals the smaller."""
        counts = np.zeros(self._members, int)
        if self._path:
            np.add.at(counts, self._path[: int(np.argmin(self._losses)) + 1], 1)
        return counts

    def _keep(self, true: np.ndarray) -> None:
        end = self._members + len(true)
        if end > len(self._true):
            room = max(end, 2 * len(self._true), 16) - len(self._true)
            self._true, self._has = (np.pad(old, ((0, room), (0, 0))) for old in (self._true, self._has))
        has = ~np.isnan(true)
        self._true[self._members : end] = np.where(has, true, 0.0)
        self._has[self._members : end] = has
        self._whole = self._whole and bool(has.all())
        self._members = end

    def _choose_from(self, step: int) -> None:
        """Take the path anew from a step on."""
        del self._path[step:], self._losses[step:]
        for n in range(step, self._size):
            if n:
                last = self._path[-1]
                self._sums[n] = self._sums[n - 1] + self._true[last]
                self._counts[n] = self._counts[n - 1] + self._has[last]
            losses = self._losses_after(n, slice(0, self._members))
            self._path.append(int(losses.argmin()))
            self._losses.append(float(losses.min()))

    def _losses_after(self, step: int, members: slice) -> np.ndarray:
        """(K,) the log-loss when each of the members is added at a step."""
        sums = self._sums[step] + self._true[members]
        counts = np.float32(step + 1) if self._whole else self._counts[step] + self._has[members]
        return log_losses(sums, counts)


def log_losses(sums: np.ndarray, counts: np.ndarray | np.float32) -> np.ndarray:
    """(...,) the log-loss of averages: `sums` (..., N) of the true class's probabilities over so many members.

    A clip that no member has counts as certainly wrong, so that members that have it come first.
    """
    counts = np.atleast_1d(np.maximum(counts, np.float32(1)))
    logs = np.log(np.maximum(sums, counts * np.float32(FLOOR)))
    return np.asarray(np.log(counts).mean(axis=-1, dtype=np.float64) - logs.mean(axis=-1, dtype=np.float64))
