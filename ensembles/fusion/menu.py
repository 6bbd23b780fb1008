"""The fusions among which `auto` chooses, from very safe to flexible, each with the settings that it is tuned over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.decision import DecisionFusion
from ensembles.fusion.greedy import GreedySelection
from ensembles.fusion.pooling import LogPool, filled_logs
from ensembles.fusion.simple import BestSingle, UniformAverage
from ensembles.fusion.solvers.regression import restricted_path
from ensembles.fusion.votes import SharedVotes, equal_votes
from ensembles.fusion.wrappers.anchors import ANCHORS, anchors, toward
from ensembles.fusion.wrappers.bagged import Bagged
from ensembles.fusion.wrappers.wrapper import Wrapper

_BAGS = 10
_STRENGTHS = (1_000.0, 300.0, 100.0, 30.0, 10.0)  # of the stacking's penalty
_SHRINKAGE = (0.25, 0.5, 0.75)
_DECAY, _SIGMA_MIN = 0.8, 0.01  # of the decision fusion: what a hundredth of its draws can use


@dataclass(frozen=True, eq=False)
class Variant:
    """A fitted fusion of the menu with one of its settings: `weights` (M, C), and a log-pool where it is one."""

    name: str
    setting: str
    weights: np.ndarray
    log_pool: LogPool | None = None


def variants(
    problem: Problem,
    groups: Sequence[str] | None,
    draws: int,
    seed: int,
    name: str | None = None,
    setting: str | None = None,
) -> Iterator[Variant]:
    """Fit the menu with all settings, or only what `name` and `setting` ask for."""
    for made in _by_name(problem, groups, draws, seed, name):
        if (name is None or made.name == name) and (setting is None or made.setting == setting):
            yield made


def _by_name(
    problem: Problem, groups: Sequence[str] | None, draws: int, seed: int, name: str | None
) -> Iterator[Variant]:
    simple = {"uniform": UniformAverage, "votes": SharedVotes, "best": BestSingle}
    for its_name, method in simple.items():
        if name in (None, its_name):
            yield Variant(its_name, "", _fitted(method(problem.metric, problem.missing), problem, groups).weights_)
    if name in (None, "greedy shrunk", "greedy"):
        greedy = Bagged(
            GreedySelection(metric=problem.metric, missing=problem.missing, n_jobs=_jobs(problem)), _BAGS, seed
        )
        fitted = _fitted(greedy, problem, groups)
        yield from _shrunk("greedy shrunk", problem, fitted)
        yield Variant("greedy", "", fitted.weights_)
    if name in (None, "stacking"):
        yield from _stacked(problem)
    if name in (None, "decision shrunk") and problem.counts_right:
        decision = DecisionFusion(
            draws,
            decay=_DECAY,
            sigma_min=_SIGMA_MIN,
            metric=problem.metric,
            seed=seed,
            n_jobs=_jobs(problem),
            missing=problem.missing,
        )
        yield from _shrunk("decision shrunk", problem, _fitted(decision, problem, groups))


def _jobs(problem: Problem) -> int | None:
    """One thread where handing over the work takes longer than doing it."""
    return 1 if problem.valid.size < 50_000 else None


def _fitted(fusion: Fusion, problem: Problem, groups: Sequence[str] | None) -> Fusion:
    fusion.weights_ = fusion._find_weights(problem, groups)
    if fusion.interrupted_:  # nothing is chosen yet, so there are no weights to end with
        raise KeyboardInterrupt
    return fusion


class _Mixer(Wrapper):
    """Mixes fitted fusions; it is never fitted itself."""

    def __init__(self, fusion: Fusion):
        self.fusion = fusion

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        raise NotImplementedError

    mix = Wrapper._mix


def _shrunk(name: str, problem: Problem, fitted: Fusion) -> Iterator[Variant]:
    """Weaker settings first."""
    ends = anchors(problem, fitted)
    for strength in _SHRINKAGE:
        for anchor in reversed(ANCHORS):
            weights = _Mixer(fitted).mix(toward(fitted, ends[anchor], strength))
            yield Variant(name, f"{strength:g} toward {anchor}", weights)


def _stacked(problem: Problem) -> Iterator[Variant]:
    """Weaker penalties first."""
    rows = np.flatnonzero(problem.valid.any(axis=0))
    logs = filled_logs(problem.P[:, rows], problem.valid[:, rows], problem.missing)
    pools = restricted_path(logs, problem.y[rows], _STRENGTHS, equal_votes(problem))
    for strength, pool in reversed(list(zip(_STRENGTHS, pools, strict=True))):
        yield Variant("stacking", f"penalty {strength:g}", pool.weights, pool)
