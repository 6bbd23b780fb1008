"""The sections of `benchmarks/gpu.py` that start processes: trials that share a card, and the main memory of one."""

import gc
import json
import queue
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from gpu_measures import BLOCKS, ORDER, Given, Row
from gpu_worlds import World, clips_per_s

_SLEEPY_S = 120.0  # how long processes that share a card wait for each other
SHARED = ["audio_lstm", "face_cnn", "inception_v2", "vgg16"]


def share_rows(given: Given) -> Iterator[tuple[str, Row]]:
    """One, two and four trials on one card, in processes of their own: clips per second together."""
    import torch.multiprocessing as mp

    context = mp.get_context("spawn")
    counts = (1, 2) if given.tiny else (1, 2, 4)
    barrier, answers = context.Barrier(max(counts)), context.Queue()
    wanted = given.wanted(SHARED)
    workers = [
        context.Process(target=_share, args=(k, wanted, counts, given, barrier, answers), daemon=True)
        for k in range(max(counts))
    ]
    for worker in workers:
        worker.start()
    try:
        for name in wanted:
            rates: dict[int, list[float]] = {n: [] for n in counts}
            failed = []
            for _ in range(sum(counts)):
                n, rate = answers.get(timeout=2 * _SLEEPY_S)
                if isinstance(rate, str):
                    failed.append(f"{n} at once: {rate}")
                else:
                    rates[n].append(rate)
            row: Row = {f"{n}_per_s": sum(rates[n]) for n in counts}
            yield name, {**row, **({"failed": "; ".join(failed)} if failed else {})}
    except queue.Empty:
        yield "all", {"failed": "the processes that share the card did not answer"}
    finally:
        for worker in workers:
            worker.join(5)
            worker.kill()


def _share(k: int, wanted: list[str], counts: tuple[int, ...], given: Given, barrier: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    seconds = 0.05 if given.tiny else 2.5
    for name in wanted:
        world = World.of(name, given.tiny)
        examples = world.train if given.tiny else world.train.subset(range(min(256, len(world.train))))
        for n in counts:
            # All have made the one before and are warm before the clock starts.
            failed = ""
            if n == counts[0]:
                try:
                    clips_per_s(world.model(given.device), examples, 0.0)
                except Exception as error:
                    failed = f"{type(error).__name__}: {str(error)[:200]}"
            barrier.wait(_SLEEPY_S)
            if k < n:
                try:
                    answers.put((n, failed or clips_per_s(world.model(given.device), examples, seconds)))
                except Exception as error:
                    answers.put((n, f"{type(error).__name__}: {str(error)[:200]}"))
        gc.collect()
        if given.device == "cuda":
            torch.cuda.empty_cache()


def host_rows(given: Given) -> Iterator[tuple[str, Row]]:
    """Main memory of one training in a process of its own, beside what the family asks for; several at a time."""
    waiting, running = given.wanted([name for name in ORDER if name != BLOCKS]), {}
    command = [sys.executable, __file__, "tiny" if given.tiny else "published", given.device]
    while waiting or running:
        while waiting and len(running) < (2 if given.tiny else 6):
            name = waiting.pop(0)
            running[name] = subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True)
        for name, process in list(running.items()):
            if process.poll() is not None:
                out = process.communicate()[0].strip().splitlines()
                del running[name]
                yield name, json.loads(out[-1]) if process.returncode == 0 else {"failed": f"exit {process.returncode}"}
        time.sleep(0.05)


def _host_row(name: str, tiny: bool, device: str) -> Row:
    """Resident memory of this process: with the program, with a card opened, and at most."""

    def peak_mb() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    torch.set_num_threads(1)
    imported = peak_mb()
    torch.nn.Linear(8, 8, device=device)(torch.ones(2, 8, device=device)).sum().backward()
    opened = peak_mb()
    world = World.of(name, tiny)
    data = sum(a.nbytes for arrays in world.train.inputs.values() for a in arrays) / 2**20
    model = world.model(device)
    model.fit(world.train, None, epochs=1)
    model.predict_steps(world.train) if world.regression else model.predict(world.train)  # type: ignore[attr-defined]
    return {
        "imported_mb": imported,
        "card_opened_mb": opened,
        "peak_mb": peak_mb(),
        "data_mb": data,
        "asks_mb": world.family.resources.memory_mb,
    }


if __name__ == "__main__":
    print(json.dumps(_host_row(sys.argv[3], sys.argv[1] == "tiny", sys.argv[2])))
