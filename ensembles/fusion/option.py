"""What `auto` chooses among, and the record of what each reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ensembles.evaluation.intervals import Interval
from models.metrics import Metric

# The menu, from very safe to flexible: names with what they stand for.
MENU: Mapping[str, str] = MappingProxyType(
    {
        "uniform": "plain average of all candidates",
        "votes": "average, near copies share one vote",
        "best": "best single member",
        "greedy shrunk": "greedy, bagged and shrunk",
        "greedy": "greedy, bagged",
        "stacking": "stacking, restricted",
        "decision shrunk": "decision, shrunk",
    }
)

# What takes part when nothing is to choose by, and what every other fusion has to beat.
PLAIN = next(iter(MENU))

# A gain of no more than one standard error is none. A standard error above these (in shares, in nats) asks for more
# than its once: the fewer the clips, the more of the apparent gain of the best of seven is chance.
_SURE = 0.03
_SURE_NATS = 0.4


def demanded(metric: Metric, error: float) -> float:
    """The gain over the plain average that is held for none: one standard error of it, or more where that is large."""
    sure = _SURE_NATS if metric == "log_loss" else _SURE
    return error * max(1.0, error / sure)


@dataclass(frozen=True)
class Option:
    """A fusion on the menu: the metric that it reached on clips of inner folds that had no part in its fit.

    `gain` is by how much it is better than the plain average there, and `error` the standard error of that difference
    over groups; `setting` is what it was tuned to.
    """

    name: str
    metric: Metric
    value: float
    interval: Interval | None
    gain: float
    error: float
    setting: str
    chosen: bool
