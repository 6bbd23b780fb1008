"""Which entry gets the next configuration, when what counts is the ensemble of all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# So many configurations each entry gets, in turn, before gains are looked at.
START = 3
# No entry falls behind this part of the pace that its own `configurations` would give it.
FLOOR = 0.3
# What an entry's last configurations added tells what its next one may add.
WINDOW = 8


@dataclass(frozen=True)
class Standing:
    """An entry: its `share` of the budget by the recipe, how many configurations were `asked` for, and what those that
    finished do add to the ensemble now (`Fused.gains`), by number."""

    entry: str
    share: int
    asked: int
    gains: Sequence[float] = ()


def order(standings: Sequence[Standing]) -> list[str]:
    """The entries, the one first that shall get the next configuration.

    First come those without their start, then those that lag behind their floor, then the others by what their
    next configuration is expected to add to the ensemble: the mean positive part of a normal distribution of the last
    gains (expected improvement over an ensemble without it), with the deviation of all entries' gains mixed in as long
    as they are few. Configurations that run share what is expected, so that many workers don't all serve one entry. A
    function of the standings alone; of equals the first.
    """
    asked, shares = sum(s.asked for s in standings), sum(s.share for s in standings)
    everything = np.array([gain for s in standings for gain in s.gains])
    spread = float(everything.std()) if len(everything) else 0.0

    def rank(standing: Standing) -> tuple[int, float]:
        if standing.asked < min(START, standing.share):
            return 0, standing.asked
        pace = asked * standing.share / shares
        if standing.asked < FLOOR * pace:
            return 1, standing.asked / pace
        running = standing.asked - len(standing.gains)
        return 2, -expected_gain(standing.gains[-WINDOW:], spread) / (1 + max(0, running))

    return [standing.entry for standing in sorted(standings, key=rank)]


def expected_gain(gains: Sequence[float], spread: float) -> float:
    """The mean positive part of a normal distribution with the mean of `gains` and their deviation.

    One made-up gain of deviation `spread` takes part in the deviation: of one or two it says little. Without gains,
    `spread` alone.
    """
    n = len(gains)
    mean = float(np.mean(gains)) if n else 0.0
    variance = (float(np.var(gains)) * n + spread**2) / (n + 1) if n else spread**2
    deviation = math.sqrt(variance)
    if deviation == 0.0:
        return max(0.0, mean)
    z = mean / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return mean * (1 + math.erf(z / math.sqrt(2))) / 2 + deviation * density


def mixed(own: Mapping[int, float], gains: Mapping[int, float], weight: float) -> dict[int, float]:
    """What configurations are worth to their entry's study: ranks by `own` score and by gain, mixed, from 0 to 1.

    As in DivBO (Shen and others 2022) two ranks are added, so that neither scale matters; as in Levesque and others
    (2016) the second is what the configuration makes of the ensemble itself, where DivBO ranks a surrogate of its
    diversity. A configuration without a gain has its own rank alone.
    """
    by_own = _ranks(own)
    by_gain = _ranks({n: gain for n, gain in gains.items() if n in own})
    return {n: (1 - weight) * rank + weight * by_gain.get(n, rank) for n, rank in by_own.items()}


def _ranks(values: Mapping[int, float]) -> dict[int, float]:
    """From 0, the least, to 1; equals have the mean of their ranks."""
    if len(values) < 2:
        return dict.fromkeys(values, 0.5)
    _, places, counts = np.unique(np.fromiter(values.values(), float), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2  # from 0
    return dict(zip(values, (ranks[places] / (len(values) - 1)).tolist(), strict=True))
