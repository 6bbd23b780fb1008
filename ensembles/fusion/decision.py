"""Kahou's decision fusion: one weight per member and class, found by random and local search."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.solvers import kernel
from ensembles.fusion.solvers.kernel import BLOCK, LANES
from ensembles.fusion.solvers.noise import Kind, Noise
from ensembles.fusion.solvers.screen import Incumbent
from features.cores import cores
from features.errors import WrongUse
from features.names import unknown_name
from features.progress import Counter, progress

Local = Literal["gaussian", "uniform"]
_FURTHEST = 64 * BLOCK  # draws looked ahead at most; after a success it is one block, as the next one may be near
_TASK = 4  # blocks that a thread does at once: their weights stay in the second cache


@dataclass(frozen=True)
class Accepted:
    """A draw that became the best: its round (0 is the uniform search), number in the round, and score."""

    round: int
    draw: int
    score: float


class DecisionFusion(Fusion):
    """Random search over weights per member and class (Kahou 2015, section 5).

    First `draws` weight sets uniform on [0, 1), rescaled so that each class sums to 1 over members. Then rounds of
    `draws` local steps: the best set plus noise of scale `sigma`, negatives cut to 0, rescaled; a class whose weights
    are all 0 is drawn again. A better set becomes the new centre as soon as it is found; of equals the older stays.
    After each round sigma is multiplied by `decay`, until it is below `sigma_min`. The defaults are the paper's: 82
    rounds, 8.2 million draws. `local` is the noise: "gaussian", or "uniform" on [-sigma, sigma].

    The paper leaves open what becomes of negative weights and of ties; the rules are those above. The same seed gives
    the same weights, on any machine and with any number of threads. Ctrl-C ends the search with the best so far.

    Parameters
    ----------
    draws : per round.
    sigma, decay, sigma_min : scale of the first local steps, its factor from round to round, and where it ends.
    local : "gaussian" or "uniform".
    metric : what is maximised, "accuracy" or "unweighted_accuracy".
    seed : of the draws.
    n_jobs : threads (None: all cores).
    time_limit_s : ends the search with the best so far (None: no limit).
    missing : "share" or "uniform", see `ensembles.fusion.pooling.fuse`.
    verbose : show draws, best score and sigma.
    device : screen the draws through torch, as "cuda", which finds the same weights (None: compiled code).

    Attributes
    ----------
    weights_ : (M, C), and what every `Fusion` has.
    trace_ : the accepted draws, a list of `Accepted`.
    n_draws_ : how many were made.
    """

    only_right_counts = True

    def __init__(
        self,
        draws: int = 100_000,
        sigma: float = 0.5,
        decay: float = 0.9,
        sigma_min: float = 1e-4,
        local: Local = "gaussian",
        metric: Metric = "accuracy",
        seed: int = 0,
        n_jobs: int | None = None,
        time_limit_s: float | None = None,
        missing: Missing = "share",
        verbose: bool = False,
        device: str | None = None,
    ):
        self.draws = draws
        self.sigma = sigma
        self.decay = decay
        self.sigma_min = sigma_min
        self.local = local
        self.metric = metric
        self.seed = seed
        self.n_jobs = n_jobs
        self.time_limit_s = time_limit_s
        self.missing = missing
        self.verbose = verbose
        self.device = device

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        self._check()
        M, _, C = problem.shape
        self.trace_: list[Accepted] = []
        self.n_draws_ = 0
        if M == 1:
            return np.ones((1, C))
        sigmas = list(self._sigmas())
        showing = progress("searching weights", len(sigmas) * self.draws) if self.verbose else nullcontext()
        with ThreadPoolExecutor(self.n_jobs or cores()) as pool, showing as counter:
            best, noise = Incumbent(problem), Noise(self.seed, M, C)
            screen = self._screen(problem, best, noise, pool)
            search = _Search(best, noise, self.draws, screen, self.time_limit_s, counter)
            try:
                for round_, sigma in enumerate(sigmas):
                    if not search.run_round(round_, self._kind(sigma), sigma):
                        break
            except KeyboardInterrupt:
                if not search.trace:
                    raise
                self.interrupted_ = True
        self.trace_, self.n_draws_ = search.trace, search.n_draws
        return search.best.weights

    def _screen(self, problem: Problem, best: Incumbent, noise: Noise, pool: Executor) -> "Screen":
        if self.device is None:
            return _ThreadedScreen(best, noise, pool)
        from ensembles.fusion.solvers.torch_screen import TorchScreen

        return TorchScreen(problem, best, noise, self.device)

    def _kind(self, sigma: float) -> Kind:
        return "uniform" if sigma == 0 else "gaussian" if self.local == "gaussian" else "symmetric"

    def _check(self) -> None:
        if self.local not in get_args(Local):
            raise unknown_name("local search", self.local, get_args(Local))
        for name, good, rule in (
            ("draws", self.draws >= 1, "at least 1"),
            ("decay", 0 < self.decay < 1, "between 0 and 1"),
            ("sigma_min", self.sigma_min > 0, "above 0"),
            ("seed", self.seed >= 0, "at least 0"),
        ):
            if not good:
                raise WrongUse(f"DecisionFusion needs {name} {rule}, but got {name}={getattr(self, name)}.")

    def _sigmas(self) -> Iterator[float]:
        """The scale of each round's steps; 0 is the uniform search at the start."""
        yield 0.0
        sigma = self.sigma
        while sigma >= self.sigma_min:
            yield sigma
            sigma *= self.decay


