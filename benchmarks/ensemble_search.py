"""Whether a search for the ensemble finds a better one with fewer trials, replayed on pools of real trials.

    python benchmarks/pools.py record --pools FOLDER
    python benchmarks/ensemble_search.py [--pools FOLDER] [--only NAME ...] [--seeds 20] [--trials N] [--json FILE]
    python benchmarks/ensemble_search.py --only --json FILE --plot FILE.svg
    python benchmarks/ensemble_search.py --stops 20 30

A search is replayed trial by trial with the program's own drawing (`search.sampling.drawing`), turns
(`search.goal.flow`) and fused score (`search.goal.fused`); a configuration that is asked for is the nearest recorded
one of its entry that was not taken yet, and its result is the recorded one. Half the pool is the full budget
(`--trials`). After every twentieth of it the ensemble is fitted on the held-out clips of what was taken, by greedy
selection for the metric, and scored on the test clips, which nothing else looks at.

- `random`: entries in turn, configurations at random. `anywhere`: any configuration of the pool at random.
- `TPE`: entries in turn, TPE in each: what `goal: best` does.
- `goal: ensemble`: the trials flow, and TPE is told the mix. `mix alone`: with `shares: equal`. `flow alone`.

Told are the means over seeds at some parts of the budget, and against `TPE` at the full budget: the first part at which
a search is as good on average, and the paired difference of the search at 60 % and at 100 % with its standard error
over seeds. Test clips are the same for all seeds: that error is the search's, not that of the clips.

`--stops` tells where `stop_when: {no_gain: N}` would have ended the search that recorded each pool, and the test scores
there and at its end.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pools import DEFAULT, Pool, read_pool

from ensembles.fusion import GreedySelection
from models.metrics import log_loss, worth
from models.space import Choice, Float, Int, Space
from search.goal.flow import Standing, mixed, order
from search.goal.fused import Fused
from search.goal.held_out import Clips
from search.run.ending import Ending
from search.sampling.drawing import Drawer

PARTS = tuple(n / 20 for n in range(2, 21))
SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Strategy:
    """How trials are chosen: whether they `flow` to gains, go `anywhere` or in turn; with TPE, told a `mix`."""

    flow: bool = False
    anywhere: bool = False
    tpe: bool = True
    mix: float = 0.0


STRATEGIES: Mapping[str, Strategy] = {
    "anywhere": Strategy(anywhere=True, tpe=False),
    "random": Strategy(tpe=False),
    "TPE": Strategy(),
    "flow alone": Strategy(flow=True),
    "mix alone": Strategy(mix=0.5),
    "goal: ensemble": Strategy(flow=True, mix=0.5),
}
REFERENCE, OURS = "TPE", "goal: ensemble"


def space_of(data: Mapping[str, Mapping[str, Any]]) -> Space:
    """The space that `space_as_data` told."""
    kinds = {"float": Float, "int": Int}
    return {
        name: Choice(tuple(p["values"])) if p["kind"] == "choice" else kinds[p["kind"]](p["low"], p["high"], p["log"])
        for name, p in data.items()
    }


def vector(space: Space, point: Mapping[str, Any]) -> list[float]:
    """Where a point lies in the unit cube; a choice has an axis for each value, two values are 1 apart."""
    found: list[float] = []
    for name, parameter in space.items():
        value = point[name]
        if isinstance(parameter, Choice):
            found += [float(value == choice) / np.sqrt(2) for choice in parameter.values]
            continue
        low, high = parameter.low, parameter.high
        if parameter.log:
            low, high, value = np.log(low), np.log(high), np.log(value)
        found.append(float((value - low) / (high - low)))
    return found


@dataclass
class Entry:
    """An entry of a replayed search: the recorded trials that are left, and those that were taken, in order."""

    name: str
    drawer: Drawer
    space: Space
    where: dict[int, list[float]]
    left: list[int]
    share: int
    taken: list[int] = field(default_factory=list)


class Replay:
    """One search over a pool."""

    def __init__(self, pool: Pool, strategy: Strategy, seed: int, trials: int):
        self._pool, self._strategy, self._rng = pool, strategy, np.random.default_rng(seed)
        self._entries: list[Entry] = []
        for name, about in pool.entries.items():
            its = [n for n, trial in enumerate(pool.trials) if trial["entry"] == name]
            space = space_of(about["space"])
            where = {n: vector(space, pool.trials[n]["point"]) for n in its}
            drawer = Drawer(space, seed=seed, entry=name, tpe=strategy.tpe)
            self._entries.append(Entry(name, drawer, space, where, its, max(1, trials // len(pool.entries))))
        self._fused = Fused(_clips(pool), "accuracy") if strategy.flow or strategy.mix else None
        self.taken: list[int] = []

    def step(self) -> None:
        """Take one more trial."""
        would, does = self._fused.gains() if self._fused else ((), ())
        entry = self._turn(dict(zip(self.taken, does, strict=False)))
        trial = self._draw(entry, dict(zip(self.taken, would, strict=False)))
        entry.left.remove(trial)
        entry.taken.append(trial)
        self.taken.append(trial)
        if self._fused is not None:
            self._fused.add([self._pool.held_out[trial]])

    def _turn(self, gains: Mapping[int, float]) -> Entry:
        open_entries = [entry for entry in self._entries if entry.left]
        if self._strategy.anywhere:
            sizes = np.array([len(entry.left) for entry in open_entries])
            return open_entries[int(self._rng.choice(len(open_entries), p=sizes / sizes.sum()))]
        if not self._strategy.flow:
            return min(open_entries, key=lambda entry: len(entry.taken))
        standings = [Standing(e.name, e.share, len(e.taken), [gains[n] for n in e.taken]) for e in open_entries]
        first = order(standings)[0]
        return next(entry for entry in open_entries if entry.name == first)

    def _draw(self, entry: Entry, gains: Mapping[int, float]) -> int:
        if not self._strategy.tpe:
            return entry.left[int(self._rng.integers(len(entry.left)))]
        own = {n: self._pool.trials[t]["metrics"]["accuracy"] for n, t in enumerate(entry.taken)}
        if self._strategy.mix and gains:
            own = mixed(own, {n: gains[t] for n, t in enumerate(entry.taken)}, self._strategy.mix)
        endings = {n: Ending("finished", value, 1) for n, value in own.items()}
        point = entry.drawer.draw([self._pool.trials[t]["point"] for t in entry.taken], endings, 0)
        asked = np.array(vector(entry.space, point))
        return min(entry.left, key=lambda n: float(((np.array(entry.where[n]) - asked) ** 2).sum()))


def _clips(pool: Pool) -> Clips:
    ids = np.array([str(n) for n in range(len(pool.y_held_out))])
    return Clips(ids, pool.groups_held_out, pool.y_held_out, pool.classes)


def test_scores(pool: Pool, taken: Sequence[int]) -> tuple[float, float]:
    """Accuracy and log-loss on the test clips of the ensembles that are fitted for them."""
    its = np.array(taken)
    P, test = pool.held_out[its], pool.test[its]
    found = []
    for metric in ("accuracy", "log_loss"):
        weights = GreedySelection(metric=metric, n_jobs=1).fit(P, pool.y_held_out).weights_[:, 0]
        fused = np.einsum("m,mnc->nc", weights, test)
        found.append(log_loss(pool.y_test, fused) if metric == "log_loss" else worth("accuracy", pool.y_test, fused))
    return found[0], found[1]


def replay(pool: Pool, strategy: Strategy, seed: int, trials: int) -> np.ndarray:
    """(parts, 2) accuracy and log-loss on the test clips after each part of the budget."""
    search, found = Replay(pool, strategy, seed, trials), []
    for part in PARTS:
        while len(search.taken) < round(part * trials):
            search.step()
        found.append(test_scores(pool, search.taken))
    return np.array(found)


def stop(pool: Pool, no_gain: int) -> int:
    """After how many trials, in the order in which they were recorded, so many have brought no gain."""
    fused, best, since = Fused(_clips(pool), "accuracy"), -1.0, 0
    for n, scores in enumerate(pool.held_out, start=1):
        fused.add([scores])
        best, since = (fused.score, 0) if fused.score > best else (best, since + 1)
        if since >= no_gain:
            return n
    return len(pool.held_out)


def told_stops(pool: Pool, numbers: Sequence[int]) -> str:
    """A line for each number, and one for the end."""
    lines = [f"\n| {pool.name} | trials | accuracy | log-loss |", "|---|---|---|---|"]
    ends = {f"no_gain: {number}": stop(pool, number) for number in numbers} | {"the end": len(pool.trials)}
    for label, trials in ends.items():
        accuracy, loss = test_scores(pool, range(trials))
        lines.append(f"| {label} | {trials} | {100 * accuracy:.1f} | {loss:.3f} |")
    return "\n".join(lines)


def told(name: str, found: Mapping[str, np.ndarray], trials: int) -> str:
    """The tables of a pool; `found` (seeds, parts, 2) by strategy."""
    lines = []
    for metric, sign, scale in (("accuracy", 1, 100), ("log-loss", -1, 1)):
        at = 0 if metric == "accuracy" else 1
        heads = ["search", *(f"{p:.0%}" for p in SHOWN), "as TPE at the end", "60 % - TPE's end", "100 % - TPE's end"]
        lines += [f"\n{name}, {metric}, {trials} trials", f"| {' | '.join(heads)} |"]
        lines.append("|" + "---|" * len(heads))
        end = found[REFERENCE][:, -1, at]
        for label, scores in found.items():
            means = scores[:, :, at].mean(axis=0) * scale
            reached = [p for p, mean in zip(PARTS, means, strict=True) if sign * (mean - end.mean() * scale) >= -1e-9]
            cells = [f"{means[PARTS.index(p)]:.{1 if scale > 1 else 3}f}" for p in SHOWN]
            cells.append(f"{reached[0]:.0%}" if reached else "never")
            for part in (0.6, 1.0):
                differences = (scores[:, PARTS.index(part), at] - end) * scale
                error = differences.std(ddof=1) / np.sqrt(len(differences))
                cells.append(f"{differences.mean():+.{1 if scale > 1 else 3}f} ± {error:.{1 if scale > 1 else 3}f}")
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(means: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], file: Path) -> None:
    """Test log-loss over the number of trials, a panel for each pool."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(means), figsize=(4 * len(means), 3.2), squeeze=False)
    for axis, (name, by_strategy) in zip(axes[0], means.items(), strict=True):
        for label, its in by_strategy.items():
            width = 2.5 if label == OURS else 1
            axis.plot([100 * p for p in PARTS], [losses for _, losses in its], label=label, linewidth=width)
        axis.set(title=name, xlabel="trials, % of the budget", ylabel="test log-loss of the ensemble")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=Path, default=DEFAULT)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="pools [all]; none: plot what the file holds")
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, help="the full budget [half the pool]")
    parser.add_argument("--stops", type=int, nargs="+", metavar="N")
    parser.add_argument("--json", type=Path, help="where the means are kept, beside those that it holds")
    parser.add_argument("--plot", type=Path, help="a picture of all means that are kept")
    args = parser.parse_args()
    means: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        means = json.loads(args.json.read_text())["means"]
    for name in sorted(file.stem for file in args.pools.glob("*.npz")) if args.only is None else args.only:
        pool = read_pool(args.pools, name)
        if args.stops:
            print(told_stops(pool, args.stops), flush=True)
            continue
        trials = args.trials or len(pool.trials) // 2
        found = {
            label: np.array([replay(pool, STRATEGIES[label], seed, trials) for seed in range(args.seeds)])
            for label in args.strategies
        }
        print(told(name, found, trials), flush=True)
        means[name] = {label: scores.mean(axis=0).tolist() for label, scores in found.items()}
        if args.json:
            args.json.write_text(json.dumps({"parts": PARTS, "means": means}))
    if args.plot:
        plot(means, args.plot)


if __name__ == "__main__":
    main()
