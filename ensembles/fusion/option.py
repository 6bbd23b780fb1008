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

# The safe ones fit nothing but which member is best.
STEPS = (
    frozenset({"uniform", "votes", "best"}),
    frozenset({"greedy shrunk", "greedy"}),
    frozenset({"stacking", "decision shrunk"}),
)


@dataclass(frozen=True)
class Option:
    """A fusion on the menu: the metric that it reached on clips of inner folds that had no part in its fit.

    `behind` is by how much it is worse than the best one there, and `error` the standard error of that difference over
    groups; `setting` is what it was tuned to.
    """

    name: str
    metric: Metric
    value: float
    interval: Interval | None
    behind: float
    error: float
    setting: str
    chosen: bool
