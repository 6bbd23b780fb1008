"""The method that is fitted where none is asked for: of a few fusions the safest that is not clearly worse."""

from collections.abc import Sequence

import numpy as np

from ensembles.evaluation.folds import inner_folds
from ensembles.evaluation.jackknife import Tally, spread
from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.menu import Variant, variants
from ensembles.fusion.option import MENU, STEPS, Option
from ensembles.fusion.pooling import combine
from features.errors import WrongUse
from models.metrics import told, worth


class AutoFusion(Fusion):
    """Choose among a few fusions by inner folds, and fit the chosen one on all clips.

    The menu has three steps: the plain average, shared votes (near copies have one vote) and the best single member
    are safe; greedy selection, bagged, and the same shrunk, fit little; restricted stacking and decision fusion,
    shrunk, fit much. Each is fitted on all inner folds but one and scored on that one; folds are by group. The safest
    step with a fusion within one standard error of the best is taken (Breiman 1984), and of that step the best; the
    standard error is that of the difference to the best over groups.

    Parameters
    ----------
    folds : inner folds.
    draws : per round of the decision fusion's search.
    metric : what is maximised.
    missing : "share" or "uniform", see `ensembles.fusion.pooling.fuse`.
    seed : of folds, bootstraps and draws.

    Attributes
    ----------
    weights_, log_pool_ : those of the chosen fusion.
    choice_ : a tuple of `Option`, in the order of the menu.
    """

    def __init__(
        self,
        folds: int = 5,
        draws: int = 200,
        metric: Metric = "accuracy",
        missing: Missing = "share",
        seed: int = 0,
    ):
        self.folds = folds
        self.draws = draws
        self.metric = metric
        self.missing = missing
        self.seed = seed

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        if self.folds < 2 or self.draws < 1:
            raise WrongUse(f"auto needs 2 folds and 1 draw or more, but got folds={self.folds} and draws={self.draws}.")
        folds = inner_folds(problem.y, groups, self.folds, self.seed) if problem.shape[0] > 1 else []
        outside: dict[str, dict[str, np.ndarray]] = {}
        for fit, rest in folds:
            own = None if groups is None else [groups[n] for n in fit]
            for variant in variants(problem.clips(fit), own, self.draws, self.seed):
                of_clips = outside.setdefault(variant.name, {}).setdefault(variant.setting, _uniform(problem))
                of_clips[rest] = _predicted(variant, problem, rest)
        names = groups if groups is not None else [str(n) for n in range(len(problem.y))]
        settings = {name: _best_setting(problem, name, tuned) for name, tuned in outside.items()}
        found = {name: outside[name][setting] for name, setting in settings.items()}
        chosen, self.choice_ = _choose(problem, found, settings, names)
        kept = variants(problem, groups, self.draws, self.seed, chosen, settings.get(chosen))
        variant = next(iter(kept))
        self.log_pool_ = variant.log_pool
        return variant.weights


def _uniform(problem: Problem) -> np.ndarray:
    return np.full(problem.P.shape[1:], 1 / problem.shape[2])


def _predicted(variant: Variant, problem: Problem, rows: np.ndarray) -> np.ndarray:
    P, valid = problem.P[:, rows], problem.valid[:, rows]
    return combine(P, variant.weights, valid, problem.missing, None, variant.log_pool)


def _best_setting(problem: Problem, name: str, tuned: dict[str, np.ndarray]) -> str:
    """Of the settings of a fusion the one that does best; of equals the last, which is the safest."""
    metric: Metric = "log_loss" if name == "stacking" else problem.metric  # as its coefficients are
    values = {setting: worth(metric, problem.y, p) for setting, p in tuned.items()}
    return [setting for setting, value in values.items() if value == max(values.values())][-1]


def _choose(
    problem: Problem, found: dict[str, np.ndarray], settings: dict[str, str], groups: Sequence[str]
) -> tuple[str, tuple[Option, ...]]:
    """The name of the fusion to take, and what each reached."""
    if not found:  # a single member, or a single clip
        return next(iter(MENU)), ()
    metric = problem.metric
    tallies = {name: Tally(problem.y, p, groups) for name, p in found.items()}
    worths = {name: told(metric, tally.value(metric)) for name, tally in tallies.items()}
    best = max(worths, key=lambda name: worths[name])
    without = {name: tally.without_each(metric) for name, tally in tallies.items()}
    errors = {name: spread(without[name] - without[best]) for name in found}
    near = [name for name in found if worths[best] - worths[name] <= errors[name]]
    step = next(step for step in STEPS if not step.isdisjoint(near))
    chosen = max((name for name in found if name in step), key=lambda name: worths[name])
    options = [
        Option(
            name,
            metric,
            tallies[name].value(metric),
            tallies[name].interval(metric),
            worths[best] - worths[name],
            errors[name],
            settings[name],
            name == chosen,
        )
        for name in found
    ]
    return chosen, tuple(options)
