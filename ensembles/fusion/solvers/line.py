"""The exact optimum of the metric along a line of weights (minimum error rate training).

On a line W + t D every fused score is a linear function of t, so each clip's decision flips at a few points only.
Between two neighbouring flips of all clips nothing changes: sorting them finds the best segment of the whole line.
"""

from typing import NamedTuple

import numpy as np


class Line(NamedTuple):
    """Scores along a line: class c of clip n has `start` + t `step`, (N, C).

    The clips `partial` (K,) are divided by `share` + t `share_step`, (K, C): the weight of the members that have them.
    """

    start: np.ndarray
    step: np.ndarray
    partial: np.ndarray
    share: np.ndarray
    share_step: np.ndarray


class Optimum(NamedTuple):
    """The middle of the best segment, how wide it is, and the worth of the clips that are right there."""

    t: float
    width: float
    worth: float


def best_on_line(line: Line, y: np.ndarray, gains: np.ndarray, low: float, high: float) -> Optimum:
    """The best open segment of `low` < t < `high`; of equals the widest, then the first.

    `y` (N,) true classes, `gains` (N,) what a right clip is worth. O(N C log N).
    """
    if len(line.partial):
        whole = np.ones(len(y), bool)
        whole[line.partial] = False
        parts = (
            _linear_events(line.start[whole], line.step[whole], y[whole], gains[whole], low, high),
            _fractional_events(line, y[line.partial], gains[line.partial], low, high),
        )
        edges, changes = (np.concatenate(both) for both in zip(*parts, strict=True))
    else:
        edges, changes = _linear_events(line.start, line.step, y, gains, low, high)
    order = np.argsort(edges, kind="stable")
    scores = np.concatenate([[0.0], np.cumsum(changes[order])])
    return best_segment(np.concatenate([[low], edges[order], [high]]), scores, low, high)


def best_segment(edges: np.ndarray, scores: np.ndarray, low: float, high: float) -> Optimum:
    """The segment of highest score among those between the ascending `edges` (K + 1,), which have the `scores` (K,)."""
    widths = np.diff(edges)
    # A segment that floats can't tell from a point is none.
    scores[widths <= 1e-12 * max(1.0, abs(low), abs(high))] = -np.inf
    best_score = scores.max()
    if best_score == -np.inf:
        return Optimum(low, 0.0, -np.inf)
    # Sums of gains in another order differ in their last bits.
    equal = np.flatnonzero(scores >= best_score - 1e-9)
    best = equal[widths[equal].argmax()]
    return Optimum(float(edges[best] + widths[best] / 2), float(widths[best]), float(scores[best]))


def _linear_events(
    start: np.ndarray, step: np.ndarray, y: np.ndarray, gains: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where clips begin and cease to be right, and by how much the worth changes there.

    Being ahead of one class is a half-line, being ahead of all an interval.
    """
    rows, C = np.arange(len(y)), start.shape[1]
    gap = start[rows, y][:, None] - start  # (N, C): ahead of class c where gap + t slope > 0
    slope = step[rows, y][:, None] - step
    with np.errstate(divide="ignore", invalid="ignore"):
        root = -gap / slope
    begins = np.where(slope > 0, root, -np.inf).max(axis=1)
    ends = np.where(slope < 0, root, np.inf).min(axis=1)
    # Where no weight changes anything: of equal scores the first class is the decision.
    behind = (slope == 0) & ((gap < 0) | ((gap == 0) & (np.arange(C) < y[:, None])))
    begins, ends = np.maximum(begins, low), np.minimum(ends, high)
    right = (begins < ends) & ~behind.any(axis=1)
    gains = gains[right]
    return np.concatenate([begins[right], ends[right]]), np.concatenate([gains, -gains])


def _fractional_events(
    line: Line, y: np.ndarray, gains: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `_linear_events`, for clips that some members lack: two scores meet at the roots of a quadratic."""
    start, step, share, share_step = line.start[line.partial], line.step[line.partial], line.share, line.share_step
    rows = np.arange(len(y))

    def own(values: np.ndarray) -> np.ndarray:
        return values[rows, y][:, None]

    a = own(step) * share_step - step * own(share_step)
    b = own(start) * share_step + own(step) * share - start * own(share_step) - step * own(share)
    c = own(start) * share - start * own(share)
    roots = roots_of(a, b, c).reshape(len(y), -1)
    edges = np.sort(np.clip(np.nan_to_num(roots, nan=high, posinf=high, neginf=low), low, high), axis=1)
    edges = np.concatenate([np.full((len(y), 1), low), edges, np.full((len(y), 1), high)], axis=1)
    middles = (edges[:, 1:] + edges[:, :-1]) / 2  # (N, K)
    t = middles[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # a share is 0 at the ends at most, in segments without width
        scores = (start[:, None] + t * step[:, None]) / (share[:, None] + t * share_step[:, None])
    right = (scores.argmax(axis=2) == y[:, None]) & (edges[:, 1:] > edges[:, :-1])
    n, k = np.nonzero(right)
    return np.concatenate([edges[n, k], edges[n, k + 1]]), np.concatenate([gains[n], -gains[n]])


def roots_of(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(..., 2) real roots of a t^2 + b t + c; nan or infinite where there are fewer."""
    with np.errstate(divide="ignore", invalid="ignore"):
        q = -(b + np.copysign(np.sqrt(b * b - 4 * a * c), b)) / 2
        return np.stack([q / a, c / q], axis=-1)
