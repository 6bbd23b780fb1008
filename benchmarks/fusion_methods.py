"""What each fusion method is worth: fit score, nested estimate and held-out score, on real and simulated predictions.

    python benchmarks/fusion_methods.py [--metric log_loss] [--only SET ...] [--methods NAME ...] [--json FILE ...]
    python benchmarks/fusion_methods.py --time 16x400 200x400

Real predictions in long format are read from EMOFUSE_TEST_DATA, else from ../shared/data. Where they have labelled
validation and test rows, weights are fitted on the former and scored on the latter; where they have one split, on a
random half and the other, `--repeats` times. Simulations have 383 clips to fit on and 20,000 to score on. The nested
estimate sees the fit rows alone; with candidates (+c) each of its folds selects them anew. Weights are fitted for the
metric that is told: the accuracy in percent, or the log-loss, which some methods refuse. How many of the nested
estimates' 95 % intervals hold the held-out score is told at the end. `gate` is an experiment (`benchmarks/gate.py`).

`--time` prints what the default takes with its nested estimate: seconds of processors and of the clock.

Results go to the first file of `--json` as they come, and what any of the files holds is not measured again: several
processes can share the sets, each with a file of its own, and a last call without sets (`--only`) prints all.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gate import ConfidenceGate

from ensembles.evaluation.folds import group_folds
from ensembles.evaluation.intervals import accuracy_interval
from ensembles.evaluation.jackknife import intervals_of
from ensembles.fitting.arrays import held_out_of_arrays
from ensembles.fitting.fit import fit_on
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION, Selected, Selection
from ensembles.fusion import Fusion, make_fusion
from ensembles.predictions.long_format import read_long
from features.errors import EmofuseError
from models.metrics import told, worth


class Set(NamedTuple):
    """Scores (M, N, C) with labels, which member has which clip, and groups."""

    P: np.ndarray
    y: np.ndarray
    valid: np.ndarray
    groups: np.ndarray

    def clips(self, rows: np.ndarray) -> "Set":
        """Some of the clips."""
        return Set(self.P[:, rows], self.y[rows], self.valid[:, rows], self.groups[rows])


# Where the sample's name tells the actor: a function of the name.
ACTORS = {"ravdess_face_speech": lambda name: name.split("-")[-1], "cremad_rater_votes": lambda name: name[:4]}
REAL = (
    "ravdess_face_speech",
    "cremad_rater_votes",
    "sarcasm12",
    "assembled_task2_10c1797",
    "assembled_task4_3c178",
    "mljar_hurricane5_8",
    "mljar_hurricane5_25bad",
    "mljar_hurricane5_31",
    "mljar_hurricane5_40small",
)
SIMULATED = tuple(f"{kind}_{M}" for kind in ("alike", "uneven", "votes") for M in (5, 20, 100, 200))


# Short name of a method: its name, its parameters, and how many candidates stay (None: all members take part).
METHODS: Mapping[str, tuple[str, Mapping, int | None]] = {
    "best": ("best", {}, None),
    "uniform": ("uniform", {}, None),
    "uniform +c": ("uniform", {}, 20),
    "uniform +t": ("uniform", {"temperatures": True}, None),
    "subsets": ("subsets", {}, None),
    "subsets +c": ("subsets", {}, 12),
    "grid": ("grid", {}, None),
    "grid +c": ("grid", {}, 6),
    "votes": ("votes", {}, None),
    "auto": ("auto", {}, None),
    "auto +c": ("auto", {}, 20),
    "greedy": ("greedy", {}, None),
    "greedy +b": ("greedy", {"bagged": 10}, None),
    "greedy +b+s": ("greedy", {"bagged": 10, "shrunk": True}, None),
    "greedy +b+s+c": ("greedy", {"bagged": 10, "shrunk": True}, 20),
    "greedy +b+t": ("greedy", {"bagged": 10, "temperatures": True}, None),
    "decision": ("decision", {}, None),
    "decision +c": ("decision", {}, 20),
    "decision +s": ("decision", {"shrunk": True}, None),
    "decision +b": ("decision", {"bagged": 10}, None),
    "lines": ("lines", {}, None),
    "lines +c": ("lines", {}, 20),
    "stacking": ("stacking", {}, None),
    "stacking +c": ("stacking", {}, 20),
    "stacking +s": ("stacking", {"shrunk": True}, None),
    "stacking, restricted": ("stacking", {"restricted": True}, None),
    "stacking, restricted +c": ("stacking", {"restricted": True}, 20),
    "gate": ("gate", {}, None),
    "gate +c": ("gate", {}, 20),
}


def draws(label: str, M: int, N: int) -> int:
    """Draws per round of the weight search: the paper's 100,000, fewer where it is repeated or there is much to do."""
    if "+s" in label or "+b" in label:
        return 200
    if M * N < 10_000:
        return 100_000
    return 10_000 if "+c" in label else 1_000


