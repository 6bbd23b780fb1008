"""What a search costs beside training: trials per second, the driver's memory, the gap between trials, a status.

    python benchmarks/search_overhead.py [throughput gap status] [--trials N] [--many N]

`throughput`: trivial trials through the whole path (Optuna, Parquet, journal, status), and bare Tune with reused actors
that reports one number, in turn on two CPUs; the driver's memory; whether the last thousand go as fast as the first.
`gap`: the time between the end of one real trial and the start of the next in the same process. `status`: a status
over 10,000 finished trials, read for the first time and again. Parts run in processes of their own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).resolve().parent
CLASSES = tuple(f"class{c}" for c in range(7))
# Every process of the search shall know the family that trains nothing.
_SITE = f"import models.families; models.families.__path__.append({str(HERE / 'trivial')!r})\n"

_OURS = """
import json, os, sys, time
from pathlib import Path
from search import runner
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.trial.usage import read_usage
folder, trials = Path(sys.argv[1]), int(sys.argv[2])
rss, ends = [], []
real = runner.StageJobs.end
def end(self, job, ending):
    real(self, job, ending)
    ends.append(time.time())
    if len(ends) in (100, trials):
        rss.append(read_usage().memory_mb)
runner.StageJobs.end = end
runner.run_search(read_recipe(folder / "recipe.yaml", folder / "store"), clips=folder / "clips.parquet",
                  store=folder / "store", out=folder / "run", workers=Workers(cpus=2))
print(json.dumps({"ends": ends, "rss": rss}))
"""
_BARE = """
import json, os, sys, time
from pathlib import Path
os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "2"
from features.workers.ray_session import ray_session
ends = []
def train(config):
    from ray import tune
    tune.report({"accuracy": config["x"]})
with ray_session(None, 2):
    from ray import tune
    class Ends(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info):
            ends.append(time.time())
    tune.Tuner(
        train, param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=int(sys.argv[2]), reuse_actors=True),
        run_config=tune.RunConfig(name="bare", storage_path=sys.argv[1], verbose=0, callbacks=[Ends()]),
    ).fit()
print(json.dumps({"ends": ends}))
"""


def make_data(folder: Path, steps: int) -> None:
    """A clip table of 660 clips and a set `vector` (one step) or `frames` (`steps` steps) of 16 features."""
    from features.clips import Clip, ClipTable, write_clips
    from features.sets import FeatureArray
    from features.store.store import SetWriter

    rng = np.random.default_rng(0)
    clips = [
        Clip(f"{split}-{n:03d}", None, split, CLASSES[n % 7], f"{split}-{n // 7}")
        for split, count in (("train", 280), ("val", 280), ("test", 100))
        for n in range(count)
    ]
    write_clips(ClipTable(tuple(clips), folder), folder / "clips.parquet")
    ids = tuple(clip.clip_id for clip in clips)
    level = "clip" if steps == 1 else "frame"
    writer = SetWriter(folder / "store", "vector", "k1", ids, level, (16,), imported=True)
    for clip in clips:
        x = rng.normal(size=(steps, 16)).astype(np.float32)
        x[:, CLASSES.index(str(clip.label))] += 1
        writer.add(clip.clip_id, FeatureArray(x, np.arange(steps, dtype=np.float32)))
    writer.finish()


def write_recipe(folder: Path, **entry: object) -> None:
    """A recipe of one entry on one partition."""
    data = {
        "name": "benchmark",
        "seed": 1,
        "partitions": ["train"],
        "asha": None,
        "sampler": "random",
        "stages": [{"stage": "clips", "entries": {"entry": entry}}],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data))


def run_part(code: str, folder: Path, *arguments: object) -> dict:
    """Run `code` with our packages and the trivial family; what it printed last."""
    (folder / "sitecustomize.py").write_text(_SITE)
    path = os.pathsep.join([str(folder), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def rate(ends: list[float]) -> float:
    """Trials per second between the first and the last that ended."""
    return (len(ends) - 1) / (ends[-1] - ends[0])


def throughput(trials: int) -> None:
    """Ours, bare Tune, ours, bare Tune: a machine that is busy for a while slows both."""
    ours, bare = [], []
    for turn in range(2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_data(folder, steps=1)
            write_recipe(folder, family="trivial", trials=trials, inputs={"x": "vector"})
            told = run_part(_OURS, folder, trials)
            ours.append(rate(told["ends"]))
            bare.append(rate(run_part(_BARE, folder, trials)["ends"]))
        tenth = max(2, min(1000, trials // 4))
        first, last = rate(told["ends"][:tenth]), rate(told["ends"][-tenth:])
        grown = told["rss"][1] - told["rss"][0]
        print(
            f"throughput {turn + 1}: ours {ours[-1]:.1f}/s, bare Tune {bare[-1]:.1f}/s, ratio "
            f"{ours[-1] / bare[-1]:.2f}; first {tenth}: {first:.1f}/s, last {tenth}: {last:.1f}/s; "
            f"driver's memory +{grown:.0f} MB from trial 100 "
            f"to {trials} (to {told['rss'][1]:.0f} MB)",
            flush=True,
        )
    print(
        f"throughput: at best ours {max(ours):.1f}/s, bare {max(bare):.1f}/s, ratio of the means "
        f"{sum(ours) / sum(bare):.2f}",
        flush=True,
    )


def gap(trials: int) -> None:
    """Real trainings of a second or so; each worker's trials in the order in which they started."""
    from search.run.predictions import prediction_files, read_footer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, steps=20)
        write_recipe(
            folder,
            family="temporal_pooling",
            trials=trials,
            max_epochs=20,
            published=False,
            inputs={"frames": "vector"},
            fixed={"hidden": 64},
        )
        run_part(_OURS, folder, trials)
        footers = [read_footer(path) for path in prediction_files(folder / "run")]
    by_worker: dict[str, list[tuple[float, float]]] = {}
    for footer in footers:
        by_worker.setdefault(footer.worker, []).append((footer.started_s, footer.started_s + footer.wall_s))
    gaps = [then[0] - now[1] for spans in by_worker.values() for now, then in pairwise(sorted(spans))]
    seconds = np.median([footer.wall_s for footer in footers])
    print(
        f"gap: {np.median(gaps):.3f} s at the median, {np.quantile(gaps, 0.9):.3f} s at the 90th percentile, between "
        f"{len(footers)} trials of {seconds:.1f} s in {len(by_worker)} processes",
        flush=True,
    )


