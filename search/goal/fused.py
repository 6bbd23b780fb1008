"""The ensemble of all finished configurations: its worth on clips that did not choose it, what each of them adds."""

from collections.abc import Sequence

import numpy as np

from models.metrics import Metric, worth
from search.goal.folds import group_folds
from search.goal.held_out import Clips
from search.goal.selection import Selection, log_losses

FOLDS = 5


class Fused:
    """Grows by configurations; for each of a few folds of groups a greedy selection on the clips of the other folds.

    So what is told of a clip, the nested `score` and the `gains`, comes from weights that it had no part in. All of
    it depends on which configurations were added alone, not on their order. With one group, clips take the groups'
    place.
    """

    def __init__(self, clips: Clips, metric: Metric, folds: int = FOLDS):
        self._clips, self._metric = clips, metric
        of = group_folds(clips.y, clips.groups, folds)
        everything = np.arange(len(clips.y))
        self._folds = [(everything[of != k], everything[of == k]) for k in range(of.max() + 1)]
        self._selections = [Selection(len(fit)) for fit, _ in self._folds]
        self._scores = np.zeros((0, len(clips.y), len(clips.classes)), np.float32)
        self._true = np.zeros((0, len(clips.y)), np.float32)
        self._members = 0

    def __len__(self) -> int:
        return self._members

    def add(self, scores: Sequence[np.ndarray]) -> None:
        """Add configurations, each with its scores (N, C), NaN for a clip that it lacks."""
        if not len(scores):
            return
        first, end = self._members, self._members + len(scores)
        if end > len(self._scores):
            room = max(end, 2 * len(self._scores), 16) - len(self._scores)
            self._scores = np.pad(self._scores, ((0, room), (0, 0), (0, 0)))
            self._true = np.pad(self._true, ((0, room), (0, 0)))
        self._scores[first:end] = scores
        self._true[first:end] = self._scores[first:end, np.arange(len(self._clips.y)), self._clips.y]
        self._members = end
        for selection, (fit, _) in zip(self._selections, self._folds, strict=True):
            selection.add(self._true[first:end, fit])

    @property
    def probabilities(self) -> np.ndarray:
        """(N, C) what the ensemble chosen without a clip says of it; uniform where none of its members has the clip."""
        _, N, C = self._scores.shape
        found = np.full((N, C), 1 / C, np.float32)
        for selection, (_, rest) in zip(self._selections, self._folds, strict=True):
            shares = selection.shares
            chosen = np.flatnonzero(shares)
            P = self._scores[chosen][:, rest]
            weights = shares[chosen, None] * ~np.isnan(P[:, :, 0])  # (K, rows)
            total = weights.sum(axis=0)
            sums = np.einsum("kn,knc->nc", weights, np.nan_to_num(P))
            found[rest[total > 0]] = (sums / np.maximum(total, 1)[:, None])[total > 0]
        return found

    @property
    def score(self) -> float:
        """The metric of these, turned so that more is better."""
        return worth(self._metric, self._clips.y, self.probabilities)

    def gains(self) -> tuple[np.ndarray, np.ndarray]:
        """Two (members,): what each configuration would add to the ensemble of the others, and what it does add.

        Both are the log-loss per clip without it less that with it; below 0 it does harm. Would: with the share that it
        has in the ensemble, and one addition where it has none. Does: 0 where it has none. Measured on the clips that
        had no part in choosing.
        """
        would, does = np.zeros(self._members), np.zeros(self._members)
        for selection, (_, rest) in zip(self._selections, self._folds, strict=True):
            shares = selection.shares[:, None]
            true = self._true[: self._members][:, rest]
            has = ~np.isnan(true)
            true = np.where(has, true, 0)
            sums, counts = shares * true, shares * has
            without, others = sums.sum(axis=0) - sums, counts.sum(axis=0) - counts
            uniform = np.float32(1 / len(self._clips.classes))
            alone = others == 0  # nobody else has the clip
            without, others = np.where(alone, uniform, without), np.where(alone, 1, others)
            own = np.maximum(shares, 1)
            with_it = np.where(alone & has, 0, without) + own * true
            and_it = np.where(alone & has, 0, others) + own * has
            gain = log_losses(without.astype(np.float32), others) - log_losses(with_it.astype(np.float32), and_it)
            would += gain * len(rest)
            does += np.where(shares[:, 0] > 0, gain, 0.0) * len(rest)
        return would / len(self._clips.y), does / len(self._clips.y)
