"""Whether the program's draws by results are as good as TPE can be: functions without noise, beside Optuna's own TPE.

    python benchmarks/smooth_functions.py [--seeds 20]

Told is the mean distance of the best from the least value of the function, after so many draws, one after the other.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna

from models.space import Choice, Float, Int, Space
from search.run.ending import Ending
from search.sampling.drawing import START, Drawer, be_quiet, distributions

DRAWS = (10, 20, 30, 50, 80, 120)
Point = Mapping[str, Any]


def _quadratic(point: Point) -> float:
    return sum((point[f"x{n}"] - 0.3 * (-1) ** n) ** 2 for n in range(4))


def _training(point: Point) -> float:
    return float(
        ((np.log10(point["lr"]) + 3) / 4) ** 2
        + ((point["dropout"] - 0.2) / 0.7) ** 2
        + (np.log2(point["hidden"] / 128) / 6) ** 2
    )


def _head(point: Point) -> float:
    return float(
        ((np.log10(point["lr"]) + 3) / 2) ** 2
        + 0.2 * ((point["dropout"] - 0.2) / 0.6) ** 2
        + 0.05 * (point["hidden"] != 128)
        + 0.1 * (point["pca"] != 64)
        + 0.02 * (point["batch_size"] == 16)
    )


FUNCTIONS: Mapping[str, tuple[Space, Callable[[Point], float]]] = {
    "four numbers": ({f"x{n}": Float(-1.0, 1.0) for n in range(4)}, _quadratic),
    "three numbers, two logarithmic": (
        {"lr": Float(1e-5, 1e-1, log=True), "dropout": Float(0.0, 0.7), "hidden": Int(8, 512, log=True)},
        _training,
    ),
    "two numbers, three choices": (
        {
            "lr": Float(1e-4, 1e-2, log=True),
            "dropout": Float(0.0, 0.6),
            "hidden": Choice((0, 64, 128, 256)),
            "pca": Choice((0, 64, 256)),
            "batch_size": Choice((16, 32, 64)),
        },
        _head,
    ),
}


def ours(
    space: Space, function: Callable[[Point], float], seed: int, *, tpe: bool, draws: int = DRAWS[-1]
) -> np.ndarray:
    """The least value after each draw of the program's own."""
    drawer, points, endings, found = Drawer(space, seed=seed, entry="one", tpe=tpe), [], {}, []
    for number in range(draws):
        points.append(drawer.draw(points, endings, 0))
        found.append(function(points[-1]))
        endings[number] = Ending("finished", -found[-1], 1)
    return np.minimum.accumulate(found)


def optunas(space: Space, function: Callable[[Point], float], seed: int, draws: int = DRAWS[-1]) -> np.ndarray:
    """The least value after each draw of Optuna's TPE as it comes, after as many random draws."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=START))
    found = []
    for _ in range(draws):
        trial = study.ask(distributions(space))
        found.append(function(trial.params))
        study.tell(trial, found[-1])
    return np.minimum.accumulate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    be_quiet()
    print(f"| function | draws by | {' | '.join(map(str, DRAWS))} |\n|{'---|' * (len(DRAWS) + 2)}")
    for name, (space, function) in FUNCTIONS.items():
        runs = {
            "random": [ours(space, function, seed, tpe=False) for seed in range(args.seeds)],
            "TPE": [ours(space, function, seed, tpe=True) for seed in range(args.seeds)],
            "Optuna's TPE": [optunas(space, function, seed) for seed in range(args.seeds)],
        }
        for label, found in runs.items():
            means = np.mean(found, axis=0)
            print(f"| {name} | {label} | {' | '.join(f'{means[after - 1]:.4f}' for after in DRAWS)} |", flush=True)


if __name__ == "__main__":
    main()
