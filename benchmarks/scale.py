"""How long ensembles of very many models take, from Parquet files to weights, and how much memory.

    python benchmarks/scale.py [search greedy files commands] [--run FOLDER]

`search`: 10,000 models x 383 clips x 7 classes, selection, then the weight search at full budget, then its nested
estimate. `greedy`: 2,000 models x 10,000 clips. `files`: 100,000 files of 100 clips, read for the first time, again,
and after 100 more have come. `commands`: leaderboard, report and fit of 20,000 models x 383 clips as processes of their
own, for the first time and again, how the trials ended, and what `search run` pays for holding every body against its
seal. Files are made in a temporary folder, or in the FOLDER where they stay; each part runs in a process of its own. To
compare with an earlier release, run this file in a checkout of it: what it lacks is told as absent.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np

import search.run.predictions
from features.files import write_bytes
from search.run.predictions import Footer, Predictions, prediction_path, write_predictions

CLASSES = tuple(f"class{c}" for c in range(7))
SIZES = {"search": (10_000, 383), "greedy": (2_000, 10_000), "files": (100_000, 100), "commands": (20_000, 383)}
_DISTINCT = 50  # files of the part `files` that are made; the others are copies

_START = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
told = {}
def tell(what):
    global start
    now = time.perf_counter()
    told[what], start = now - start, now
from ensembles.fitting.fit import fit_on
from ensembles.fitting.options import FitOptions
from ensembles.fusion import DecisionFusion, GreedySelection
from ensembles.predictions.sets import read_run
from ensembles.predictions.scan import scan
from ensembles.fitting.selection import Selected, Selection
run = Path(sys.argv[1])
tell("importing")
"""
_END = """
told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(told))
"""
PARTS = {
    "search": """
held_out = read_run(run).held_out
tell("reading")
entries = [member.entry for member in held_out.members]
Selected(DecisionFusion(), entries, Selection()).fit(held_out.P, held_out.y, held_out.valid)
tell("selecting and searching")
fit_on(held_out, FitOptions("decision"))
tell("the same with its estimate")
""",
    "greedy": """
held_out = read_run(run).held_out
tell("reading")
GreedySelection().fit(held_out.P, held_out.y, held_out.valid)
tell("greedy selection")
""",
    "files": """
assert len(scan(run)) > 1
tell("reading")
""",
    "commands": """
from search.run.ended import read_ended
tell("importing how trials ended")
read_ended(run)
tell("how trials ended")
read_ended(run)
tell("again")
try:
    from search.run.ended import set_damaged_aside
    set_damaged_aside(run)
    tell("all bodies against their seals")
except ImportError:
    pass
from search.run.predictions import prediction_files, read_footer
for path in prediction_files(run):
    read_footer(path)
tell("all footers, as `search run` reads them")
""",
}
COMMANDS = {
    "leaderboard": ["ensemble", "leaderboard", "RUN"],
    "report": ["report", "RUN", "-o", "RUN/report.html"],
    "fit": ["ensemble", "fit", "RUN", "--method", "uniform", "--name", "all"],
}


def _write_quickly(path: Path, data: bytes, **_: object) -> None:
    write_bytes(path, data, sync=False)


def write_models(run: Path, first: int, last: int, N: int) -> None:
    """Write the prediction files of some models, without waiting for the disk at each."""
    search.run.predictions.write_bytes = _write_quickly
    y = np.random.default_rng(0).integers(0, len(CLASSES), N)
    ids, groups = tuple(f"clip{n:05d}" for n in range(N)), tuple(f"subject{n % 60}" for n in range(N))
    labels = tuple(CLASSES[c] for c in y)
    for m in range(first, last):
        rng = np.random.default_rng(m + 1)
        scores = rng.normal(size=(N, len(CLASSES))).astype(np.float32)
        scores[np.arange(N), y] += rng.uniform(0, 1)
        P = np.exp(scores)
        entry, key = f"entry{m % 10}", f"{m:064d}"
        footer = Footer(key, key[::-1], entry, entry, {"lr": 0.1}, "train", CLASSES, 0, 10, 7, {"accuracy": 0.3})
        rows = ids, groups, ("val",) * N, ("held_out",) * N, labels, np.ones(N, bool), P / P.sum(axis=1, keepdims=True)
        write_predictions(run, Predictions(footer, *rows))


def write_all(run: Path, M: int, N: int) -> None:
    """Write all prediction files on two cores."""
    edges = np.linspace(0, M, 9).astype(int).tolist()
    with ProcessPoolExecutor(2) as pool:
        for done in [pool.submit(write_models, run, a, b, N) for a, b in pairwise(edges)]:
            done.result()


def copy(run: Path, first: int, last: int) -> None:
    """Copies of the distinct files under other names."""
    contents = [path.read_bytes() for path in sorted(run.glob("predictions/*/*.parquet"))[:_DISTINCT]]
    for m in range(first, last):
        prediction_path(run, f"entry{m % 10}", f"{m:064d}").write_bytes(contents[m % _DISTINCT])


def tell(part: str, run: Path, what: str) -> None:
    """Run a part on the files of a folder and print its times."""
    code = _START + PARTS[part] + _END
    done = subprocess.run([sys.executable, "-c", code, run], check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    peak = told.pop("peak_mb")
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told.items())
    print(f"{what}: {times}; at most {peak:,.0f} MB", flush=True)


def run_commands(run: Path) -> None:
    """Each command twice, as a user starts it: seconds, seconds of processors, memory.

    Programs beside it change both seconds, and hardly the ratio of processors to those of the leaderboard.
    """
    board = None
    for name, arguments in COMMANDS.items():
        for when in ("first time", "again"):
            code = "import sys, emofuse; sys.exit(emofuse.main(sys.argv[1:]))"
            command = [sys.executable, "-c", code, *(word.replace("RUN", str(run)) for word in arguments)]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            seconds, busy = time.perf_counter() - start, used.ru_utime + used.ru_stime
            failed = f", exit status {status}" if status else ""
            memory = used.ru_maxrss / 1024
            board = busy if name == "leaderboard" else board
            times = "" if board is None or name == "leaderboard" else f", {busy / board:.1f} times the leaderboard's"
            told = f"{seconds:.1f} s, {busy:.1f} s of processors{times}, {memory:,.0f} MB{failed}"
            print(f"{name}, {when}: {told}", flush=True)


def main() -> None:
    """Generate, run and print each part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="search, greedy, files or commands")
    parser.add_argument("--run", type=Path, help="keep the files there; those that lie there are taken")
    asked = parser.parse_args()
    for part in asked.parts:
        M, N = SIZES[part]
        with nullcontext(asked.run) if asked.run else tempfile.TemporaryDirectory() as name:
            run = Path(name)
            if not any(run.glob("predictions/*/*.parquet")):
                write_all(run, M if part != "files" else _DISTINCT, N)
            if part == "files":
                copy(run, _DISTINCT, M)
            print(f"{part}: {M:,} models x {N:,} clips x {len(CLASSES)} classes", flush=True)
            time.sleep(2.1)  # the youngest files are left out of the cache
            if part == "commands":
                run_commands(run)
            tell(part, run, "first time")
            tell(part, run, "with the cache")
            if part == "files":
                copy(run, M, M + 100)
                tell(part, run, "100 files later")


if __name__ == "__main__":
    main()
