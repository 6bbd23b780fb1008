"""Which sampler, and which ASHA: searches replayed on recorded learning curves of real trials, at equal budget.

    python benchmarks/samplers.py record [ravdess mosi ...] [--pools FOLDER] [--minutes 13]
    python benchmarks/samplers.py replay --pools FOLDER [FOLDER ...] [--seeds 20] [--plot FILE] [--only NAME ...]
    python benchmarks/samplers.py forest --pools FOLDER [FOLDER ...]

`record` trains configurations of one entry of each pool, drawn at random, with the program's own search (pools.py says
on which clips). `replay` takes one entry of each pool, with what several FOLDERs hold of the same family and input, and
lets two places search it: a draw is answered by the recorded configuration nearest to it that is left. `forest` answers
it by what a forest says that was fitted to the pool (curves.py tells what each is good for).

A budget of 30 is as many epochs as 30 configurations need without ASHA. A trial takes as long as it has epochs; one
that ASHA stops has cost its epochs and can't be found. The regret is the accuracy of the best of the pool less that of
the best finished so far, in points; with a forest, that of what is best by luck and worth, without its luck. Where a
search has taken more than half of a pool its cell is empty: what is left is no search any more.
"""

import argparse
import heapq
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
import pools
from curves import (
    RECORDED,
    SPOOKY,
    Answer,
    Answers,
    Curves,
    Fitted,
    Forest,
    Nearest,
    Point,
    Rungs,
    entries,
    read_curves,
)

from models.space import Space
from search.recipe.recipe import Asha
from search.run.ending import Ending
from search.sampling.drawing import Drawer, be_quiet, distributions, frozen
from search.sampling.lag import lag_for

PLACES = 2
BUDGETS = (10, 20, 30, 50, 80, 120)


class Sampler(Protocol):
    """Draws a point given those that were taken and, by number, how they ended; None: it waits for results."""

    def __call__(self, points: Sequence[Point], endings: Mapping[int, Ending]) -> Any: ...


def ours(space: Space, seed: int, *, tpe: bool) -> Sampler:
    """The program's own draws, with the lag of so many places."""
    drawer, lag = Drawer(space, seed=seed, entry="one", tpe=tpe), lag_for(PLACES)

    def draw(points: Sequence[Point], endings: Mapping[int, Ending]) -> Any:
        if tpe and any(n not in endings for n in range(len(points) - lag)):
            return None
        return drawer.draw(points, endings, lag)

    return draw


def gaussian(space: Space, seed: int) -> Sampler:
    """Optuna's sampler by a Gaussian process, which sees every result at once: keys would depend on their order."""
    found = distributions(space)

    def draw(points: Sequence[Point], endings: Mapping[int, Ending]) -> Any:
        sampler = optuna.samplers.GPSampler(seed=seed + 1000 * len(points), n_startup_trials=10)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.add_trials([frozen(point, found, endings.get(n)) for n, point in enumerate(points)])
        return study.ask(found).params

    return draw


@dataclass(frozen=True)
class Strategy:
    """A sampler, when trials are stopped early, and whether the published configurations come first."""

    sampler: Callable[[Space, int], Sampler]
    asha: Asha | None = None
    published: bool = False


def _random(space: Space, seed: int) -> Sampler:
    return ours(space, seed, tpe=False)


def _tpe(space: Space, seed: int) -> Sampler:
    return ours(space, seed, tpe=True)


ASHA, EARLY = Asha(grace_epochs=10, reduction=3), Asha(grace_epochs=5, reduction=3)
STRATEGIES: Mapping[str, Strategy] = {
    "random": Strategy(_random),
    "TPE": Strategy(_tpe),
    "GP": Strategy(gaussian),
    "random, published first": Strategy(_random, published=True),
    "TPE, published first": Strategy(_tpe, published=True),
    "random, ASHA": Strategy(_random, ASHA),
    "random, ASHA from epoch 5": Strategy(_random, EARLY),
    "TPE, ASHA": Strategy(_tpe, ASHA),
    "TPE, ASHA from epoch 5": Strategy(_tpe, EARLY),
}


