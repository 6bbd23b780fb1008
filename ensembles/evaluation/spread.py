"""How far a result depends on the seed of the training: its mean and standard deviation over several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """`mean` and sample standard deviation `sd` of a metric over `n` trainings that differ in their seed alone."""

    n: int
    mean: float
    sd: float

    def told(self, scale: float = 1.0, digits: int = 3) -> str:
        """`mean ± sd`."""
        return f"{scale * self.mean:.{digits}f} ± {scale * self.sd:.{digits}f}"


def spreads(scored: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Of each metric the spread over trainings; empty where there are fewer than two."""
    if len(scored) < 2:
        return {}
    found = {}
    for name in scored[0]:
        values = np.array([one[name] for one in scored if name in one], float)
        if len(values) == len(scored):
            found[name] = Spread(len(values), float(values.mean()), float(values.std(ddof=1)))
    return found
