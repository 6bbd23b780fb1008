"""Whether a trial may start: not one that, by the pace so far, would end after the budget."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from search.budget.spent import Spent
from search.recipe.limits import Budget

_HOUR_S = 3600.0


@dataclass
class _Cost:
    """What an entry has cost: trials that ended, their seconds, and of how many finished ones the mean is made."""

    trials: int = 0
    wall_s: float = 0.0
    gpu_s: float = 0.0
    finished: int = 0
    finished_s: float = 0.0
    finished_gpu_s: float = 0.0


@dataclass(frozen=True)
class _Begun:
    entry: str
    gpu: float
    at_s: float | None = None  # None: it was handed out, and may still wait for a free place

    @property
    def so_far_s(self) -> float:
        return 0.0 if self.at_s is None else time.monotonic() - self.at_s


class Purse:
    """The budget of a run (`whole`) and of its entries, what was `spent` of them, and what runs now.

    `worked_s` are the seconds for which searches worked on the run. A trial takes as long as the finished ones of its
    entry did on average; one of an entry of which none is finished may always start while something is left. Two
    threads may use it.
    """

    def __init__(self, whole: Budget, entries: Mapping[str, Budget], spent: Spent, worked_s: Callable[[], float]):
        self._whole, self._entries, self._worked_s = whole, entries, worked_s
        self._costs: dict[str, _Cost] = defaultdict(_Cost)
        for name, one in spent.entries.items():
            self._costs[name] = _Cost(
                one.trials,
                one.hours * _HOUR_S,
                one.gpu_hours * _HOUR_S,
                one.finished,
                one.finished * (one.mean_s or 0.0),
                one.finished * (one.mean_gpu_s or 0.0),
            )
        self._running: dict[str, _Begun] = {}
        self._lock = threading.Lock()

    @property
    def limited(self) -> bool:
        """Whether there is any limit at all."""
        return any(budget != Budget() for budget in (self._whole, *self._entries.values()))

    def begin(self, key: str, entry: str, gpu: float) -> None:
        """A trial, by its key, was handed out; it has this share of a GPU."""
        with self._lock:
            self._running[key] = _Begun(entry, gpu)

    def seen(self, keys: Iterable[str]) -> None:
        """These trials, by their keys, are trained now."""
        with self._lock:
            for key in self._running.keys() & set(keys):
                if self._running[key].at_s is None:
                    self._running[key] = replace(self._running[key], at_s=time.monotonic())

    def end(
        self, key: str, entry: str, wall_s: float, gpu_s: float, *, ended: bool = True, finished: bool = False
    ) -> None:
        """It took so long; not `ended`: it was stopped, and will go on."""
        with self._lock:
            self._running.pop(key, None)
            cost = self._costs[entry]
            cost.trials += ended
            cost.wall_s += wall_s
            cost.gpu_s += gpu_s
            if finished:
                cost.finished += 1
                cost.finished_s += wall_s
                cost.finished_gpu_s += gpu_s

    def may_start(self, entry: str, trials: int = 1, promised: Mapping[str, int] = MappingProxyType({})) -> bool:
        """Whether so many more trials of the entry would end within the budgets, beside those `promised`, by entry."""
        with self._lock:
            if not self._has_time(entry):
                return False
            own = self._entries.get(entry, Budget())
            mine = {entry: promised.get(entry, 0) + trials}
            return self._holds(own, mine, {entry}) and self._holds(self._whole, {**promised, **mine}, None)

    def may_start_uncounted(self, entry: str) -> bool:
        """Whether a trial that no budget counts, of an entry, would end before those of the whole run are over."""
        return not self.over and self._has_time(entry)

    @property
    def left_s(self) -> float | None:
        """How many seconds the search may still work on the run; None: as long as it likes."""
        return None if self._whole.hours is None else self._whole.hours * _HOUR_S - self._worked_s()

    def latest_start_s(self, entry: str) -> float | None:
        """Until when (seconds since 1970) a trial of the entry may begin that is handed out now."""
        with self._lock:
            return None if self.left_s is None else time.time() + max(0.0, self.left_s - self._usual_s(entry))

    def used_up(self) -> set[str] | None:
        """The entries whose hours are over, so that their running trials stop; None: those of the whole run are."""
        with self._lock:
            if self.left_s is not None and self.left_s <= 0:
                return None
            if self._whole.gpu_hours is not None and self._gpu_s(None) >= self._whole.gpu_hours * _HOUR_S:
                return None
            return {
                name
                for name, own in self._entries.items()
                if (own.hours is not None and self._wall_s({name}) >= own.hours * _HOUR_S)
                or (own.gpu_hours is not None and self._gpu_s({name}) >= own.gpu_hours * _HOUR_S)
            }

    @property
    def over(self) -> bool:
        """Whether nothing of the whole run's budget is left."""
        trials = self._whole.trials
        return self.used_up() is None or (trials is not None and self._trials(None) >= trials)

    def _has_time(self, entry: str) -> bool:
        left_s = self.left_s
        return left_s is None or (left_s > 0 and left_s >= self._usual_s(entry))

    def _holds(self, budget: Budget, more: Mapping[str, int], of: set[str] | None) -> bool:
        """Whether the budget of those entries (None: all) holds so many `more` trials, by entry."""
        if budget.trials is not None and self._trials(of) + sum(more.values()) > budget.trials:
            return False
        if budget.gpu_hours is not None:
            left_s = budget.gpu_hours * _HOUR_S - self._gpu_s(of, to_come=True)
            if left_s <= 0 or left_s < sum(count * self._usual_gpu_s(entry) for entry, count in more.items()):
                return False
        if budget.hours is not None and of is not None:
            left_s = budget.hours * _HOUR_S - self._wall_s(of, to_come=True)
            return left_s > 0 and left_s >= sum(count * self._usual_s(entry) for entry, count in more.items())
        return True

    def _usual_s(self, entry: str) -> float:
        cost = self._costs[entry]
        return cost.finished_s / cost.finished if cost.finished else 0.0

    def _usual_gpu_s(self, entry: str) -> float:
        cost = self._costs[entry]
        return cost.finished_gpu_s / cost.finished if cost.finished else 0.0

    def _trials(self, of: set[str] | None) -> int:
        running = Counter(begun.entry for begun in self._running.values())
        ended = sum(cost.trials for name, cost in self._costs.items() if of is None or name in of)
        return ended + sum(count for name, count in running.items() if of is None or name in of)

    def _wall_s(self, of: set[str] | None, *, to_come: bool = False) -> float:
        spent = sum(cost.wall_s for name, cost in self._costs.items() if of is None or name in of)
        for begun in self._running.values():
            if of is None or begun.entry in of:
                so_far = begun.so_far_s
                spent += max(so_far, self._usual_s(begun.entry)) if to_come else so_far
        return spent

    def _gpu_s(self, of: set[str] | None, *, to_come: bool = False) -> float:
        spent = sum(cost.gpu_s for name, cost in self._costs.items() if of is None or name in of)
        for begun in self._running.values():
            if of is None or begun.entry in of:
                so_far = begun.so_far_s * begun.gpu
                spent += max(so_far, self._usual_gpu_s(begun.entry)) if to_come else so_far
        return spent
