"""What the options that fit every method share: a fusion around a fusion."""

from collections.abc import Sequence

import numpy as np

from ensembles.fusion.base import Fusion, Metric
from ensembles.fusion.pooling import LogPool, Missing
from features.errors import WrongUse


class Wrapper(Fusion):
    """A fusion that fits another one, once or often; metric and rule for missing members are the inner one's."""

    fusion: Fusion

    @property
    def metric(self) -> Metric:  # type: ignore[override]
        """As the inner fusion has it."""
        return self.fusion.metric

    @property
    def missing(self) -> Missing:  # type: ignore[override]
        """As the inner fusion has it."""
        return self.fusion.missing

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
        coefficients = np.tensordot(shares, np.array([pool.coefficients for pool in pools]), 1)
        self.log_pool_ = LogPool.of(coefficients, shares @ np.array([pool.biases for pool in pools]))
        return self.log_pool_.weights
