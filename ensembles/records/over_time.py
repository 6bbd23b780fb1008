"""What the record of an ensemble says besides where its labels are continuous: by dimension, not by class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensembles.evaluation.intervals import Interval
from features.errors import EmofuseError
from features.schema import Word, shown

# Whoever wrote the file: a recording is predicted in so many steps as fit into it.
SHORTEST_STEP_S = 0.001


@dataclass(frozen=True)
class Gain:
    """The nested CCC of an ensemble minus that of the best single members, with its paired interval over groups."""

    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class OverTime:
    """By dimension: its name, and what makes a prediction of the members' weighted mean.

    A prediction is `scale` times the mean plus `offset`, and `label_mean` where no member has the moment. `step_s` are
    the seconds between two labels, which a prediction of new recordings keeps too. `best_singles` names the best single
    member of each dimension; `gains` are the ensemble's over these, by dimension and as `ccc` in the mean, on
    recordings that had no part in choosing either (empty: nothing can be held apart).
    """

    dimensions: tuple[Word, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    label_mean: tuple[float, ...]
    step_s: float
    best_singles: tuple[str, ...]
    gains: Mapping[str, Gain]

    def fuse(self, P: np.ndarray, valid: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Fused predictions (T, D) of `P` (M, T, D) and `valid` alike, by `weights` (M, D)."""
        from ensembles.continuous.fusion import check_predictions, fuse

        P, valid = check_predictions(P, valid)
        if (len(P), P.shape[2]) != weights.shape:
            M, D = weights.shape
            raise EmofuseError(
                f"Expected predictions of {M} members in {D} dimensions, but got {len(P)} in {P.shape[2]}."
            )
        numbers = (np.array(values) for values in (self.scale, self.offset, self.label_mean))
        return fuse(P, valid, weights, *numbers)

    def check(self, path: Path | str) -> None:
        """Refuse what a file says that can't be."""
        D = len(self.dimensions)
        if not D or len(set(self.dimensions)) != D or any(len(values) != D for values in self._by_dimension()):
            raise EmofuseError(
                f"{path}: expected one or more different dimensions, with a scale, an offset, a mean label and a best "
                f"single member for each, but got the dimensions {shown(self.dimensions)}; fit it again."
            )
        numbers = np.array([*self.scale, *self.offset, *self.label_mean, self.step_s])
        if not np.isfinite(numbers).all() or min(self.scale) <= 0 or self.step_s < SHORTEST_STEP_S:
            raise EmofuseError(
                f"{path}: expected finite numbers, with scales above 0 and a step_s of {SHORTEST_STEP_S} or more, but "
                f"got {shown(self.scale)} and {shown(self.step_s)}; fit it again."
            )

    def _by_dimension(self) -> tuple[tuple[float | str, ...], ...]:
        return self.scale, self.offset, self.label_mean, self.best_singles


def best_name(over_time: OverTime) -> str:
    """The best single members in words: one name where it is the same in all dimensions."""
    names = set(over_time.best_singles)
    if len(names) == 1:
        return names.pop()
    pairs = zip(over_time.best_singles, over_time.dimensions, strict=True)
    return ", ".join(f"{name} ({dimension})" for name, dimension in pairs)


def gain_text(gain: Gain) -> str:
    """`+0.012 [-0.004, +0.030]`."""
    bounds = f" [{gain.interval.low:+.3f}, {gain.interval.high:+.3f}]" if gain.interval else ""
    return f"{gain.difference:+.3f}{bounds}"
