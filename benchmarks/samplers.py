"""Which sampler, and which ASHA: searches replayed on recorded learning curves of real trials, at equal budget.

    python benchmarks/samplers.py record [ravdess mosi afew] [--pools FOLDER] [--minutes 13]
    python benchmarks/samplers.py replay --pools FOLDER [FOLDER ...] [--seeds 20] [--plot FILE] [--only NAME ...]

`record` trains configurations of one entry of each pool, drawn at random, with the program's own search (pools.py says
on which clips). `replay` takes one entry of each pool, with what several FOLDERs hold of the same family and input, and
lets two places search it: a suggestion is answered by the recorded configuration nearest to it that is left. The budget
is in epochs, as many as 30 configurations need without ASHA (where there are fewer than 90, as a third of them need). A
trial takes as long as it has epochs; one that ASHA stops has cost its epochs and can't be found. The regret is the
held-out accuracy of the best of the pool less that of the best finished so far, in points.
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
from ensemble_search import space_of, vector

from models.space import Choice, Space
from search.recipe.recipe import Asha
from search.run.ending import Ending
from search.sampling.drawing import Drawer, be_quiet, distributions, frozen
from search.sampling.lag import lag_for

PLACES, TRIALS = 2, 30
PARTS = tuple(round(0.05 * n, 2) for n in range(1, 21))
SHOWN = (0.25, 0.5, 1.0)
_HEAD = {"family": "embedding_head", "trials": 240, "max_epochs": 60}
_POOLING = {"family": "temporal_pooling", "trials": 240, "max_epochs": 40, "published": False}
RECORDED: Mapping[str, Mapping[str, Any]] = {
    "ravdess": {"ravdess_head": {**_HEAD, "inputs": {"embedding": "functionals"}}},
    "mosi": {"mosi_head": {**_HEAD, "inputs": {"embedding": "mosi_audio"}}},
    "afew": {
        "afew_pooling": {**_POOLING, "inputs": {"frames": "convnet"}, "space": {"hidden": [32, 64, 128]}},
    },
}


@dataclass(frozen=True)
class Curves:
    """One entry's recorded trials: points, held-out accuracy by epoch, and what each reached at its best epoch."""

    name: str
    space: Space
    points: Sequence[Mapping[str, Any]]
    curves: Sequence[Sequence[float]]
    values: np.ndarray

    @property
    def trials(self) -> int:
        """Of how many configurations the budget is."""
        return min(TRIALS, len(self.points) // 3)

    @property
    def budget(self) -> float:
        """Epochs that may be trained."""
        return self.trials * float(np.mean([len(curve) for curve in self.curves]))


def read_curves(folders: Sequence[Path], name: str) -> Curves:
    """The entry that `RECORDED` names, with what the folders hold of the same family and input."""
    ((_, wanted),) = RECORDED[name].items()
    trials, spaces = [], []
    for folder in folders:
        pool = pools.read_pool(folder, name)
        for entry, about in pool.entries.items():
            if about["family"] == wanted["family"] and dict(about["inputs"]) == wanted["inputs"]:
                spaces.append(space_of(about["space"]))
                trials += [trial for trial in pool.trials if trial["entry"] == entry]
    space = {
        key: Choice(tuple(sorted({trial["point"][key] for trial in trials}, key=str))) if isinstance(p, Choice) else p
        for key, p in spaces[-1].items()
    }
    curves = [[row["accuracy"] for row in trial["curve"]] for trial in trials]
    values = np.array([trial["metrics"]["accuracy"] for trial in trials])
    return Curves(name, space, [trial["point"] for trial in trials], curves, values)


class Sampler(Protocol):
    """Draws a point given those that were taken and, by number, how they ended; None: it waits for results."""

    def __call__(self, points: Sequence[Mapping[str, Any]], endings: Mapping[int, Ending]) -> Any: ...


def ours(space: Space, seed: int, *, tpe: bool) -> Sampler:
    """The program's own draws, with the lag of so many places."""
    drawer, lag = Drawer(space, seed=seed, entry="one", tpe=tpe), lag_for(PLACES)

    def draw(points: Sequence[Mapping[str, Any]], endings: Mapping[int, Ending]) -> Any:
        if tpe and any(n not in endings for n in range(len(points) - lag)):
            return None
        return drawer.draw(points, endings, lag)

    return draw


def gaussian(space: Space, seed: int) -> Sampler:
    """Optuna's sampler by a Gaussian process, which sees every result at once: keys would depend on their order."""
    found = distributions(space)

    def draw(points: Sequence[Mapping[str, Any]], endings: Mapping[int, Ending]) -> Any:
        sampler = optuna.samplers.GPSampler(seed=seed + 1000 * len(points), n_startup_trials=10)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.add_trials([frozen(point, found, endings.get(n)) for n, point in enumerate(points)])
        return study.ask(found).params

    return draw


@dataclass(frozen=True)
class Strategy:
    """A sampler, and when trials are stopped early."""

    sampler: Callable[[Space, int], Sampler]
    asha: Asha | None = None


ASHA, EARLY = Asha(grace_epochs=10, reduction=3), Asha(grace_epochs=5, reduction=3)
STRATEGIES: Mapping[str, Strategy] = {
    "random": Strategy(lambda space, seed: ours(space, seed, tpe=False)),
    "random, ASHA": Strategy(lambda space, seed: ours(space, seed, tpe=False), ASHA),
    "random, ASHA from epoch 5": Strategy(lambda space, seed: ours(space, seed, tpe=False), EARLY),
    "TPE": Strategy(lambda space, seed: ours(space, seed, tpe=True)),
    "TPE, ASHA": Strategy(lambda space, seed: ours(space, seed, tpe=True), ASHA),
    "TPE, ASHA from epoch 5": Strategy(lambda space, seed: ours(space, seed, tpe=True), EARLY),
    "GP": Strategy(gaussian),
}


@dataclass
class Replay:
    """One search, in which an epoch is the unit of time."""

    pool: Curves
    strategy: Strategy
    seed: int
    taken: list[int] = field(default_factory=list)
    endings: dict[int, Ending] = field(default_factory=dict)
    reached: dict[int, list[float]] = field(default_factory=dict)  # what trials had reached at each rung
    best: list[tuple[float, float]] = field(default_factory=list)  # when, and the best so far

    def run(self) -> np.ndarray:
        """The regret (points) after each part of the budget."""
        sampler = self.strategy.sampler(self.pool.space, self.seed)
        where = np.array([vector(self.pool.space, point) for point in self.pool.points])
        running: list[tuple[float, int, int]] = []  # when the trial of that number comes to that epoch
        now, over = 0.0, self.pool.budget / PLACES
        while True:
            while len(running) < PLACES and now < over and len(self.taken) < len(self.pool.points):
                point = sampler([self.pool.points[n] for n in self.taken], self.endings)
                if point is None:
                    break
                far = ((where - np.array(vector(self.pool.space, point))) ** 2).sum(axis=1)
                far[self.taken] = np.inf
                self.taken.append(int(np.argmin(far)))
                epoch = self._next(len(self.taken) - 1, 0)
                heapq.heappush(running, (now + epoch, len(self.taken) - 1, epoch))
            if not running:
                break
            now, number, epoch = heapq.heappop(running)
            if not self._ends(number, epoch):
                later = self._next(number, epoch)
                heapq.heappush(running, (now + later - epoch, number, later))
            elif self.endings[number].status == "finished":
                value = self.endings[number].value or 0.0
                self.best.append((now, max(value, self.best[-1][1] if self.best else 0.0)))
        return self._regret(over)

    def _next(self, number: int, epoch: int) -> int:
        """The epoch after `epoch` at which something may happen to the trial."""
        last = len(self.pool.curves[self.taken[number]])
        rungs = self.strategy.asha.rungs(last) if self.strategy.asha else []
        return next((rung for rung in rungs if rung > epoch), last)

    def _ends(self, number: int, epoch: int) -> bool:
        trial = self.taken[number]
        curve = self.pool.curves[trial]
        if epoch == len(curve):
            self.endings[number] = Ending("finished", float(self.pool.values[trial]), epoch)
            return True
        assert self.strategy.asha is not None
        seen, value = self.reached.setdefault(epoch, []), max(curve[:epoch])
        weak = bool(seen) and value < np.percentile(seen, 100 * (1 - 1 / self.strategy.asha.reduction))
        seen.append(value)
        if weak:
            self.endings[number] = Ending("pruned", value, epoch)
        return bool(weak)

    def _regret(self, over: float) -> np.ndarray:
        times = np.array([when for when, _ in self.best])
        bests = np.array([value for _, value in self.best])
        places = np.searchsorted(times, [part * over for part in PARTS], side="right") - 1
        found = np.where(places >= 0, bests[np.maximum(places, 0)], self.pool.values.min())
        return np.asarray(100 * (self.pool.values.max() - found))


def told(pool: Curves, found: Mapping[str, np.ndarray]) -> str:
    """The table of a pool; `found` (seeds, parts) by strategy."""
    lines = [f"\n{pool.name}: {len(pool.points)} configurations, budget of {pool.trials}, {PLACES} at once"]
    lines.append(f"| search | {' | '.join(f'{part:.0%}' for part in SHOWN)} | less than random at the end |")
    lines.append("|" + "---|" * (len(SHOWN) + 2))
    for label, regrets in found.items():
        cells = [f"{regrets[:, PARTS.index(part)].mean():.2f}" for part in SHOWN]
        gain = found["random"][:, -1] - regrets[:, -1]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        lines.append(f"| {label} | {' | '.join(cells)} | {gain.mean():+.2f} ± {error:.2f} |")
    return "\n".join(lines)


def plot(found: Mapping[str, Mapping[str, np.ndarray]], file: Path) -> None:
    """Mean regret over the budget, a panel for each pool."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.2), squeeze=False)
    for axis, (name, by_strategy) in zip(axes[0], found.items(), strict=True):
        for label, regrets in by_strategy.items():
            axis.plot([100 * part for part in PARTS], regrets.mean(axis=0), label=label, linewidth=1.2)
        axis.set(title=name, xlabel="epochs, % of the budget", ylabel="regret, points of accuracy", ylim=(0, None))
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "replay"))
    parser.add_argument("names", nargs="*", default=list(RECORDED), metavar="POOL")
    parser.add_argument("--pools", type=Path, nargs="+", default=[pools.DEFAULT / "one"], metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=13.0, help="the longest that a pool is recorded")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=list(STRATEGIES), metavar="SEARCH", help="and random")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.what == "record":
        for name in args.names:
            pools.record(name, args.pools[0], args.minutes, lambda work, name=name: _made(name, work))
        return
    be_quiet()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    everything = {}
    for name in args.names:
        pool, found = read_curves(args.pools, name), {}
        for label in dict.fromkeys(("random", *args.only)):
            began = time.monotonic()
            runs = [Replay(pool, STRATEGIES[label], seed) for seed in range(args.seeds)]
            found[label] = np.array([run.run() for run in runs])
            asked = sum(len(run.taken) for run in runs)
            per_trial = 1000 * (time.monotonic() - began) / asked
            print(f"{name}, {label}: {asked / args.seeds:.0f} trials, {per_trial:.0f} ms for each", flush=True)
        everything[name] = found
        print(told(pool, found), flush=True)
    if args.plot:
        plot(everything, args.plot)


def _made(name: str, work: Path) -> dict[str, Any]:
    pools.POOLS[name](work)  # clips and features
    return dict(RECORDED[name])


if __name__ == "__main__":
    main()
