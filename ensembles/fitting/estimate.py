"""What an ensemble is worth on clips that did not choose its weights: nested estimation by group."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.evaluation.folds import group_folds
from ensembles.evaluation.intervals import Comparison, Interval, accuracy_interval
from ensembles.evaluation.jackknife import intervals_of
from ensembles.evaluation.metrics import METRICS, score
from ensembles.evaluation.paired import compare
from ensembles.fitting.selection import Selected
from ensembles.fusion.base import Fusion, fuse
from ensembles.fusion.pooling import Missing, combine
from ensembles.predictions.sets import HeldOut
from features.errors import EmofuseError
from models.metrics import Metric


@dataclass(frozen=True)
class Estimate:
    """Scores on parts of the clips that the weights were not fitted on, averaged over the repeats.

    `metrics` are those of the out-of-fold predictions, `interval` is the 95 % interval over groups of the
    accuracy (None with one group). `fit_score` is the mean score of the fits on their own rows and `optimism` how
    much it exceeds the honest one, in the metric that the method maximises.
    """

    metrics: Mapping[str, float]
    interval: Interval | None
    intervals: Mapping[str, Interval]
    fit_score: float
    optimism: float
    folds: int
    repeats: int
    n_clips: int
    n_groups: int
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Fused probabilities (R, N, C) of each clip by weights fitted without its group; score of each fit on its rows.

    `averages` (R, N, C) are the plain averages of the members that the same fits gave weight.
    Ctrl-C ends it early: `planned` fits were to be made, and `scored` (N,) tells which clips have probabilities.
    """

    probabilities: np.ndarray
    averages: np.ndarray
    scored: np.ndarray
    fit_scores: tuple[float, ...]
    metric: str
    folds: int
    planned: int

    @property
    def interrupted(self) -> bool:
        """Whether fits are missing."""
        return len(self.fit_scores) < self.planned


def weighted(fusion: Fusion) -> list[int]:
    """The members that a fit gave weight.

    A log-pool fills in for those that lack a clip with all its members' mean, so none of them can be left away.
    """
    if fusion.log_pool_ is not None:
        return list(fusion.candidates_.kept) if isinstance(fusion, Selected) else list(range(len(fusion.weights_)))
    return np.flatnonzero(fusion.weights_.any(axis=1)).tolist()


def average_of(P: np.ndarray, valid: np.ndarray, chosen: Sequence[int], missing: Missing) -> np.ndarray:
    """The plain average (N, C) of some members of `P` (M, N, C)."""
    some = P[list(chosen)]
    return fuse(some, np.full((len(some), P.shape[2]), 1 / len(some)), valid[list(chosen)], missing)


def _by_its_members(fusion: Fusion, P: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fused probabilities and plain average (N, C) as the stored ensemble gives them: without members of no weight."""
    chosen = weighted(fusion)
    temperatures = None if fusion.temperatures_ is None else fusion.temperatures_[chosen]
    fused = combine(P[chosen], fusion.weights_[chosen], valid[chosen], fusion.missing, temperatures, fusion.log_pool_)
    return fused, average_of(P, valid, chosen, fusion.missing)


def summarise(outside: OutOfFold, held_out: HeldOut, scored: np.ndarray | None = None) -> Estimate:
    """The estimate that out-of-fold predictions give, on the clips that have them (or on those of `scored`, (N,))."""
    rows = np.flatnonzero(outside.scored if scored is None else scored)
    y, groups = held_out.y[rows], [held_out.groups[n] for n in rows]
    runs = [score(y, probabilities[rows]) for probabilities in outside.probabilities]
    metrics = {name: float(np.mean([getattr(run, name) for run in runs])) for name in METRICS}
    right = (outside.probabilities[:, rows].argmax(axis=2) == y).mean(axis=0)
    fit_score, sign = float(np.mean(outside.fit_scores)), -1 if outside.metric == "log_loss" else 1
    return Estimate(
        metrics=metrics,
        interval=accuracy_interval(right, groups),
        intervals=intervals_of(y, outside.probabilities[:, rows], groups),
        fit_score=fit_score,
        optimism=sign * (fit_score - metrics[outside.metric]),
        folds=outside.folds,
        repeats=len(runs),
        n_clips=len(y),
        n_groups=len(set(groups)),
        confusion=runs[0].confusion,
    )


def compare_outside(first: OutOfFold, second: OutOfFold, held_out: HeldOut, metric: Metric = "accuracy") -> Comparison:
    """Two methods on the same clips by the folds of their first repeat, which have to be the same."""
    rows = np.flatnonzero(first.scored & second.scored)
    one, other = (outside.probabilities[0, rows] for outside in (first, second))
    return compare(held_out.y[rows], one, other, [held_out.groups[n] for n in rows], metric)


def out_of_fold(
    method_factory: Callable[[], Fusion],
    held_out: HeldOut,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    done: Callable[[], None] | None = None,
) -> OutOfFold:
    """Fit on all folds but one, predict that one; every group lies in one fold, `repeats` times in new folds.

    The same arguments give the same folds for every method. With fewer groups than folds there are as many folds as
    groups. `done` is called after each fit.

    Ctrl-C ends all fits, not only the one at hand: what is left are the whole repeats, or the folds of the first one
    that are done. Errors: KeyboardInterrupt where none is; EmofuseError with one group: nothing can be held apart.
    """
    if folds < 2 or repeats < 1:
        raise EmofuseError(f"A nested estimate needs 2 folds and 1 repeat or more, but got {folds} and {repeats}.")
    P, y, valid, groups = held_out.P, held_out.y, held_out.valid, np.array(held_out.groups)
    plan = [list(group_folds(y, held_out.groups, folds, seed + repeat)) for repeat in range(repeats)]
    probabilities = np.zeros((repeats, len(y), len(held_out.classes)))
    averages = np.zeros_like(probabilities)
    scored = np.zeros((repeats, len(y)), bool)
    fit_scores: list[float] = []
    metric = method_factory().metric
    try:
        for repeat, (fit, rest) in [(r, pair) for r, pairs in enumerate(plan) for pair in pairs]:
            fusion = method_factory().fit(P[:, fit], y[fit], valid[:, fit], groups[fit].tolist())
            if fusion.interrupted_:
                raise KeyboardInterrupt
            probabilities[repeat, rest], averages[repeat, rest] = _by_its_members(fusion, P[:, rest], valid[:, rest])
            scored[repeat, rest] = True
            fit_scores.append(fusion.fit_score_)
            if done is not None:
                done()
    except KeyboardInterrupt:
        if not fit_scores:
            raise
    whole = max(1, int(scored.all(axis=1).sum()))
    made = tuple(fit_scores[: sum(len(pairs) for pairs in plan[:whole])])
    return OutOfFold(
        probabilities[:whole], averages[:whole], scored[0], made, metric, len(plan[0]), sum(map(len, plan))
    )
