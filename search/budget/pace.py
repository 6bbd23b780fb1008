"""How fast a search goes, and when it will be done."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.progress import duration
from search.budget.told import Books
from search.run.ended import Ended
from search.trial.heartbeats import Heartbeat

# What is looked back on: long enough to average over families, short enough to notice nodes that came or went; where
# trials are longer, so many of them.
WINDOW_S, _WINDOW_TRIALS = 3600.0, 4
_HOUR_S = 3600.0
_NAMED = 3  # entries
# Ray is heard several times a second; a sign of life is written every 5 s, on an object store every 20 s.
SILENT_S = 60.0


@dataclass(frozen=True)
class Pace:
    """`per_hour` are trials that ended per hour lately; `left_s` is when the rest will be done, None if unknown.

    `budget`: it is spent before all trials are trained. `sooner`: `stop_when` may end the search before. `guessed` are
    entries of which no trial has ended, so that nobody knows what theirs take.
    """

    per_hour: float
    left_s: float | None
    budget: bool = False
    sooner: bool = False
    guessed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`320 trials per hour; about 35 min 20 s to go, until 2026-11-27 14:37`, with what may change it."""
        rate = f"{self.per_hour:,.0f} trials per hour"
        return rate if self.left_s is None else f"{rate}; about {duration(self.left_s)} to go{self.until}"

    @property
    def until(self) -> str:
        """`, until 2026-11-27 14:37`, with what may change it; empty where it is unknown."""
        if self.left_s is None:
            return ""
        text = time.strftime(", until %Y-%m-%d %H:%M", time.localtime(time.time() + self.left_s))
        text += ", when the budget is spent" if self.budget else ""
        text += ", or earlier if stop_when ends it" if self.sooner else ""
        if self.guessed:
            more = f" and {len(self.guessed) - _NAMED} more" if len(self.guessed) > _NAMED else ""
            text += f" (a guess: no trial of {', '.join(self.guessed[:_NAMED])}{more} has ended yet)"
        return text


def measure(
    ended: Sequence[Ended],
    running: Sequence[Heartbeat],
    left: Mapping[str, float],
    started_s: float,
    now_s: float,
    books: Books | None = None,
    sooner: bool = False,
) -> Pace | None:
    """The pace of a search that was started at `started_s`; None before its first trial has ended.

    `left` are the trials of each entry that have not ended, the running ones included. A trial takes as long as those
    of its entry did, those that were stopped early among them, or as any where there are none yet. `books` may end the
    search before they are trained; `sooner` is told on.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for trial in ended:
        if trial.partition != "full" and (trial.wall_s or trial.status == "pruned"):
            times[trial.entry].append(trial.wall_s)
    everything = [wall_s for its in times.values() for wall_s in its]
    usual_s = sum(everything) / len(everything) if everything else 0.0
    since_s = max(started_s, now_s - max(WINDOW_S, _WINDOW_TRIALS * usual_s))
    lately = [trial for trial in ended if since_s < trial.at_s <= now_s]
    if not lately:
        return None
    span_s = max(now_s - since_s, 1e-3)
    worked_s = sum(min(trial.wall_s, trial.at_s - since_s) for trial in lately)
    worked_s += sum(now_s - max(beat.started_s, since_s) for beat in running)
    per_hour, side_by_side = len(lately) / span_s * _HOUR_S, worked_s / span_s
    if not side_by_side or not usual_s:
        return Pace(per_hour, None)
    mean_s = {name: sum(times[name]) / len(times[name]) if times[name] else usual_s for name in left}
    whole = {name: count * mean_s[name] for name, count in left.items()}
    held = whole if books is None else _held(whole, left, books)
    done_s = sum(min(now_s - beat.started_s, mean_s.get(beat.entry, 0.0)) for beat in running)
    left_s = max(0.0, sum(held.values()) - done_s) / side_by_side
    budget = sum(held.values()) < sum(whole.values())
    if books is not None and books.whole.hours is not None:
        hours_s = max(0.0, books.whole.hours - books.spent.hours) * _HOUR_S
        left_s, budget = (hours_s, True) if hours_s < left_s else (left_s, budget)
    guessed = tuple(name for name, count in left.items() if count and not times[name])
    return Pace(per_hour, left_s, budget, sooner, guessed)


def _held(whole: Mapping[str, float], left: Mapping[str, float], books: Books) -> dict[str, float]:
    """What of the seconds of work that are left, by entry, the budgets of trials, GPU-hours and entries hold."""
    spent = books.spent
    gpu_s = {name: one.gpu_hours * _HOUR_S / one.trials for name in whole if (one := spent.of(name)).trials}
    held = {}
    for name, work_s in whole.items():
        own, one = books.entries.get(name), spent.of(name)
        limits = [1.0]
        if own is not None and left[name]:
            limits += _part(own.trials, one.trials, left[name])
            limits += _part(own.hours, one.hours, work_s / _HOUR_S)
            limits += _part(own.gpu_hours, one.gpu_hours, left[name] * gpu_s.get(name, 0.0) / _HOUR_S)
        held[name] = work_s * min(limits)
    parts = {name: held[name] / work_s if work_s else 0.0 for name, work_s in whole.items()}
    asked = {name: left[name] * part for name, part in parts.items()}
    gpu_hours = sum(asked[name] * gpu_s.get(name, 0.0) for name in asked) / _HOUR_S
    limits = [1.0, *_part(books.whole.trials, spent.trials, sum(asked.values()))]
    limits += _part(books.whole.gpu_hours, spent.gpu_hours, gpu_hours)
    return {name: work_s * min(limits) for name, work_s in held.items()}


def _part(limit: float | None, spent: float, asked: float) -> list[float]:
    """The part of what is asked that a limit holds, if there is one."""
    return [] if limit is None or asked <= 0 else [max(0.0, limit - spent) / asked]
