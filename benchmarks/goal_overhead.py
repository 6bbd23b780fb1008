"""What a result costs the driver of a search for the ensemble, in milliseconds of one CPU, as trials become many.

    python benchmarks/goal_overhead.py [--trials 1000] [--clips 800] [--classes 7]

Made-up prediction files of configurations of different skill, that share part of their mistakes, are read one after the
other as a search reads them when a configuration has finished: the file is checked, its held-out scores join the
ensemble, the fused score is told and written down; then, for the next configuration, every gain is measured, whose
turn it is, and what TPE is told. Means of the first and of the last hundred, and the longest.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from search.goal.flow import Standing, mixed, order
from search.goal.history import FusedHistory
from search.run.ended import Ended
from search.run.predictions import Footer, Predictions, write_predictions


def write(run: Path, number: int, y: np.ndarray, shared: np.ndarray, classes: tuple[str, ...]) -> Ended:
    """The predictions of a made-up configuration: more or less skill, part of its noise is everybody's."""
    rng, (N, C) = np.random.default_rng(number), shared.shape
    z = rng.uniform(0.3, 1.5) * np.eye(C)[y] + 0.7 * shared + rng.normal(size=(N, C))
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    key, entry = f"{number:064x}", f"entry{number % 5}"
    footer = Footer(key, key, "audio_svm", entry, {}, "train", classes, 0, 1, 1, {"accuracy": 0.5})
    ids, groups = tuple(f"c{n:05d}" for n in range(N)), tuple(f"g{n % 40}" for n in range(N))
    labels = tuple(classes[c] for c in y)
    rows = Predictions(footer, ids, groups, ("val",) * N, ("held_out",) * N, labels, np.ones(N, bool), P.astype("f4"))
    write_predictions(run, rows)
    return Ended(key, key, entry, "train", "finished", 0.5, 1, 0.0, "", float(number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--classes", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    y, shared = rng.integers(args.classes, size=args.clips), rng.normal(size=(args.clips, args.classes))
    classes = tuple(f"class{c}" for c in range(args.classes))
    took: dict[str, list[float]] = {"join": [], "choose": []}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        history = FusedHistory(run, {f"entry{n}": ("train",) for n in range(5)}, "accuracy")
        for number in range(args.trials):
            ended = write(run, number, y, shared, classes)
            started = time.process_time()
            history.join((ended.entry, ended.config_key), [ended])
            joined = time.process_time()
            gains: dict[str, list[float]] = {f"entry{n}": [] for n in range(5)}
            for (entry, _), (_, gain) in history.gains().items():
                gains[entry].append(gain)
            first = order([Standing(name, args.trials, len(its), its) for name, its in gains.items()])[0]
            mixed(dict(enumerate(gains[first])), dict(enumerate(gains[first])), 0.5)
            took["join"].append(joined - started)
            took["choose"].append(time.process_time() - joined)
    for name, seconds in took.items():
        ms = 1000 * np.array(seconds)
        print(f"{name}: {ms[:100].mean():.1f} ms at first, {ms[-100:].mean():.1f} at last, at most {ms.max():.0f}")


if __name__ == "__main__":
    main()
