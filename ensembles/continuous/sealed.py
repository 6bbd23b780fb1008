"""Test recordings whose labels can be scored against but not read: nothing that is fitted can be given them."""

from collections.abc import Mapping

import numpy as np

from ensembles.continuous.concordance import mean_concordance_interval
from ensembles.continuous.recordings import Recordings
from ensembles.evaluation.intervals import Interval
from models.concordance import continuous_metrics


class SealedRecordings:
    """`members`, `P` (M, T, D), `valid`, `recording`, `group` and `time_s` as in `Recordings`, and no labels."""

    __slots__ = ("P", "_intervals", "_metrics", "dimensions", "group", "members", "recording", "time_s", "valid")

    def __init__(self, known: Recordings):
        self.members, self.dimensions, self.P, self.valid = known.members, known.dimensions, known.P, known.valid
        self.recording, self.group, self.time_s = known.recording, known.group, known.time_s
        self._metrics = lambda fused: continuous_metrics(known.Y, fused, known.dimensions)
        self._intervals = lambda fused, rival: concordance_intervals(
            known.Y, fused, known.group, known.dimensions, rival
        )

    def metrics(self, fused: np.ndarray) -> Mapping[str, float]:
        """`ccc` (the mean), `ccc_<dimension>` and `mse` of predictions (T, D) of all recordings."""
        return self._metrics(fused)

    def intervals(self, fused: np.ndarray, rival: np.ndarray | None = None) -> Mapping[str, Interval]:
        """The 95 % intervals over groups of `ccc` and `ccc_<dimension>`, or of their difference to a `rival`'s.

        Empty with one group.
        """
        return self._intervals(fused, rival)


def concordance_intervals(
    Y: np.ndarray, fused: np.ndarray, groups: np.ndarray, dimensions: tuple[str, ...], rival: np.ndarray | None = None
) -> dict[str, Interval]:
    """The 95 % intervals over groups of `ccc` (the mean) and `ccc_<dimension>`, or of their difference to a `rival`'s.

    Labels and predictions are (T, D). Empty with one group.
    """
    found = {"ccc": mean_concordance_interval(Y, fused, groups, rival)}
    for d, name in enumerate(dimensions):
        one = slice(d, d + 1)
        other = None if rival is None else rival[:, one]
        found[f"ccc_{name}"] = mean_concordance_interval(Y[:, one], fused[:, one], groups, other)
    return {name: interval for name, interval in found.items() if interval is not None}
