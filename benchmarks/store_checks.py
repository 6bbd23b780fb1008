"""What it costs that a feature set's bytes are checked before they become numbers.

    python benchmarks/store_checks.py [--gb 1] [--trials 20]

Writes a set of that size and reads it in processes of their own: the pass over all bytes, with the file out of the
system's memory (cold) and in it (warm); a process that finds the note that another one left; and one epoch of training
on half the set. From these it tells the share of a search of `--trials` such trials, of one epoch and one thread, once
for a pass that each machine does once, and once for one that each trial's process would do (the clips checked when they
are first read). Seconds are of the wall and, in brackets, of the CPU, which other work on the machine changes less.
"""

import argparse
import multiprocessing as mp
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, STEPS = 512, 100
CLASSES = tuple("abcdefg")


def write(folder: Path, gb: float) -> list[str]:
    """A set of random vectors of about `gb` gigabytes; its clips."""
    from features.sets import FeatureArray
    from features.store.set_writer import SetWriter

    ids = [f"c{i}" for i in range(round(gb * 1e9 / (4 * WIDTH * STEPS)))]
    rng = np.random.default_rng(0)
    writer = SetWriter(folder, "big", "k", tuple(ids), "frame", (WIDTH,), imported=True)
    times = np.arange(STEPS, dtype=np.float32)
    writer.write((i, FeatureArray(rng.random((STEPS, WIDTH), np.float32), times)) for i in ids)
    return ids


def drop(path: Path) -> None:
    """Take a file out of the system's memory."""
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)


def timed(folder: Path, work: str, answer: Any) -> None:
    """Wall and CPU seconds of the first array of the set, of a pass without notes, or of one epoch."""
    from features.disk import intact
    from features.store.stored_set import StoredSet

    stored = StoredSet(folder / "big" / "k")
    step: Callable[[], Any] = {
        "first array": lambda: stored[stored.ids[0]],
        "pass": stored.verify,
        "epoch": lambda: epoch(stored),
    }[work]
    if work == "epoch":
        stored.ensure_intact()
    assert intact._folder()
    started, cpu = time.perf_counter(), time.process_time()
    step()
    answer.put((time.perf_counter() - started, time.process_time() - cpu))


def epoch(stored: Any) -> None:
    """Train a small network for an epoch on one half, and score the other."""
    import torch

    from models.examples import Examples
    from models.family import Context
    from models.registry import get_family

    torch.set_num_threads(1)
    half = len(stored.ids) // 2
    y = np.arange(half) % len(CLASSES)
    sides = (stored.ids[:half], stored.ids[half : 2 * half])
    fit, held_out = (Examples(ids, {"frames": [stored[i] for i in ids]}, CLASSES, y) for ids in sides)
    family = get_family("temporal_pooling")
    family.build(family.published[0], Context(CLASSES, {"frames": (WIDTH,)}, 1)).fit(fit, held_out, max_epochs=1)


def in_a_process(folder: Path, work: str) -> tuple[float, float]:
    """What `timed` answers in a process of its own."""
    context = mp.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=timed, args=(folder, work, answer))
    process.start()
    found: tuple[float, float] = answer.get(timeout=3600)
    process.join()
    return found


def main() -> None:
    """Every figure, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        write(folder, given.gb)
        data = folder / "big" / "k" / "data.arrow"
        gb = data.stat().st_size / 1e9

        def tell(what: str, work: str) -> tuple[float, float]:
            wall, cpu = in_a_process(folder, work)
            print(f"{what:58} {wall:7.3f} s ({cpu:.3f})", flush=True)
            return wall, cpu

        drop(data)
        tell(f"pass over {gb:.2f} GB, cold", "pass")
        _, check = tell(f"pass over {gb:.2f} GB, warm", "pass")
        tell("first array on this machine: pass, and a note of it", "first array")
        tell("first array in another process: the note is found", "first array")
        _, trial = tell("one epoch of temporal_pooling on it, one thread", "epoch")
        print(f"a GB takes {check / gb:.3f} s of the CPU, warm")
        for how, times in (("once per machine", 1), ("in each trial's process", given.trials)):
            share = times * check / (times * check + given.trials * trial)
            print(f"share of a search of {given.trials} such trials, checked {how}: {100 * share:.2f} %")


if __name__ == "__main__":
    main()
