"""The optimum along a line of weights of what is no count of right clips: macro-F1 and the log-loss.

Macro-F1 is constant between two neighbouring changes of a decision, whatever changes into what, so sorting them finds
its best segment exactly. The log-loss is smooth, but where the weights differ by class it is not convex: the scores are
divided by their sum. It is minimised by branch and bound, to a tolerance.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ensembles.fusion.solvers.line import Line, Optimum, best_segment, roots_of
from models.metrics import FLOOR, ratios

_TOLERANCE = 1e-6  # in nats
_LEVELS, _MOST_INTERVALS = 60, 64
_NARROW = 1e-9  # a share of the line that is not divided any further
_EDGE = 1e-6  # a share of the line at either end


def best_f1_on_line(line: Line, y: np.ndarray, low: float, high: float) -> Optimum:
    """The best open segment of `low` < t < `high` by macro-F1; of equals the widest, then the first. `y` (N,)."""
    C = line.start.shape[1]
    edges, classes = _decisions(line, low, high)
    n, k = np.nonzero(np.diff(classes, axis=1))
    order = np.argsort(edges[n, k + 1], kind="stable")
    n, k = n[order], k[order]
    before, after = classes[n, k], classes[n, k + 1]
    named, right = np.zeros((2, len(n) + 1, C))
    named[0] = np.bincount(classes[:, 0], minlength=C)
    right[0] = np.bincount(y[classes[:, 0] == y], minlength=C)
    each = np.arange(len(n))
    for now, sign in ((before, -1), (after, 1)):
        named[each + 1, now] += sign
        right[each + 1, now] += sign * (now == y[n])
    right = right.cumsum(axis=0)
    scores = ratios(2 * right, named.cumsum(axis=0) + np.bincount(y, minlength=C)).mean(axis=1)
    return best_segment(np.concatenate([[low], edges[n, k + 1], [high]]), scores, low, high)


def _decisions(line: Line, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Between which t, (N, K + 1), each clip is given which class, (N, K); some of the segments have no width."""
    share, share_step = _shares(line)
    one, other = np.array(list(combinations(range(line.start.shape[1]), 2))).T
    a = line.step[:, one] * share_step[:, other] - line.step[:, other] * share_step[:, one]
    b = line.start[:, one] * share_step[:, other] + line.step[:, one] * share[:, other]
    b -= line.start[:, other] * share_step[:, one] + line.step[:, other] * share[:, one]
    c = line.start[:, one] * share[:, other] - line.start[:, other] * share[:, one]
    with np.errstate(divide="ignore", invalid="ignore"):
        met = roots_of(a, b, c).reshape(len(a), -1) if len(line.partial) else -c / b
    edges = np.clip(np.nan_to_num(met, nan=high, posinf=high, neginf=low), low, high)
    ends = np.full((len(a), 1), low), np.full((len(a), 1), high)
    edges = np.concatenate([ends[0], np.sort(edges, axis=1), ends[1]], axis=1)
    t = ((edges[:, 1:] + edges[:, :-1]) / 2)[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # a share is 0 at the ends at most, in segments without width
        scores = (line.start[:, None] + t * line.step[:, None]) / (share[:, None] + t * share_step[:, None])
    return edges, scores.argmax(axis=2)


def _shares(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """What the scores of all clips are divided by, at t = 0 and per t, (N, C)."""
    share, share_step = np.ones(line.start.shape), np.zeros(line.start.shape)
    share[line.partial], share_step[line.partial] = line.share, line.share_step
    return share, share_step


class _Points(NamedTuple):
    """What is known at some t, (K,): `loss` and `slope` of each clip (K, N), its `p`, and for the bounds on what lies
    between two points `parts` (what each class has of a clip) and `shares`, (K, N, C)."""

    t: np.ndarray
    loss: np.ndarray
    slope: np.ndarray
    p: np.ndarray
    parts: np.ndarray
    shares: np.ndarray

    def at(self, which: np.ndarray) -> "_Points":
        return _Points(*(values[which] for values in self))


class _Losses:
    """The clips' log-losses along a line, and how far below two points they may fall between them."""

    def __init__(self, line: Line, y: np.ndarray):
        self._line, self._y, self._rows = line, y, np.arange(len(y))
        self._share, self._share_step = _shares(line)
        # A part is (start + t step) / (share + t share_step); its slope is this over the divisor's square.
        self._turn = line.step * self._share - line.start * self._share_step

    def at(self, t: np.ndarray) -> _Points:
        t = np.asarray(t, float)
        times = t[:, None, None]
        shares = np.maximum(self._share + times * self._share_step, np.finfo(float).tiny)
        parts = np.maximum(self._line.start + times * self._line.step, 0) / shares
        slopes = self._turn / shares / shares
        total = parts.sum(axis=2)
        p = np.divide(self._own(parts), total, out=np.full(total.shape, 1 / parts.shape[2]), where=total > 0)
        moving = p > FLOOR
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = slopes.sum(axis=2) / total - self._own(slopes) / self._own(parts)
        return _Points(t, -np.log(np.maximum(p, FLOOR)), np.where(moving, slope, 0), p, parts, shares)

    def bounds(self, a: _Points, b: _Points) -> tuple[np.ndarray, np.ndarray]:
        """(K,) a lower bound of the mean loss between the points `a` and `b`, and the t at which that lies.

        The loss bends down by no more than K, so it stays above a parabola through either end.
        """
        width = b.t - a.t
        crossing = (a.p > FLOOR) != (b.p > FLOOR)  # of a clip whose loss reaches its limit: the better of its ends
        bend = np.where((a.p > FLOOR) & (b.p > FLOOR), self._bend(a, b), 0).mean(axis=1)
        ends = np.minimum(a.loss, b.loss)
        left, right = (np.where(crossing, ends, one.loss).mean(axis=1) for one in (a, b))
        fall, rise = (np.where(crossing, 0, one.slope).mean(axis=1) for one in (a, b))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = (right - left - rise * width - bend * width**2 / 2) / (fall - rise - bend * width)
            between = left + fall * x - bend / 2 * x**2
        inside = (x > 0) & (x < width)
        lowest = np.minimum(left, right)
        lowest = np.where(inside, np.minimum(lowest, between), lowest)
        lowest = np.where(np.isfinite(bend), lowest, 0.0)
        x = np.where(inside & np.isfinite(x), x, width / 2)
        return lowest, a.t + np.clip(x, width / 10, width * 9 / 10)

    def _bend(self, a: _Points, b: _Points) -> np.ndarray:
        """(K, N) how fast a clip's loss may bend down between two points."""
        shares, parts = np.minimum(a.shares, b.shares), np.minimum(a.parts, b.parts)
        total = parts.sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            straight = np.abs(self._turn.sum(axis=1)) / total
            if not len(self._line.partial):
                return straight**2
            curved = (np.abs(self._turn) / shares**2).sum(axis=2) / total
            second = (2 * np.abs(self._share_step * self._turn) / shares**3).sum(axis=2) / total
            own = (self._own(self._share_step[None]) / self._own(shares)) ** 2
            whole = (self._share_step == 0).all(axis=1) & (self._share == 1).all(axis=1)
            bend = np.where(whole, straight**2, curved**2 + second + own)
        return np.nan_to_num(bend, nan=np.inf)

    def _own(self, values: np.ndarray) -> np.ndarray:
        return values[:, self._rows, self._y]


def best_log_loss_on_line(line: Line, y: np.ndarray, low: float, high: float) -> Optimum:
    """The point between `low` and `high` of least mean log-loss, to 1e-6 nats; its worth is the negative. `y` (N,).

    The very ends belong to it only where every member has every clip.
    """
    losses = _Losses(line, y)
    if len(line.partial):  # where the last member that has a clip loses its weight, others jump in
        low, high = low + _EDGE * (high - low), high - _EDGE * (high - low)
    points = losses.at(np.linspace(low, high, 5))
    left, right = points.at(np.arange(4)), points.at(np.arange(1, 5))
    best_t, best = _lowest(points, low, np.inf)
    for _ in range(_LEVELS):
        bounds, t = losses.bounds(left, right)
        open_ = np.flatnonzero((bounds < best - _TOLERANCE) & (right.t - left.t > _NARROW * (high - low)))
        open_ = open_[np.argsort(bounds[open_], kind="stable")[:_MOST_INTERVALS]]
        if not len(open_):
            break
        new = losses.at(t[open_])
        best_t, best = _lowest(new, best_t, best)
        left, right = (
            _Points(*(np.concatenate(both) for both in zip(one, other, strict=True)))
            for one, other in ((left.at(open_), new), (new, right.at(open_)))
        )
    return Optimum(best_t, 0.0, -best)


def _lowest(points: _Points, t: float, loss: float) -> tuple[float, float]:
    means = points.loss.mean(axis=1)
    k = int(means.argmin())
    return (float(points.t[k]), float(means[k])) if means[k] < loss else (t, loss)
