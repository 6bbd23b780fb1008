"""How fast a search goes, and when it will be done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.run.ended import Ended
from search.trial.heartbeats import Heartbeat

# What is looked back on: long enough to average over families, short enough to notice nodes that came or went.
WINDOW_S = 3600.0


@dataclass(frozen=True)
class Pace:
    """`per_hour` are trials that ended per hour lately; `left_s` is when the rest will be done, None if unknown."""

    per_hour: float
    left_s: float | None


def measure(
    ended: Sequence[Ended], running: Sequence[Heartbeat], left: Mapping[str, int], started_s: float, now_s: float
) -> Pace | None:
    """The pace of a search that was started at `started_s`; None before its first trial has ended.

    `left` are the trials of each entry that have not ended, the running ones included. A trial takes as long as those
    of its entry did, or as any where there are none yet.
    """
    since_s = max(started_s, now_s - WINDOW_S)
    lately = [trial for trial in ended if since_s < trial.at_s <= now_s]
    if not lately:
        return None
    span_s = max(now_s - since_s, 1e-3)
    worked_s = sum(min(trial.wall_s, trial.at_s - since_s) for trial in lately)
    worked_s += sum(now_s - max(beat.started_s, since_s) for beat in running)
    side_by_side = worked_s / span_s
    waiting_s = _work_s(ended, running, left, now_s)
    left_s = waiting_s / side_by_side if side_by_side else None
    return Pace(len(lately) / span_s * 3600, left_s)


def _work_s(ended: Sequence[Ended], running: Sequence[Heartbeat], left: Mapping[str, int], now_s: float) -> float:
    """How long one worker alone would take for all that is left."""
    times: dict[str, list[float]] = defaultdict(list)
    for trial in ended:
        if trial.wall_s:
            times[trial.entry].append(trial.wall_s)
    everything = [wall_s for entry in times.values() for wall_s in entry]
    usual_s = sum(everything) / len(everything) if everything else 0.0
    mean_s = {entry: sum(times[entry]) / len(times[entry]) if times[entry] else usual_s for entry in left}
    done_s = sum(min(now_s - beat.started_s, mean_s.get(beat.entry, 0.0)) for beat in running)
    return max(0.0, sum(count * mean_s[entry] for entry, count in left.items()) - done_s)
