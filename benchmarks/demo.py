"""The demo over several seeds: time, memory, and what the ensemble gains over the best single model on test clips.

    python benchmarks/demo.py --seeds 1 2 3

"best single" is the best of the refitted members *on the test clips themselves*, so the gain is on the safe side.
Memory is the largest sum of proportional set sizes over all processes of a demo, sampled every second (Linux).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ensembles.cli.demo import NAME
from ensembles.predictions.sets import read_refits
from ensembles.records.stored import open_ensemble

_TAG = "EMOFUSE_BENCHMARK_RUN"


def main() -> None:
    """Run the demo once per seed and print a line each, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    rows = []
    print(f"{'seed':>4}  {'seconds':>7}  {'peak MB':>7}  {'best single':>11}  {'average':>7}  {'ensemble':>8}")
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory(prefix="emofuse-demo-") as folder:
            seconds, peak_mb = _run(Path(folder), seed)
            rows.append((seconds, peak_mb, *_accuracies(Path(folder) / "run")))
        _print(str(seed), rows[-1])
    _print("mean", tuple(sum(column) / len(rows) for column in zip(*rows, strict=True)))


def _run(folder: Path, seed: int) -> tuple[float, float]:
    """Seconds and peak megabytes of one demo."""
    tag = f"{os.getpid()}-{seed}"
    started, peak = time.monotonic(), 0.0
    command = [sys.executable, "-m", "emofuse", "demo", "-o", str(folder), "--seed", str(seed)]
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, _TAG: tag})
        while process.poll() is None:
            peak = max(peak, _tagged_mb(tag))
            time.sleep(1)
    if process.returncode:
        sys.exit(f"The demo failed with seed {seed}: see {log.name}.")
    Path(log.name).unlink()
    return time.monotonic() - started, peak


def _tagged_mb(tag: str) -> float:
    """Proportional set size of all processes that inherited the tag."""
    total_kb = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_TAG}={tag}".encode() in (folder / "environ").read_bytes():
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue  # it ended meanwhile
    return total_kb / 1024


def _accuracies(run: Path) -> tuple[float, float, float]:
    """On the test clips: the best single refitted member, the plain average, the ensemble."""
    ensemble = open_ensemble(run, NAME)
    test = read_refits(run, ensemble.refits).test
    best = max(test.score(P).accuracy for P in test.P)
    how = "test_refit"
    return best, ensemble.scores["uniform_average"][how].accuracy, ensemble.scores["ensemble"][how].accuracy


def _print(name: str, row: tuple[float, ...]) -> None:
    seconds, peak_mb, *accuracies = row
    best, average, ensemble = (f"{100 * value:.1f}" for value in accuracies)
    print(f"{name:>4}  {seconds:>7.0f}  {peak_mb:>7.0f}  {best:>11}  {average:>7}  {ensemble:>8}", flush=True)


if __name__ == "__main__":
    main()
