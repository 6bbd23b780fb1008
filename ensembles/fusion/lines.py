"""Line search: weights per member and class, optimised exactly along one line after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem, rescale
from ensembles.fusion.pooling import equal_share
from ensembles.fusion.simple import rank_members
from ensembles.fusion.solvers.line import Line, Optimum, best_on_line
from ensembles.fusion.solvers.line_metrics import best_f1_on_line, best_log_loss_on_line
from features.errors import WrongUse

_GAIN = 1e-4  # nats that a round must bring: a smooth metric gains something in each


@dataclass(frozen=True)
class Move:
    """A step to a better state: its restart, its round, and the score there."""

    restart: int
    round: int
    score: float


class LineSearchFusion(Fusion):
    """Exact maximisation along lines through the weights (Och 2003, minimum error rate training).

    A line leads from the present weights toward a target: one member for one class or for all (the coordinates), or
    `directions` random points. Its feasible part, where no weight is negative, reaches from beyond the present weights
    to the target or further; sums over members stay 1. The search goes to the middle of the line's best segment, of
    equals the widest, also where that scores the same as before; of the log-loss, which is smooth, to the line's
    minimum (to 1e-6 nats). Rounds over all lines end when one brings no gain (of the log-loss: less than 1e-4 nats).
    Starts: equal weights, the best single member, and `restarts` random points; of equals the first stays.

    Further attributes after `fit`: `trace_`, the moves that gained; `n_lines_`, how many lines were searched.
    """

    def __init__(
        self,
        restarts: int = 4,
        directions: int = 20,
        rounds: int = 20,
        metric: Metric = "accuracy",
        seed: int = 0,
        missing: Missing = "share",
    ):
        self.restarts = restarts
        self.directions = directions
        self.rounds = rounds
        self.metric = metric
        self.seed = seed
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        M, _, C = problem.shape
        for name, least in (("restarts", 0), ("directions", 0), ("rounds", 1)):
            if (value := getattr(self, name)) < least:
                raise WrongUse(f"LineSearchFusion needs {name} of {least} or more, but got {name}={value}.")
        rng = np.random.default_rng(self.seed)
        single = np.zeros((M, C))
        single[rank_members(problem)[0]] = 1
        starts = [np.full((M, C), 1 / M), single]
        starts += [rescale(rng.standard_exponential((M, C))) for _ in range(self.restarts)]
        lines = _Lines(problem)
        self.trace_: list[Move] = []
        self.n_lines_ = 0
        best, best_score = starts[0], -np.inf
        for restart, start in enumerate(starts if M > 1 else starts[:1]):
            state = _SearchState(lines, start)
            for round_ in range(self.rounds if M > 1 else 0):
                for target in _targets(M, C, self.directions, rng):
                    state.go_toward(target)
                    self.n_lines_ += 1
                if not state.evaluate():
                    break
                self.trace_.append(Move(restart, round_, state.score))
            if state.best_score > best_score:
                best, best_score = state.best, state.best_score
        return best


# A target is a member for a class, a member for every class (None), or weights (M, C).
_Target = tuple[int, int | None] | np.ndarray


def _targets(M: int, C: int, directions: int, rng: np.random.Generator) -> Iterator[_Target]:
    for i in rng.permutation(M * (C + 1)):
        m, c = divmod(int(i), C + 1)
        yield m, c if c < C else None
    for _ in range(directions):
        yield rescale(rng.standard_exponential((M, C)))


class _Lines:
    """The scores that lines are made of; `partial` (K,) are the clips that some member lacks."""

    def __init__(self, problem: Problem):
        _, N, C = problem.shape
        self.problem = problem
        sharing = problem.missing == "share"
        self.P = np.where(problem.valid[:, :, None], problem.P, np.float32(0 if sharing else 1 / C)).astype(np.float64)
        self.partial = np.flatnonzero(~problem.valid.all(axis=0)) if sharing else np.zeros(0, int)
        self.present = problem.valid[:, self.partial].astype(np.float64)  # (M, K)
        self.equal = equal_share(self.P[:, self.partial], self.present)  # (K, C)
        totals = np.bincount(problem.y, minlength=C)
        n_classes = C if problem.metric == "macro_average_precision" else (totals > 0).sum()
        worth = np.full(C, 1 / N) if problem.metric == "accuracy" else 1 / (np.maximum(totals, 1) * n_classes)
        self.gains = worth[problem.y]

    def at(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sums (N, C) of scores, and (K, C) of the members that are there."""
        return np.einsum("mc,mnc->nc", weights, self.P, optimize=True), self.present.T @ weights

    def toward(self, target: _Target, state: "_SearchState") -> Line:
        """The line from a state to a target."""
        if isinstance(target, np.ndarray):
            sums, shares = self.at(target)
        else:
            sums, shares = self.P[target[0]], self.present[target[0]][:, None]
        step, share_step = sums - state.sums, shares - state.shares
        if not isinstance(target, np.ndarray) and target[1] is not None:
            others = np.arange(step.shape[1]) != target[1]
            step[:, others] = 0
            share_step[:, others] = 0
        return Line(state.sums, step, self.partial, state.shares, share_step)

    def best_on(self, line: Line, low: float, high: float) -> Optimum:
        """The best segment of a line; clips of members without weight anywhere on it are left to all who have them."""
        start, step, partial, share, share_step = line
        if len(partial):
            nobody = (share <= 0) & (share_step <= 0)
            start, step = start.copy(), step.copy()
            start[partial] = np.where(nobody, self.equal, start[partial])
            step[partial] = np.where(nobody, 0, step[partial])
            share, share_step = np.where(nobody, 1, share), np.where(nobody, 0, share_step)
        whole = Line(start, step, partial, share, share_step)
        if self.problem.metric == "macro_f1":
            return best_f1_on_line(whole, self.problem.y, low, high)
        if self.problem.metric == "log_loss":
            return best_log_loss_on_line(whole, self.problem.y, low, high)
        return best_on_line(whole, self.problem.y, self.gains, low, high)


