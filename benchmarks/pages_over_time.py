"""How quick the live page of a run of continuous emotion is.

    python benchmarks/pages_over_time.py [--configurations 8] [--recordings 34] [--steps 1700]

Seconds of a processor of a first look, of one that finds nothing new, of one that finds a trial that completes no
configuration, of one that finds a whole configuration more, and of one that finds another ensemble. Generated files lie
in a temporary folder.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import emofuse
from ensembles.live.refresh import Live
from features.files import content_key
from search.run.continuous_predictions import ContinuousPredictions, Track, write_continuous_predictions
from search.run.predictions import Footer

_DIMENSIONS, _FOLDS = ("arousal", "valence"), 2


def describe(run: Path, configurations: int) -> None:
    """A run.json that asks for these configurations and a few more."""
    entry = {"stage": "clips", "entry": "a", "family": "conv3d", "configurations": configurations + 9}
    plan = [{**entry, "continuous": True, "partitions": [f"fold-{n}-of-{_FOLDS}" for n in range(_FOLDS)]}]
    text = {"recipe": {"name": "made up", "seed": 0}, "plan": plan, "clips": "clips.parquet", "store": "store"}
    (run / "run.json").write_text(json.dumps(text), encoding="utf-8")


def write(run: Path, configuration: int, fold: int, recordings: int, steps: int) -> None:
    """A trial: labels that wander, and the same with noise."""
    rng = np.random.default_rng(configuration * _FOLDS + fold)
    tracks = []
    for n in range(recordings):
        y = np.cumsum(np.random.default_rng(n).normal(size=(steps + n, len(_DIMENSIONS))), axis=0) / 50
        p = (y + (0.3 + 0.05 * configuration) * rng.normal(size=y.shape)).astype(np.float32)
        role = "held_out" if n % _FOLDS == fold else "fit"
        tracks.append(Track(f"r{n}", f"g{n}", "train", role, True, np.arange(len(y)) / 10, y, p))
    footer = Footer(
        content_key([configuration, fold]),
        content_key([configuration]),
        "conv3d",
        "a",
        {"lr": 0.01 * (configuration + 1)},
        f"fold-{fold}-of-{_FOLDS}",
        (),
        0,
        1,
        1,
        {"ccc": 0.5},
        dimensions=_DIMENSIONS,
        annotations="x",
    )
    write_continuous_predictions(run, ContinuousPredictions(footer, tuple(tracks)))


def look(live: Live, what: str) -> None:
    """Print what a look takes."""
    start = time.process_time()
    live.refresh(rested=True)
    print(f"  {what}: {time.process_time() - start:.2f} s of a processor", flush=True)


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--configurations", type=int, default=8)
    parser.add_argument("--recordings", type=int, default=34)
    parser.add_argument("--steps", type=int, default=1700)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run, size = Path(name), (asked.recordings, asked.steps)
        describe(run, asked.configurations)
        for n in range(asked.configurations):
            for fold in range(_FOLDS):
                write(run, n, fold, *size)
        emofuse.open_run(run).fit("auto", name="best")
        print(f"{asked.configurations} configurations x {asked.recordings} recordings of {asked.steps} steps or more")
        live = Live(run)
        look(live, "first look")
        look(live, "nothing new")
        write(run, asked.configurations, 0, *size)
        look(live, "a trial that completes no configuration")
        write(run, asked.configurations, 1, *size)
        look(live, "a configuration more")
        emofuse.open_run(run).fit("uniform", name="plain")
        look(live, "another ensemble")


if __name__ == "__main__":
    main()