def factory(label: str, M: int, N: int, metric: str) -> Callable[[], Fusion]:
    """Makes unfitted fusions of M members, for N clips and the metric."""
    method, params, top = METHODS[label]
    params = {**params, "metric": metric}
    if method == "decision":
        params = {**params, "draws": draws(label, M, N), "n_jobs": 1}
    make = partial(ConfidenceGate, metric=metric) if method == "gate" else partial(make_fusion, method, params)
    if top is None:
        return make
    selection = Selection(per_entry=None, top=top)
    return lambda: Selected(make(), [str(m) for m in range(M)], selection)


def real(name: str, repeats: int) -> Iterator[tuple[Set, Set]]:
    """(fit, score) pairs of a prediction set."""
    folder = Path(os.environ.get("EMOFUSE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    table = read_long(folder / "predictions" / f"{name}.parquet")
    samples, first, clip = np.unique(table.sample_id, return_index=True, return_inverse=True)
    splits, labels = table.split[first], table.label[first]
    models, member = np.unique(table.model, return_inverse=True)
    P = np.full((len(models), len(samples), len(table.classes)), 1 / len(table.classes), np.float32)
    valid = np.zeros(P.shape[:2], bool)
    P[member, clip], valid[member, clip] = table.P, table.valid
    y = np.searchsorted(table.classes, labels.astype(str))
    actor = ACTORS.get(name, str)
    everything = Set(P, y, valid, np.array([actor(sample) for sample in samples]))
    if "test" in splits:
        held_out = np.isin(splits, ("validation", "val", "valid", "dev"))
        yield everything.clips(np.flatnonzero(held_out)), everything.clips(np.flatnonzero(splits == "test"))
        return
    for repeat in range(repeats):
        fit, rest = next(group_folds(y, everything.groups.tolist(), 2, repeat))
        yield everything.clips(fit), everything.clips(rest)


def simulated(name: str, repeats: int) -> Iterator[tuple[Set, Set]]:
    """Members that share part of their mistakes.

    `alike`: of one skill and one confidence, so that equal weights are best. `uneven`: skill differs between members
    and classes, confidence between members. Both have normal logits, which suits a sum of logarithms; `votes` are
    shares of 15 votes drawn from a member's probabilities, so that a weighted sum by member is close to the best rule.
    """
    kind, M = name.split("_")
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        skill, scale = np.full((int(M), 7), 0.9), np.ones((int(M), 1, 1))
        if kind != "alike":
            skill = rng.uniform(0, 1.2, (int(M), 1)) + rng.normal(0, 0.5 if kind == "uneven" else 0, (int(M), 7))
        if kind == "uneven":
            scale = rng.uniform(0.5, 2, (int(M), 1, 1))
        yield _clips(rng, kind, skill, scale, 383), _clips(rng, kind, skill, scale, 20_000)


def _clips(rng: np.random.Generator, kind: str, skill: np.ndarray, scale: np.ndarray, N: int) -> Set:
    M, C = skill.shape
    y = rng.integers(0, C, N)
    own = rng.standard_normal((M, N, C), np.float32) * np.float32(kind != "votes")
    logits = own + np.float32(0.8) * rng.standard_normal((N, C), np.float32)
    logits[:, np.arange(N), y] += skill[:, y]
    P = np.exp(logits * np.float32(scale))
    P /= P.sum(axis=2, keepdims=True)
    if kind == "votes":
        exact = P.astype(np.float64)
        P = (rng.multinomial(15, exact / exact.sum(axis=2, keepdims=True)) / 15).astype(np.float32)
    return Set(P, y, np.ones((M, N), bool), np.arange(N).astype(str))


def scores(make: Callable[[], Fusion], fit: Set, rest: Set, metric: str, nested: bool = True) -> tuple[float, ...]:
    """The metric on the fit rows, by nested folds of them, and on the other rows; whether the nested interval holds it.

    The last is NaN where there is no interval, it and the second without `nested`.
    """
    fusion = make().fit(fit.P, fit.y, fit.valid, fit.groups.tolist())
    scale = 100 if metric == "accuracy" else 1
    held_out = told(metric, worth(metric, rest.y, fusion.predict_proba(rest.P, rest.valid)))
    if not nested:
        return scale * fusion.fit_score_, float("nan"), scale * held_out, float("nan")
    outside = np.empty((len(fit.y), fit.P.shape[2]))
    for inner, outer in group_folds(fit.y, fit.groups.tolist(), 5, 0):
        part, other = fit.clips(inner), fit.clips(outer)
        without = make().fit(part.P, part.y, part.valid, part.groups.tolist())
        outside[outer] = without.predict_proba(other.P, other.valid)
    interval = intervals_of(fit.y, outside, fit.groups.tolist()).get(metric)
    if metric == "accuracy":
        interval = accuracy_interval((outside.argmax(axis=1) == fit.y).astype(float), fit.groups.tolist())
    covers = float("nan") if interval is None else float(interval.low <= held_out <= interval.high)
    values = (fusion.fit_score_, told(metric, worth(metric, fit.y, outside)), held_out)
    return *(scale * value for value in values), covers


def time_default(size: str) -> None:
    """Print what the default takes on so many members and clips, MxN, with its nested estimate."""
    M, N = map(int, size.split("x"))
    rng = np.random.default_rng(0)
    skill = rng.uniform(0, 1.2, (M, 1)) + rng.normal(0, 0.5, (M, 7))
    made = _clips(rng, "uneven", skill, rng.uniform(0.5, 2, (M, 1, 1)), N)
    held_out = held_out_of_arrays(made.P, made.y)
    for what, selection in (
        ("all as candidates", NO_SELECTION),
        ("the best 20 as candidates", Selection(per_entry=None)),
    ):
        cpu_s, clock_s = time.process_time(), time.perf_counter()
        fit_on(held_out, FitOptions("auto", selection=selection))
        cpu_s, clock_s = time.process_time() - cpu_s, time.perf_counter() - clock_s
        print(f"auto, {M} members x {N} clips, {what}: {cpu_s:.1f} s of processors, {clock_s:.1f} s on the clock")


def main() -> None:
    """Measure what the files of `--json` don't hold yet, then print all they hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[*REAL, *SIMULATED], help="names of sets")
    help_ = "s: shrunk, b: bagged, t: temperatures, c: candidates (best 20, 12, 6; no duplicates, no dead weight)"
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help=help_)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--metric", choices=["accuracy", "log_loss"], default="accuracy", help="a file for each")
    parser.add_argument("--time", nargs="+", metavar="MxN", help="only time the default on so many members and clips")
    parser.add_argument("--json", type=Path, nargs="*", default=[], help="keep results, to go on later")
    parser.add_argument(
        "--without-nested", action="store_true", help="leave the nested estimates out: a sixth of the time"
    )
    given = parser.parse_args()
    for size in given.time or ():
        time_default(size)
    if given.time:
        return
    metric = given.metric
    kept = [json.loads(path.read_text()) if path.exists() else {} for path in given.json] or [{}]
    for name in given.only:
        pairs = list((real if name in REAL else simulated)(name, given.repeats))
        M, N, C = pairs[0][0].P.shape
        print(f"{name}: M={M}, C={C}, {N} clips to fit on, {len(pairs[0][1].y)} to score on, {len(pairs)} times")
        for label in given.methods:
            if any(label in results.get(name, {}) for results in kept):
                continue
            started = time.perf_counter()
            try:
                rows = np.array(
                    [scores(factory(label, M, N, metric), *pair, metric, not given.without_nested) for pair in pairs]
                )
            except EmofuseError:  # too many members for subsets or the grid, or the method can't do the metric
                continue
            means, covers = rows[:, :3].mean(axis=0).tolist(), rows[~np.isnan(rows[:, 3]), 3]
            kept[0].setdefault(name, {})[label] = [*means, covers.sum(), len(covers)]
            print(
                f"  {label}: {_cell(kept[0][name][label], metric)} in {time.perf_counter() - started:.0f} s", flush=True
            )
            if given.json:
                given.json[0].write_text(json.dumps(kept[0]))
    results = {name: {k: v for one in kept for k, v in one.get(name, {}).items()} for name in (*REAL, *SIMULATED)}
    for names in (REAL, SIMULATED):
        _table(results, [name for name in names if results[name]], metric)
    _summary({name: found for name, found in results.items() if found}, metric)
    _coverage(results)


def _cell(values: list[float], metric: str) -> str:
    digits = 1 if metric == "accuracy" else 2
    return " / ".join("-" if np.isnan(value) else f"{value:.{digits}f}" for value in values[:3])


def _table(results: dict[str, dict[str, list[float]]], names: list[str], metric: str) -> None:
    print(f"\n{metric}, fit / nested / held out\n\n| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for label in METHODS:
        cells = [_cell(results[name][label], metric) if label in results[name] else "-" for name in names]
        if set(cells) - {"-"}:
            print(f"| {label} | {' | '.join(cells)} |")


def _summary(results: dict[str, dict[str, list[float]]], metric: str) -> None:
    print("\nHeld out, by how much better than the plain average: mean over sets (their number) and worst; what scores")
    print("promise too much\n\n| method | real | simulated | worst | fit | nested |\n|---|---|---|---|---|---|")
    digits, sign = (1, 1) if metric == "accuracy" else (3, -1)
    for label in METHODS:
        sets = [name for name in results if label in results[name] and "uniform" in results[name]]
        gains = {name: sign * (results[name][label][2] - results[name]["uniform"][2]) for name in sets}
        over = [results[name][label] for name in sets]
        columns = [[gains[name] for name in sets if name in kind] for kind in (REAL, SIMULATED)]
        cells = [_mean(column, digits, count=True) for column in columns]
        cells += [f"{min(gains.values()):+.{digits}f}" if gains else "-"]
        cells += [_mean([sign * (one[k] - one[2]) for one in over], digits) for k in (0, 1)]
        if sets:
            print(f"| {label} | {' | '.join(cells)} |")


def _coverage(results: dict[str, dict[str, list[float]]]) -> None:
    print()
    for kind, names in (("real", REAL), ("simulated", SIMULATED)):
        found = [values[3:] for name in names for values in results[name].values()]
        held, of = (int(sum(counts)) for counts in zip(*found, strict=True)) if found else (0, 0)
        print(f"nested 95 % intervals that hold the held-out score, {kind} sets: {held} of {of}")


def _mean(values: list[float], digits: int, count: bool = False) -> str:
    values = [value for value in values if not np.isnan(value)]
    return (f"{np.mean(values):+.{digits}f}" + (f" ({len(values)})" if count else "")) if values else "-"


if __name__ == "__main__":
    main()
