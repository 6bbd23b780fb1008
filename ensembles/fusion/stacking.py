"""Stacking: regularised multinomial logistic regression on the members' log-probabilities."""

from collections.abc import Sequence

import numpy as np

from ensembles.evaluation.folds import inner_folds
from ensembles.fusion.base import Fusion, Metric, Missing, Problem
from ensembles.fusion.pooling import filled_logs
from ensembles.fusion.solvers.regression import full_path, log_loss_of, restricted_path
from features.errors import WrongUse

_STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0)


class Stacking(Fusion):
    """Regularised multinomial logistic regression on log-probabilities.

    The logit of class c is the sum over members m and classes k of a[m, k, c] log p[m, k], plus a bias: M C inputs and
    C classes. Members are first mixed with 1 % of the uniform distribution, so that no 0 has an infinite logarithm.

    Parameters
    ----------
    strengths : the penalty is strength / 2 times the squared coefficients (scikit-learn's C is 1 / strength); the one
        of lowest log-loss on inner folds by group is taken.
    restricted : what a member says of class c goes into the logit of c alone, by one non-negative coefficient per
        member and class, and the penalty pulls toward the members' geometric mean: for few clips.
    folds : inner folds.
    seed : shuffles them.
    metric : only what `fit_score_` tells; log-loss is minimised.
    missing : a member that lacks a clip says what the others say on average ("share"), or is uniform.

    Attributes
    ----------
    weights_ : (M, C), the share that each member has in the absolute coefficients of a class.
    log_pool_ : the coefficients (M, C, C) and biases (C,).
    strength_ : the one taken.
    path_ : (strength, inner log-loss) of each.
    """

    def __init__(
        self,
        strengths: Sequence[float] = _STRENGTHS,
        restricted: bool = False,
        folds: int = 5,
        seed: int = 0,
        metric: Metric = "accuracy",
        missing: Missing = "share",
    ):
        self.strengths = strengths
        self.restricted = restricted
        self.folds = folds
        self.seed = seed
        self.metric = metric
        self.missing = missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        strengths = _checked(self.strengths)
        if self.folds < 2:
            raise WrongUse(f"Stacking needs 2 folds or more, but got folds={self.folds}.")
        rows = np.flatnonzero(problem.valid.any(axis=0))
        logs = filled_logs(problem.P[:, rows], problem.valid[:, rows], problem.missing)
        y, groups = problem.y[rows], None if groups is None else [groups[n] for n in rows.tolist()]
        path = restricted_path if self.restricted else full_path
        losses = np.zeros(len(strengths))
        for fit, rest in inner_folds(y, groups, self.folds, self.seed) if len(strengths) > 1 else ():
            pools = path(logs[:, fit], y[fit], strengths)
            losses += [log_loss_of(pool, logs[:, rest], y[rest]) for pool in pools]
        best = int(losses.argmin())
        self.strength_ = strengths[best]
        self.path_ = tuple(zip(strengths, (losses / max(len(y), 1)).tolist(), strict=True))
        *_, self.log_pool_ = path(logs, y, strengths[: best + 1])
        return self.log_pool_.weights


def _checked(strengths: Sequence[float]) -> list[float]:
    """The strengths from the strongest, so that each solution starts near the one before."""
    try:
        numbers = [float(strength) for strength in strengths]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or min(numbers) <= 0:
        raise WrongUse(f"Stacking needs strengths as a list of numbers above 0, but got strengths={strengths!r}.")
    return sorted(numbers, reverse=True)