class _SearchState:
    """The present weights of a search with their sums, and the best that was met (`best`, `best_score`)."""

    def __init__(self, lines: _Lines, weights: np.ndarray):
        self._lines = lines
        self.weights, self.best, self.best_score = weights, weights, -np.inf
        self.evaluate()

    def evaluate(self) -> bool:
        """Score the present weights as they will be used; True when they are better than what was met before."""
        self.sums, self.shares = self._lines.at(self.weights)
        self.score = self._lines.problem.score(self.weights)
        better = self.score > self.best_score + (_GAIN if self._lines.problem.metric == "log_loss" else 0)
        if self.score >= self.best_score:
            self.best, self.best_score = self.weights, self.score
        return better

    def go_toward(self, target: _Target) -> None:
        """Search the line to the target and go to its best segment, if that is no worse."""
        step = _step(self.weights, target)
        low, high = _feasible(self.weights, step)
        if high - low < 1e-12:
            return
        line = self._lines.toward(target, self)
        found = self._lines.best_on(line, low, high)
        if found.worth >= self.score - 1e-9:
            self.weights = rescale(np.maximum(self.weights + found.t * step, 0))
            self.sums, self.shares = self.sums + found.t * line.step, self.shares + found.t * line.share_step
            self.score = found.worth


def _step(weights: np.ndarray, target: _Target) -> np.ndarray:
    """(M, C) what t = 1 adds to the weights; columns sum to 0."""
    if isinstance(target, np.ndarray):
        return target - weights
    m, c = target
    columns = slice(None) if c is None else slice(c, c + 1)
    step = np.zeros_like(weights)
    step[:, columns] = -weights[:, columns]
    step[m, columns] += 1
    return step


def _feasible(weights: np.ndarray, step: np.ndarray) -> tuple[float, float]:
    """The t between which no weight is negative; 0 and, but for rounding, 1 lie inside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = -weights / step
    low = np.where(step > 0, bounds, -np.inf).max()
    high = np.where(step < 0, bounds, np.inf).min()
    if not np.isfinite(low) or not np.isfinite(high):
        return 0.0, 0.0
    return float(low), float(high)