@dataclass
class Replay:
    """One search with a budget of so many configurations, in which an epoch is the unit of time."""

    pool: Curves
    answers: Answers
    strategy: Strategy
    seed: int
    budget: int
    asked: list[Answer] = field(default_factory=list)
    endings: dict[int, Ending] = field(default_factory=dict)
    began: list[float] = field(default_factory=list)
    finished: list[tuple[float, int]] = field(default_factory=list)  # when, and which
    rungs: Rungs = field(init=False)

    def __post_init__(self) -> None:
        self.rungs = Rungs(self.strategy.asha)

    def run(self) -> "Replay":
        """Search until the budget is spent."""
        sampler = self.strategy.sampler(self.pool.space, self.seed)
        first = list(self.pool.first if self.strategy.published else ())
        running: list[tuple[float, int, int]] = []  # when the trial of that number comes to that epoch
        now, over = 0.0, self._time(self.budget)
        while True:
            while len(running) < PLACES and now < over and self.answers.left:
                point = first.pop(0) if first else sampler([answer.point for answer in self.asked], self.endings)
                if point is None:
                    break
                self.asked.append(self.answers(point))
                self.began.append(now)
                epoch = self._next(len(self.asked) - 1, 0)
                heapq.heappush(running, (now + epoch, len(self.asked) - 1, epoch))
            if not running:
                return self
            now, number, epoch = heapq.heappop(running)
            if not self._ends(number, epoch):
                later = self._next(number, epoch)
                heapq.heappush(running, (now + later - epoch, number, later))
            elif self.endings[number].status == "finished":
                self.finished.append((now, number))

    def chosen(self, budget: int) -> Answer | None:
        """The best that had finished within a budget; None where none had."""
        within = [self.asked[number] for when, number in self.finished if when <= self._time(budget) + 1e-9]
        return max(within, key=lambda answer: answer.value, default=None)

    def taken(self, budget: int) -> int:
        """How many configurations had begun within a budget."""
        return sum(when < self._time(budget) for when in self.began)

    def regret(self, budget: int) -> float:
        """In points; of a search that has finished nothing yet, that of the worst of the pool."""
        chosen = self.chosen(budget)
        return 100 * (self.answers.best - (chosen.worth if chosen else float(self.pool.values.min())))

    def _time(self, budget: int) -> float:
        return budget * self.pool.epochs / PLACES

    def _next(self, number: int, epoch: int) -> int:
        return self.rungs.next(self.asked[number].curve, epoch)

    def _ends(self, number: int, epoch: int) -> bool:
        answer = self.asked[number]
        if epoch == len(answer.curve):
            self.endings[number] = Ending("finished", answer.value, epoch)
            return True
        weak = self.rungs.stops(answer.curve, epoch)
        if weak:
            self.endings[number] = Ending("pruned", max(answer.curve[:epoch]), epoch)
        return weak


Runs = Mapping[str, Sequence[Replay]]


def told(pool: Curves, found: Runs, budgets: Sequence[int], title: str) -> str:
    """The table of a pool: regret, and in brackets by how much less that is than with random draws; `found` by search.

    Then the accuracy on test clips of what was chosen.
    """
    heads = f"| search | {' | '.join(map(str, budgets))} |\n|{'---|' * (len(budgets) + 1)}"
    regrets, tests = [f"\n{title}", heads], [f"\n{pool.name}: accuracy of what was chosen on test clips, %", heads]
    for label, runs in found.items():
        cells, right = [], []
        for budget in budgets:
            if np.mean([run.taken(budget) for run in runs]) > len(pool.points) / 2 and runs[0].answers.left < np.inf:
                cells.append("")
                right.append("")
                continue
            its = np.array([run.regret(budget) for run in runs])
            gain = np.array([run.regret(budget) for run in found["random"]]) - its
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
            cells.append(f"{its.mean():.2f}" + (f" ({gain.mean():+.2f} ± {error:.2f})" if label != "random" else ""))
            right.append(_test(pool, runs, budget))
        regrets.append(f"| {label} | {' | '.join(cells)} |")
        tests.append(f"| {label} | {' | '.join(right)} |")
    recorded = pool.test is not None and found["random"][0].asked[0].trial is not None
    return "\n".join([*regrets, *(tests if recorded else ())])


