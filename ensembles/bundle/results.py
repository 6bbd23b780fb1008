"""What a bundle says of one clip, or of one recording over time."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ClipPrediction:
    """One clip's result: `label` with `probabilities` by class, or `reason` why there is none.

    `left_out` tells for each member that could not score the clip why, or that its scores were not finite; the others
    share its weight. `members` are the probabilities of each that could. `distance` is how far the clip lies from the
    training clips, in times the limit (None: the bundle doesn't know them), `unlike` the sets in which it is beyond it.
    """

    path: str
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    members: dict[str, dict[str, float]] = field(default_factory=dict)
    distance: float | None = None
    unlike: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TracePrediction:
    """One recording's result: `values` (T, D) of `dimensions` at `time_s` (T,) seconds, or `reason` why there is none.

    `left_out`, `distance` and `unlike` are as in `ClipPrediction`.
    """

    path: str
    dimensions: tuple[str, ...]
    time_s: np.ndarray
    values: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    distance: float | None = None
    unlike: dict[str, float] = field(default_factory=dict)