class Screen(Protocol):
    """Says which draws may be better than the best so far."""

    def scores(self, kind: Kind, round_: int, first: int, count: int, sigma: float) -> np.ndarray:
        """(count,) what the clips are worth that each draw may get right, -1 where that can't beat the best."""


class _ThreadedScreen:
    """The compiled screening on all cores."""

    def __init__(self, best: Incumbent, noise: Noise, pool: Executor):
        self._best, self._noise, self._pool = best, noise, pool

    def scores(self, kind: Kind, round_: int, first: int, count: int, sigma: float) -> np.ndarray:
        best, (M, C) = self._best, self._noise.shape
        centre = best.weights if sigma > 0 else np.zeros((M, C))
        blocks = -(-count // BLOCK)
        scores = np.empty(blocks * BLOCK, np.int64)

        def screen(start: int, stop: int) -> None:
            weights = kernel.aligned((stop - start) // LANES * C * M * LANES).reshape(-1, C, M, LANES)
            self._noise.propose(kind, round_, first + start, centre, sigma, weights)
            kernel.screen(weights, best.clips, best.gains, best.counts, best.threshold, scores[start:stop])

        edges = [*range(0, blocks, _TASK), blocks]
        list(self._pool.map(lambda a, b: screen(a * BLOCK, b * BLOCK), edges[:-1], edges[1:]))
        return scores[:count]


class _Search:
    """The rounds of one fit: what is best so far, and how many draws it took."""

    def __init__(
        self,
        best: Incumbent,
        noise: Noise,
        draws: int,
        screen: Screen,
        time_limit_s: float | None,
        counter: Counter | None = None,
    ):
        self.best, self.noise, self.draws = best, noise, draws
        self.trace: list[Accepted] = []
        self.n_draws = 0
        self._screen = screen
        self._counter = counter
        self._deadline = np.inf if time_limit_s is None else time.monotonic() + time_limit_s

    def run_round(self, round_: int, kind: Kind, sigma: float) -> bool:
        """Make the draws of a round; False when the search is to end."""
        draw, ahead = 0, BLOCK
        while draw < self.draws:
            if self.best.perfect or (self.trace and time.monotonic() > self._deadline):
                return False
            # The steps don't depend on the centre, so a stretch of draws is screened as if none of them succeeded;
            # after one does, the rest of the stretch is made again around the new centre.
            count = min(ahead, self.draws - draw)
            found = self._first_better(round_, kind, sigma, draw, count)
            made = count if found is None else found + 1
            draw, self.n_draws = draw + made, self.n_draws + made
            if found is None:
                ahead = min(2 * ahead, _FURTHEST)
            else:
                ahead = BLOCK
                self.trace.append(Accepted(round_, draw - 1, self.best.score))
            if self._counter is not None:
                self._counter.advance(made, f"best {self.best.score:.4f}, sigma {sigma:.2g}")
        return True

    def _first_better(self, round_: int, kind: Kind, sigma: float, first: int, count: int) -> int | None:
        best = self.best
        for i in np.flatnonzero(self._screen.scores(kind, round_, first, count, sigma) > best.threshold):
            if best.offer(self.noise.weights_of(kind, round_, first + int(i), best.weights, sigma)):
                return int(i)
        return None
