"""Kahou's decision fusion: one weight per member and class, found by random and local search."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ensembles.fusion.base import Fusion, Metric, Missing, Problem, member_sum, rescale
from ensembles.fusion.noise import BLOCK, Kind, Noise
from ensembles.fusion.screen import Incumbent
from features.errors import WrongUse
from features.names import unknown_name

Local = Literal["gaussian", "uniform"]
_AFTER_SUCCESS = 32  # draws looked ahead after a success, while the next one is likely to be near


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

    The paper leaves open what becomes of negative weights and of ties; the rules are those above. `time_limit_s` stops
    early with the best so far, as does Ctrl-C. The same seed gives the same weights.

    Further attributes after `fit`: `trace_`, the accepted draws; `n_draws_`, how many were made.
    """

    def __init__(
        self,
        draws: int = 100_000,
        sigma: float = 0.5,
        decay: float = 0.9,
        sigma_min: float = 1e-4,
        local: Local = "gaussian",
        metric: Metric = "accuracy",
        seed: int = 0,
        time_limit_s: float | None = None,
        missing: Missing = "share",
    ):
        self.draws = draws
        self.sigma = sigma
        self.decay = decay
        self.sigma_min = sigma_min
        self.local = local
        self.metric = metric
        self.seed = seed
        self.time_limit_s = time_limit_s
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        self._check()
        M, _, C = problem.shape
        self.trace_: list[Accepted] = []
        self.n_draws_ = 0
        if M == 1:
            return np.ones((1, C))
        best = Incumbent(problem)
        noise = Noise(self.seed, M, C)
        deadline = None if self.time_limit_s is None else time.monotonic() + self.time_limit_s
        try:
            for round_, sigma in enumerate(self._sigmas()):
                self._search_round(best, noise, round_, sigma, deadline)
                if best.perfect or (deadline is not None and time.monotonic() > deadline):
                    break
        except KeyboardInterrupt:
            if not self.trace_:
                raise
        return best.weights

    def _check(self) -> None:
        if self.local not in get_args(Local):
            raise unknown_name("local search", self.local, get_args(Local))
        for name, good, rule in (
            ("draws", self.draws >= 1, "at least 1"),
            ("decay", 0 < self.decay < 1, "between 0 and 1"),
            ("sigma_min", self.sigma_min > 0, "above 0"),
        ):
            if not good:
                raise WrongUse(f"DecisionFusion needs {name} {rule}, but got {name}={getattr(self, name)}.")

    def _sigmas(self) -> Iterator[float | None]:
        """The scale of each round's steps; None is the uniform search at the start."""
        yield None
        sigma = self.sigma
        while sigma >= self.sigma_min:
            yield sigma
            sigma *= self.decay

    def _search_round(
        self, best: Incumbent, noise: Noise, round_: int, sigma: float | None, deadline: float | None
    ) -> None:
        kind: Kind = "uniform" if sigma is None else "gaussian" if self.local == "gaussian" else "symmetric"
        draw, ahead = 0, _AFTER_SUCCESS
        while draw < self.draws and not best.perfect:
            if best.weights.size and deadline is not None and time.monotonic() > deadline:
                return
            block, first = divmod(draw, BLOCK)
            rows = slice(first, min(first + ahead, BLOCK, first + self.draws - draw))
            # The steps don't depend on the centre, so a stretch of draws is scored as if none of them succeeded; after
            # one does, the rest of the stretch is made again around the new centre.
            proposals = propose(noise, kind, round_, block, rows, best.weights, sigma)
            found = best.take_first_better(proposals)
            if found is None:
                draw, ahead = draw + len(proposals), min(2 * ahead, BLOCK)
            else:
                draw, ahead = draw + found + 1, _AFTER_SUCCESS
                self.trace_.append(Accepted(round_, draw - 1, best.score))
        self.n_draws_ += draw


def propose(
    noise: Noise, kind: Kind, round_: int, block: int, rows: slice, centre: np.ndarray, sigma: float | None
) -> np.ndarray:
    """The weight sets (W, M, C) that the draws `rows` of a block stand for; `sigma` None takes no centre."""

    def step(attempt: int) -> np.ndarray:
        numbers = noise.block(kind, round_, block, attempt)[rows].astype(np.float64)
        return numbers if sigma is None else np.maximum(centre + sigma * numbers, 0)

    weights, attempt = step(0), 0
    while (empty := member_sum(weights) == 0).any():
        attempt += 1
        weights = np.where(empty[:, None, :], step(attempt), weights)
    return rescale(weights)
