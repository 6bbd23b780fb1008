"""How well, and how fast, a face CNN learns FER2013's Training part: accuracy on PublicTest after every epoch.

    emofuse clips fer2013 fer2013.csv -o fer.parquet --store store
    python benchmarks/fer2013.py fer.parquet store --epochs 30

Prints one line per epoch; the last line is the epoch whose weights were kept. Threads as given, one by default.
`--plot curve.svg` draws the curve.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from features.clips import read_clips
from features.store.store import open_set
from models.examples import Examples
from models.family import Context
from models.registry import get_family

# What differs from the published point: batch normalisation and a decay that fits a training of a few epochs.
CHANGES = {"batch_norm": True, "lr": 0.02}


def main() -> None:
    """Train once and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--set", default="fer2013", help="the faces' name in the store")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--decay", type=float, default=0.92, help="the learning rate's factor after each epoch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = read_clips(given.clips)
    faces = open_set(given.store, given.set, table)

    def examples(split: str) -> Examples:
        clips = table.split(split)
        y = np.array([table.classes.index(str(clip.label)) for clip in clips])
        images = [faces[clip.clip_id] for clip in clips]
        return Examples(tuple(clip.clip_id for clip in clips), {"faces": images}, table.classes, y)

    family = get_family("face_cnn")
    point = {**family.published[0], **CHANGES, "decay": given.decay}
    model = family.build(point, Context(table.classes, {"faces": faces.shape}))
    started = last = time.perf_counter()

    def report(epoch: int, metrics: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        print(
            f"epoch {epoch:2}   loss {metrics['loss']:.3f}   PublicTest accuracy {metrics['accuracy']:.4f}   "
            f"log loss {metrics['log_loss']:.3f}   {now - last:5.1f} s",
            flush=True,
        )
        last = now

    result = model.fit(examples("train"), examples("val"), max_epochs=given.epochs, report=report)
    print(
        f"kept epoch {result.best_epoch}: PublicTest accuracy {result.metrics['accuracy']:.4f} of "
        f"{len(table.split('val'))} faces, {time.perf_counter() - started:.0f} s, {given.threads} thread(s)"
    )
    if given.plot:
        plot([row["loss"] for row in result.curve], [row["accuracy"] for row in result.curve], given.plot)


def plot(loss: Sequence[float], accuracy: Sequence[float], path: Path) -> None:
    """Draw the loss in training and the accuracy on PublicTest over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    epochs = range(1, len(loss) + 1)
    left.plot(epochs, accuracy, color="tab:blue")
    right.plot(epochs, loss, color="tab:gray", linestyle="--")
    left.axhline(0.55, color="tab:blue", linewidth=0.5)
    left.set(xlabel="epoch", ylabel="accuracy on PublicTest")
    right.set(ylabel="loss in training (dashed)")
    left.spines["top"].set_visible(False)
    right.spines["top"].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
