"""The method that is fitted where none is asked for: of a few fusions the safest that is not clearly worse."""

from collections.abc import Sequence

import numpy as np

from ensembles.evaluation.folds import inner_folds
from ensembles.evaluation.jackknife import Tally, spread
from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.menu import Variant, variants
from ensembles.fusion.option import PLAIN, Option, demanded
from ensembles.fusion.pooling import combine
from features.errors import WrongUse
from models.metrics import told, worth


class AutoFusion(Fusion):
    """Choose among a few fusions by inner folds, and fit the chosen one on all clips.

    The menu goes from safe to flexible: the plain average, shared votes (near copies have one vote), the best single
    member; greedy selection, bagged, and the same shrunk; restricted stacking and decision fusion, shrunk. Each is
    fitted on all inner folds but one and scored on that one; folds are by group. The plain average is what is taken
    unless another is better by more than one standard error (the rule of Breiman 1984), which is that of the difference
    over groups; where few clips make the error large, by more than that (`ensembles.fusion.option.demanded`). Of the
    others the one is taken that is furthest above what is demanded of it.

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
        return PLAIN, ()
    metric = problem.metric
    tallies = {name: Tally(problem.y, p, groups) for name, p in found.items()}
    worths = {name: told(metric, tally.value(metric)) for name, tally in tallies.items()}
    without = {name: tally.without_each(metric) for name, tally in tallies.items()}
    gains = {name: value - worths[PLAIN] for name, value in worths.items()}
    errors = {name: spread(without[name] - without[PLAIN]) for name in found}
    chosen = max(found, key=lambda name: gains[name] - demanded(metric, errors[name]))
    options = [
        Option(
            name,
            metric,
            tallies[name].value(metric),
            tallies[name].interval(metric),
            gains[name],
            errors[name],
            settings[name],
            name == chosen,
        )
        for name in found
    ]
    return chosen, tuple(options)