def status(many: int) -> None:
    """The command itself, start of Python included."""
    from search.recipe.reading import read_recipe
    from search.run.folder import RunFolder
    from search.run.predictions import Footer, Predictions, write_predictions

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, steps=1)
        write_recipe(folder, family="audio_svm", trials=many, inputs={"audio": "vector"})
        recipe = read_recipe(folder / "recipe.yaml", folder / "store")
        run = RunFolder.prepare(folder / "run", recipe, folder / "clips.parquet", folder / "store")
        P = np.full((383, 7), 1 / 7, np.float32)
        text = tuple(f"clip{n}" for n in range(len(P)))
        rows = text, text, ("val",) * len(P), ("held_out",) * len(P), (CLASSES[0],) * len(P), np.ones(len(P), bool), P
        curve = tuple({"epoch": e, "loss": 1.0 / e, "lr": 0.1, "accuracy": 0.5, "log_loss": 1.5} for e in range(1, 31))
        for n in range(many):
            key = f"{n:064x}"
            footer = Footer(
                key,
                key,
                "audio_svm",
                "entry",
                {"C": 1.0},
                "train",
                CLASSES,
                0,
                30,
                20,
                {"accuracy": n / many},
                curve=curve,
                wall_s=1.0,
            )
            write_predictions(run.path, Predictions(footer, *rows))
        for what in ("first time", "again"):
            start, before = time.perf_counter(), os.times()
            command = [sys.executable, "-m", "emofuse", "search", "status", str(run.path)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
            cpu_s = sum(os.times()[2:4]) - sum(before[2:4])
            assert f" {many} " in done.stdout
            print(
                f"status over {many:,} trials, {what}: {time.perf_counter() - start:.2f} s ({cpu_s:.2f} s of CPU)",
                flush=True,
            )


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["throughput", "gap", "status"], help="throughput, gap or status")
    parser.add_argument("--trials", type=int, default=1000, help="trivial trials of a turn")
    parser.add_argument("--many", type=int, default=10_000, help="trials of the status")
    given = parser.parse_args()
    sys.path.insert(0, str(HERE.parent))
    for part in given.parts:
        if part == "throughput":
            throughput(given.trials)
        elif part == "gap":
            gap(60)
        else:
            status(given.many)


if __name__ == "__main__":
    main()
