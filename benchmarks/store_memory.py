"""What a training needs of memory when its features are copied into it, and when they are read from the store.

    python benchmarks/store_memory.py [--gb 1]

Writes a set of that size, trains the same network for an epoch both ways, each in a process of its own, and prints the
peak of its own memory, the peak with the file's pages that the system keeps for it as long as nobody else wants them,
the time, and whether the scores agree.
"""

import argparse
import hashlib
import multiprocessing as mp
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from features.sets import FeatureArray
from features.store.set_writer import SetWriter
from features.store.stored_set import StoredSet
from models.examples import Examples
from models.family import Context
from models.registry import get_family
from models.training import memory

WIDTH, STEPS = 9216, 50  # pool5 of AlexNet, two seconds of video
CLASSES = tuple("abcdefg")


def write(folder: Path, gb: float) -> list[str]:
    """A set of random vectors of about `gb` gigabytes; its clips."""
    ids = [f"c{i}" for i in range(round(gb * 1e9 / (4 * WIDTH * STEPS)))]
    rng = np.random.default_rng(0)
    writer = SetWriter(folder, "big", "k", tuple(ids), "frame", (WIDTH,), imported=True)
    times = np.arange(STEPS, dtype=np.float32)
    writer.write((i, FeatureArray(rng.normal(size=(STEPS, WIDTH)).astype(np.float32), times)) for i in ids)
    return ids


def status(name: str) -> float:
    """A line of this process' memory, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[name].split()[0]) / 1000


def train(folder: Path, ids: list[str], copied: bool, answer) -> None:
    """One epoch and the scores."""
    torch.set_num_threads(1)
    if not copied:
        memory.most_bytes = lambda: 0
    stored = StoredSet(folder / "big" / "k")
    half = len(ids) // 2
    y = np.arange(half) % len(CLASSES)
    fit, held_out = (
        Examples(tuple(some), {"frames": [stored[i] for i in some]}, CLASSES, y)
        for some in (ids[:half], ids[half : 2 * half])
    )
    family = get_family("temporal_pooling")
    model = family.build(family.published[0], Context(CLASSES, {"frames": (WIDTH,)}, 1))
    before, peak, done = status("RssAnon"), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    model.fit(fit, held_out, max_epochs=1)
    scores = model.predict(held_out)
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    answer.put((peak - before, status("VmHWM"), seconds, hashlib.sha256(scores.tobytes()).hexdigest()[:12]))


def main() -> None:
    """Both ways, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=1.0)
    given = parser.parse_args()
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        ids = write(Path(name), given.gb)
        for copied in (True, False):
            answer = context.Queue()
            process = context.Process(target=train, args=(Path(name), ids, copied, answer))
            process.start()
            own, whole, seconds, digest = answer.get()
            process.join()
            print(
                f"{'copied into memory' if copied else 'read from the store':20} own memory {own:7.0f} MB   with the "
                f"file's pages {whole:7.0f} MB   {seconds:5.1f} s   scores {digest}"
            )


if __name__ == "__main__":
    main()
