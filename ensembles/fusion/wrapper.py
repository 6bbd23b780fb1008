"""What the options that fit every method share: a fusion around a fusion."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from ensembles.fusion.base import Fusion
from ensembles.fusion.pooling import LogPool
from features.errors import WrongUse


class Wrapper(Fusion):
    """A fusion that fits another one, once or often; metric and rule for missing members are the inner one's."""

    fusion: Fusion

    def fit(
        self, P: np.ndarray, y: np.ndarray, valid: np.ndarray | None = None, groups: Sequence[str] | None = None
    ) -> Self:
        """Find the weights, as `Fusion.fit` does."""
        self.metric, self.missing = self.fusion.metric, self.fusion.missing
        return super().fit(P, y, valid, groups)

    def _mix(self, parts: Sequence[tuple[float, Fusion]]) -> np.ndarray:
        """The weights that average the scores of fitted fusions, or their logits where these are what they sum.

        `parts` are (share, fusion), shares with sum 1. Sets `log_pool_`.
        """
        for _, fusion in parts:
            if fusion.temperatures_ is not None:
                raise WrongUse(
                    f"{type(self).__name__} averages weights of the same scores, but its fusion has temperatures of "
                    "its own; put TemperatureScaling around it."
                )
        shares = np.array([share for share, _ in parts])
        pools = [fusion.log_pool_ for _, fusion in parts if fusion.log_pool_ is not None]
        self.log_pool_ = None
        if not pools:
            return np.tensordot(shares, np.stack([fusion.weights_ for _, fusion in parts]), 1)
        slopes = np.array([pool.slopes for pool in pools])
        weights = np.stack([fusion.weights_ for _, fusion in parts]) * slopes[:, None, :]
        coefficients = np.tensordot(shares, weights, 1)
        biases = shares @ np.array([pool.biases for pool in pools])
        self.log_pool_ = LogPool(tuple(coefficients.sum(axis=0).tolist()), tuple(biases.tolist()))
        return weights_of(coefficients)


def weights_of(coefficients: np.ndarray) -> np.ndarray:
    """(M, C) non-negative coefficients over their sum for each class; equal weights for a class without any."""
    totals = coefficients.sum(axis=0)
    return np.divide(coefficients, totals, out=np.full_like(coefficients, 1 / len(coefficients)), where=totals > 0)
