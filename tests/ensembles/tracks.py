"""A run of continuous emotion as files alone: what members predict on six recordings, and on one of test."""

from dataclasses import replace

import numpy as np

from search.run.continuous_predictions import ContinuousPredictions, Track, write_continuous_predictions
from search.run.predictions import Footer

DIMENSIONS = ("arousal", "valence")
NOISE = {"a": 0.2, "b": 0.4}


def track(n, role, noise, rng, valid=True):
    own = np.random.default_rng(n)
    y = np.cumsum(own.normal(size=(40 + n, 2)), 0) / 5
    p = (y + noise * rng.normal(size=y.shape)).astype(np.float32)
    labels = np.where(np.arange(len(y))[:, None] < 3, np.nan, y)  # the first moments are not labelled
    return Track(f"r{n}", f"g{n}", "train", role, valid, np.arange(len(y)) / 10, labels, p)


def write(run, entry, partition, held_out, noise, annotations="x", seed=0, window=8, test=True, repeat=0):
    """A trial: member `b` could not score recording 5; `test` tells whether the test recording is labelled."""
    rng = np.random.default_rng(seed)
    key = f"{entry}{partition}{seed}{window}{repeat or ''}".replace("-", "").ljust(64, "0")
    footer = Footer(
        key,
        (f"config{entry}{window}" if len(entry) < 5 else f"w{window}{entry}").ljust(64, "0"),
        "conv3d",
        entry,
        {"lr": 0.01, "window": window, "pooling": "temporal_pooling"},
        partition,
        (),
        0,
        1,
        1,
        {"ccc": 0.5},
        dimensions=DIMENSIONS,
        annotations=annotations,
        repeat=repeat,
    )
    tracks = [track(n, "held_out" if n in held_out else "fit", noise, rng, n != 5 or entry == "a") for n in range(6)]
    last = track(9, "test", noise, rng)
    tracks.append(last if test else replace(last, y=last.y * np.nan))
    return write_continuous_predictions(run, ContinuousPredictions(footer, tuple(tracks)))


def small_run(folder):
    """Two members on two folds, and a third on one of them alone."""
    for entry, noise in NOISE.items():
        write(folder, entry, "fold-0-of-2", (0, 1, 2), noise)
        write(folder, entry, "fold-1-of-2", (3, 4, 5), noise, seed=1)
    write(folder, "late", "fold-0-of-2", (0, 1, 2), 0.1)
    return folder
