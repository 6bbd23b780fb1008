"""The fused score of a run over time: whether more configurations still help the ensemble.

For pages and tables: `fused_over_time(run)`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.metrics import Metric, told
from search.goal.history import FusedHistory, FusedPoint, finished_configurations, read_points, without_gain
from search.run.ended import Ended, read_ended
from search.run.layout import Layout
from search.run.planned import read_metric, read_plan

# Reading the predictions of more takes longer than a look at a run may; then there is what the search wrote.
_MOST = 1000

# Of runs that are looked at again and again: what the last look read.
_followed: dict[Path, FusedHistory] = {}


@dataclass(frozen=True)
class FusedCurve:
    """What an ensemble of all configurations was worth, as they finished; `metric` is what the run was searched for.

    `points` hold values of which more is better, `told` turns one into what people read. `without_gain` is the number
    of configurations since the fused score was higher than ever before.
    """

    metric: Metric
    points: tuple[FusedPoint, ...]

    @property
    def without_gain(self) -> int:
        """How many configurations finished since the one that brought the highest fused score."""
        return without_gain(self.points)

    def told(self, value: float) -> float:
        """A value as it is told: the log-loss is positive."""
        return told(self.metric, value)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready data; values as they are told."""
        points = [point._replace(own=self.told(point.own), fused=self.told(point.fused)) for point in self.points]
        return {"metric": self.metric, "without_gain": self.without_gain, "points": [p._asdict() for p in points]}


def fused_over_time(run: Layout, ended: list[Ended] | None = None) -> FusedCurve | None:
    """The curve of the run, up to now; None where no configuration tells classes apart.

    A point is nested by groups: each clip is scored by a greedy selection (by log-loss) on the clips of other groups.
    It is computed once, when its configuration is first seen to be finished, and kept in the run's folder. Of runs
    with more than a thousand configurations only what the search itself wrote is told. `ended` are the trials that
    ended, where the caller has them.
    """
    plan, _ = read_plan(run.path)
    of_clips = [planned for planned in plan if planned.stage != "backbone" and not planned.continuous]
    if not of_clips:
        return None
    metric = read_metric(run.path)
    partitions = {planned.entry: planned.partitions for planned in of_clips}
    finished = finished_configurations(read_ended(run.path) if ended is None else ended, partitions)
    points = [point for point in read_points(run.path) if (point.entry, point.config_key) in finished]
    if len(points) < len(finished) <= _MOST:
        key = run.path.resolve()
        history = _followed.pop(key, None)
        if history is None or not history.follows(partitions, metric, finished):
            history = FusedHistory(run.path, partitions, metric)
        _followed[key] = history
        history.follow(finished)
        points = history.points
    return FusedCurve(metric, tuple(points)) if points else None