def _test(pool: Curves, runs: Sequence[Replay], budget: int) -> str:
    chosen = [run.chosen(budget) for run in runs]
    if pool.test is None or any(answer is None or answer.trial is None for answer in chosen):
        return ""
    return f"{100 * np.mean([pool.test[answer.trial] for answer in chosen if answer]):.1f}"


def plot(found: Mapping[str, Runs], most: Mapping[str, int], file: Path) -> None:
    """Mean regret over the budget, a panel for each pool."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.2), squeeze=False)
    for axis, (name, by_strategy) in zip(axes[0], found.items(), strict=True):
        for label, runs in by_strategy.items():
            half = len(runs[0].pool.points) / 2
            budgets = [
                budget
                for budget in range(5, most[name] + 1)
                if runs[0].answers.left == np.inf or np.mean([run.taken(budget) for run in runs]) <= half
            ]
            means = [np.mean([run.regret(budget) for run in runs]) for budget in budgets]
            axis.plot(budgets, means, label=label, linewidth=1.2)
        axis.set(title=name, xlabel="budget, configurations", ylabel="regret, points of accuracy", ylim=(0, None))
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file)


def searched(pool: Curves, labels: Sequence[str], seeds: int, *, forest: bool) -> tuple[Runs, list[int], str]:
    """Replays of a pool by search, the budgets that it holds, and its title."""
    budgets = [budget for budget in BUDGETS if forest or budget <= len(pool.points) / 2]
    fitted = Fitted(pool)
    title = f"{pool.name}: {len(pool.points)} configurations, {PLACES} at once; {fitted.explained:.2f} of the variance"
    title += f" is foretold by a forest{', which answers' if forest else ''}"
    found: dict[str, Sequence[Replay]] = {}
    for label in dict.fromkeys(("random", *labels)):
        strategy = STRATEGIES[label]
        if (strategy.asha and (forest or not pool.has_curves)) or (strategy.published and not pool.first):
            continue
        began = time.monotonic()
        found[label] = [
            Replay(pool, Forest(fitted, seed) if forest else Nearest(pool), strategy, seed, budgets[-1]).run()
            for seed in range(seeds)
        ]
        asked = sum(len(run.asked) for run in found[label])
        per_trial = 1000 * (time.monotonic() - began) / asked
        print(f"{pool.name}, {label}: {asked / seeds:.0f} trials, {per_trial:.0f} ms for each", flush=True)
    return found, budgets, title


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "replay", "forest"))
    parser.add_argument("names", nargs="*", metavar="POOL")
    parser.add_argument("--pools", type=Path, nargs="+", default=[pools.DEFAULT / "one"], metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=13.0, help="the longest that a pool is recorded")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=list(STRATEGIES), metavar="SEARCH", help="and random")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.what == "record":
        for name in args.names or RECORDED:
            pools.record(name, args.pools[0], args.minutes, lambda work, name=name: entries(name, work))
        return
    be_quiet()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    everything, most = {}, {}
    for name in args.names or (*RECORDED, SPOOKY):
        pool = read_curves(args.pools, name)
        everything[name], budgets, title = searched(pool, args.only, args.seeds, forest=args.what == "forest")
        most[name] = budgets[-1]
        print(told(pool, everything[name], budgets, title), flush=True)
    if args.plot:
        plot(everything, most, args.plot)


if __name__ == "__main__":
    main()
