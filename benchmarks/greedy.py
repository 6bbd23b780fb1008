"""How fast greedy selection is, against AutoGluon's `EnsembleSelection`.

    python benchmarks/greedy.py [--sizes 500x383 500x10000] [--repeats 3] [--autogluon FOLDER]

Same data, same machine, in turns. AutoGluon runs in an environment of its own, made in a temporary folder (or kept in
FOLDER); only `fit` is timed, on both sides.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fusion import simulate

from ensembles.fusion import GreedySelection

AUTOGLUON = "autogluon.core==1.6.3"
_SIZE = 25
_RIVAL = """
import json, sys, time
import numpy as np
from autogluon.core.metrics import accuracy
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
data = np.load(sys.argv[1])
predictions = list(data["P"])
selection = EnsembleSelection(int(sys.argv[2]), "multiclass", accuracy, tie_breaker="second_metric")
start = time.perf_counter()
selection.fit(predictions, data["y"])
print(json.dumps([time.perf_counter() - start, 1 - float(selection.train_score_)]))
"""


def environment(folder: Path) -> Path:
    """The interpreter of an environment with AutoGluon in it, which is made where absent."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", AUTOGLUON], check=True)
    return python


def autogluon_s(python: Path, data: Path) -> tuple[float, float]:
    """Seconds of AutoGluon's fit, and its score."""
    command = [python, "-c", _RIVAL, data, str(_SIZE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, score = json.loads(done.stdout.splitlines()[-1])
    return seconds, score


def our_s(data: Path) -> tuple[float, float]:
    """Seconds of our fit, and its score."""
    with np.load(data) as arrays:
        P, y = arrays["P"], arrays["y"]
    start = time.perf_counter()
    fusion = GreedySelection(_SIZE).fit(P, y)
    return time.perf_counter() - start, fusion.fit_score_


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=["500x383", "500x10000"], help="members x clips, of 7 classes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--autogluon", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "data.npz"
        python = environment(given.autogluon or folder / "autogluon")
        GreedySelection(2).fit(*simulate(8, 50, 7))  # compile
        for size in given.sizes:
            M, N = (int(number) for number in size.split("x"))
            P, y = simulate(M, N, 7)
            np.savez(data, P=P, y=y)
            turns = [(autogluon_s(python, data), our_s(data)) for _ in range(given.repeats)]
            ratios = sorted(rival[0] / own[0] for rival, own in turns)
            print(f"M={M} N={N} C=7, {_SIZE} additions, {given.repeats} turns, medians")
            print(f"AutoGluon        {np.median([rival[0] for rival, _ in turns]):9.3f} s, score {turns[0][0][1]:.4f}")
            print(f"GreedySelection  {np.median([own[0] for _, own in turns]):9.3f} s, score {turns[0][1][1]:.4f}")
            print(f"ratio            {np.median(ratios):9.1f} (from {ratios[0]:.1f} to {ratios[-1]:.1f})")


if __name__ == "__main__":
    main()
