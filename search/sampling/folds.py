"""Which configurations are given up after some of their folds, by what others reached on the same ones."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from search.recipe.limits import FoldStopping


class FoldRule:
    """The rule of a recipe for one entry, whose configurations have `trials` each, always in the same order.

    They are those of all partitions, with several `seeds` once more for each.
    What it says depends on nothing but the order in which it hears of configurations.
    """

    def __init__(self, stopping: FoldStopping, trials: int, seeds: int = 1):
        self._stopping, self._trials = stopping, trials
        self._of = "partitions" if seeds == 1 else "trials"
        self.rungs = stopping.rungs(trials)
        self._reached: dict[int, dict[int, float]] = defaultdict(dict)  # by rung and configuration

    def opened(self, ended: int) -> int:
        """How many of a configuration's trials may be handed out once so many of them have finished."""
        return next((rung for rung in self.rungs if rung > ended), self._trials)

    def hear(self, number: int, values: Sequence[float]) -> None:
        """Configuration `number` reached `values` in its first trials; others are compared with it from now on."""
        for rung in self.rungs:
            if rung <= len(values):
                self._reached[rung].setdefault(number, sum(values[:rung]) / rung)

    def gives_up(self, number: int, values: Sequence[float]) -> str | None:
        """Why configuration `number`, whose first trials reached `values`, is not worth more of them; None: it is."""
        self.hear(number, values)
        if len(values) not in self.rungs:
            return None
        reached = self._reached[len(values)]
        others = [value for other, value in reached.items() if other != number]
        if len(others) < self._stopping.least:
            return None
        place = f"after {len(values)} of {self._trials} {self._of}"
        if self._stopping.rule == "median":
            worse = reached[number] < median(others)
            return f"given up {place}: worse than the median of {len(others)} configurations" if worse else None
        going_on = max(1, len(reached) // self._stopping.reduction)
        better = sum(value > reached[number] for value in others)
        if better < going_on:
            return None
        return f"given up {place}: not among the best {going_on} of {len(reached)} configurations"
