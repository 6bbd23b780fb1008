"""What searches of one entry are replayed on by `benchmarks/samplers.py`: recorded trials, and what answers a draw.

- `Nearest`: the recorded configuration nearest to the draw that is left, with its curve. Nothing in it is made up, but
  one pool is one piece of luck, the same for all seeds, and where a pool has no configuration near to a draw, the draw
  is lost: what a sampler learned of single values may be.
- `Forest`: what a forest of trees, fitted to the pool, says of the very draw, plus the error that it makes at one of
  the pool's configurations (out of its bag), another one for each seed and draw. The luck is redrawn, any number of
  configurations can be asked for, and what one is worth without luck is known. It has no curves: nothing is stopped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pools
from ensemble_search import space_of, vector
from sklearn.ensemble import RandomForestRegressor

from features.errors import EmofuseError
from models.space import Choice, Float, Space
from search.recipe.recipe import Asha, recipe_of_data
from search.sampling.first_points import first_points

_HEAD = {"family": "embedding_head", "configurations": 240, "max_epochs": 60}
_POOLING = {"family": "temporal_pooling", "configurations": 240, "max_epochs": 40, "published": False}
# By name: of which clips (pools.POOLS), and the entry with its name.
RECORDED: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "ravdess": ("ravdess", "ravdess_head", {**_HEAD, "inputs": {"embedding": "functionals"}}),
    "mosi": ("mosi", "mosi_head", {**_HEAD, "inputs": {"embedding": "mosi_audio"}}),
    "afew": (
        "afew",
        "afew_pooling",
        {**_POOLING, "inputs": {"frames": "convnet"}, "space": {"hidden": [32, 64, 128]}},
    ),
}
# Searched by others: no curves, no test clips.
SPOOKY = "spooky"

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Curves:
    """An entry's recorded trials: points, held-out accuracy by epoch, what each reached at its best one, and on test.

    `first` are the configurations with which a search of the entry begins: the published ones.
    """

    name: str
    space: Space
    points: Sequence[Point]
    curves: Sequence[Sequence[float]]
    values: np.ndarray
    test: np.ndarray | None = None
    first: Sequence[Point] = ()

    @cached_property
    def epochs(self) -> float:
        """The mean of a configuration that nothing stops."""
        return float(np.mean([len(curve) for curve in self.curves]))

    @property
    def has_curves(self) -> bool:
        """Whether there are epochs after which a trial could be stopped."""
        return max(map(len, self.curves)) > 1


def entries(name: str, work: Path) -> dict[str, Any]:
    """Clip table and features of a recording in `work`; its one entry."""
    clips, entry_name, entry = RECORDED[name]
    pools.POOLS[clips](work)
    return {entry_name: dict(entry)}


def read_curves(folders: Sequence[Path], name: str) -> Curves:
    """The recorded entry of that name, with what the folders hold of the same family and input, each point once."""
    if name == SPOOKY:
        return _spooky()
    clips, _, wanted = RECORDED[name]
    trials, spaces, test = [], [], []
    for folder, pool_name in ((folder, n) for folder in folders for n in dict.fromkeys((name, clips))):
        if not (folder / f"{pool_name}.json").exists():
            continue
        pool = pools.read_pool(folder, pool_name)
        right = (pool.test.argmax(axis=2) == pool.y_test).mean(axis=1)
        for entry, about in pool.entries.items():
            if about["family"] == wanted["family"] and dict(about["inputs"]) == wanted["inputs"]:
                spaces.append(space_of(about["space"]))
                its = [n for n, trial in enumerate(pool.trials) if trial["entry"] == entry]
                trials += [pool.trials[n] for n in its]
                test += [float(right[n]) for n in its]
    if not trials:
        folder_names = ", ".join(map(str, folders))
        raise EmofuseError(
            f"{folder_names}: expected a recording of {name}; make one with `samplers.py record {name}`."
        )
    once = {json.dumps(trial["point"], sort_keys=True): n for n, trial in reversed(list(enumerate(trials)))}
    kept = sorted(once.values())
    space = {
        key: Choice(tuple(sorted({trials[n]["point"][key] for n in kept}, key=_order))) if isinstance(p, Choice) else p
        for key, p in spaces[0].items()
    }
    return Curves(
        name,
        space,
        [trials[n]["point"] for n in kept],
        [[row["accuracy"] for row in trials[n]["curve"]] for n in kept],
        np.array([trials[n]["metrics"]["accuracy"] for n in kept]),
        np.array([test[n] for n in kept]),
        _first(wanted),
    )


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _first(wanted: Mapping[str, Any]) -> Sequence[Point]:
    stages = [{"stage": "clips", "entries": {"one": dict(wanted)}}]
    ((_, entry),) = recipe_of_data({"name": "one", "stages": stages}, "one").all_entries()
    return first_points(entry)


def _spooky() -> Curves:
    """360 trials of six text networks that others drew at random: what all six have, and which one it is."""
    rows = pd.read_parquet(pools.real_data() / "predictions" / "spooky3_trials360.parquet").dropna(subset="val_acc")
    points, values = [], []
    for family, text, accuracy in zip(rows["family"], rows["params"], rows["val_acc"], strict=True):
        given = json.loads(text)
        point = {
            "network": family,
            "width": given["filters"] if "filters" in given else given["units"],
            "dropout": given["dropout_rate"] if "dropout_rate" in given else given["spatial_dropout_rate"],
            "batch_size": given["batch_size"],
            "optimizer": given["optimizer"],
        }
        if point not in points:
            points.append(point)
            values.append(accuracy)
    choices = ("network", "width", "batch_size", "optimizer")
    space: Space = {name: Choice(tuple(sorted({point[name] for point in points}))) for name in choices}
    space = {**space, "dropout": Float(0.1, 0.5)}
    return Curves(SPOOKY, space, points, [[value] for value in values], np.array(values))


class Rungs:
    """ASHA over one entry: who is stopped, by what others had reached after as many epochs."""

    def __init__(self, asha: Asha | None):
        self._asha, self._reached = asha, dict[int, list[float]]()

    def next(self, curve: Sequence[float], epoch: int) -> int:
        """The epoch after `epoch` at which it looks at a trial with that accuracy by epoch; the last, if at none."""
        rungs = self._asha.rungs(len(curve)) if self._asha else []
        return next((rung for rung in rungs if rung > epoch), len(curve))

    def stops(self, curve: Sequence[float], epoch: int) -> bool:
        """Whether a trial ends there, after `epoch` epochs and before its last."""
        assert self._asha is not None
        seen, value = self._reached.setdefault(epoch, []), max(curve[:epoch])
        weak = bool(seen) and value < np.percentile(seen, 100 * (1 - 1 / self._asha.reduction))
        seen.append(value)
        return bool(weak)


@dataclass(frozen=True)
class Answer:
    """The trial that a draw got: its point, its accuracy by epoch, what it reached, and what that is worth."""

    point: Point
    curve: Sequence[float]
    value: float
    worth: float
    trial: int | None = None


class Answers(Protocol):
    """Answers draws, in their order; `best` is the most that an answer may be worth, `left` how many there may be."""

    best: float
    left: float

    def __call__(self, drawn: Point) -> Answer: ...


class Nearest:
    """Each recorded trial once."""

    def __init__(self, pool: Curves):
        self._pool = pool
        self._where = np.array([vector(pool.space, point) for point in pool.points])
        self._free = np.ones(len(pool.points), bool)
        self.best, self.left = float(pool.values.max()), float(len(pool.points))

    def __call__(self, drawn: Point) -> Answer:
        far = ((self._where - np.array(vector(self._pool.space, drawn))) ** 2).sum(axis=1)
        trial = int(np.argmin(np.where(self._free, far, np.inf)))
        self._free[trial] = False
        self.left -= 1
        value = float(self._pool.values[trial])
        return Answer(self._pool.points[trial], self._pool.curves[trial], value, value, trial)


class Fitted:
    """A forest of a pool; `explained` is the share of the variance between configurations that it foretells (R²)."""

    def __init__(self, pool: Curves, trees: int = 200):
        self.pool = pool
        x = np.array([self._axes(point) for point in pool.points])
        self._forest = RandomForestRegressor(trees, min_samples_leaf=3, oob_score=True, random_state=0, n_jobs=1)
        self._forest.fit(x, pool.values)
        self.explained = float(self._forest.oob_score_)
        self.errors = pool.values - self._forest.oob_prediction_
        self.best = float(self._forest.predict(x).max())

    def __call__(self, point: Point) -> float:
        """What it says of a point."""
        x = np.array(
            [self._axes(point)], np.float32
        )  # tree by tree: the forest's own `predict` takes ten times as long
        return float(np.mean([tree.tree_.predict(x)[0, 0] for tree in self._forest.estimators_]))

    def _axes(self, point: Point) -> list[float]:
        found = []
        for name, parameter in self.pool.space.items():
            if isinstance(parameter, Choice):
                found.append(float(parameter.values.index(point[name])))
            else:
                found.append(float(np.log(point[name]) if parameter.log else point[name]))
        return found


class Forest:
    """A forest's answers, with luck."""

    def __init__(self, fitted: Fitted, seed: int):
        self._fitted, self._luck = fitted, np.random.default_rng(seed)
        self.best, self.left = fitted.best, float("inf")

    def __call__(self, drawn: Point) -> Answer:
        worth = self._fitted(drawn)
        value = worth + float(self._luck.choice(self._fitted.errors))
        return Answer(drawn, [value] * max(1, round(self._fitted.pool.epochs)), value, worth)
