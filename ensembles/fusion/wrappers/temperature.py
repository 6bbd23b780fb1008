"""Temperature scaling: members that are too sure of themselves, or not enough, are brought to one scale."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone

from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.pooling import at_temperatures, log_scores
from ensembles.fusion.wrappers.wrapper import Wrapper

_LOG_RANGE = (float(np.log(0.05)), float(np.log(20.0)))


class TemperatureScaling(Wrapper):
    """Scale each member by a temperature, then fit a fusion on the scaled scores (Guo, Pleiss 2017).

    A member's probabilities are taken to the power 1/T and rescaled; T, from 0.05 to 20, has the lowest log-loss on
    the clips that the member has. A single member's decisions stay as they are; what it weighs in a sum changes.

    Further attributes after `fit`: `temperatures_` (M,), `fusion_`.
    """

    def __init__(self, fusion: Fusion):
        self.fusion = fusion

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        rows = [np.flatnonzero(valid) for valid in problem.valid]
        self.temperatures_ = np.array(
            [_best_temperature(P[n], problem.y[n]) for P, n in zip(problem.P, rows, strict=True)]
        )
        scaled = at_temperatures(problem.P, self.temperatures_)
        self.fusion_ = clone(self.fusion).fit(scaled, problem.y, problem.valid, groups)
        self.log_pool_, self.interrupted_ = self.fusion_.log_pool_, self.fusion_.interrupted_
        return self.fusion_.weights_


def _best_temperature(P: np.ndarray, y: np.ndarray) -> float:
    """The temperature of least log-loss for `P` (N, C); 1 without clips."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    if not len(y):
        return 1.0
    logs = log_scores(P)
    own = logs[np.arange(len(y)), y]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((logsumexp(scale * logs, axis=1) - scale * own).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded").x))
