"""What each fusion method is worth: fit score, nested estimate and held-out score, on real and simulated predictions.

    python benchmarks/fusion_methods.py [--only SET ...] [--methods NAME ...] [--json FILE]

Real predictions in long format are read from EMOFUSE_TEST_DATA, else from ../shared/data. Where they have labelled
validation and test rows, weights are fitted on the former and scored on the latter; where they have one split, on a
random half and the other, `--repeats` times. Simulations have 383 clips to fit on and 20,000 to score on. The nested
estimate sees the fit rows alone. Accuracy in percent; one thread.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensembles.folds import group_folds
from ensembles.fusion import make_fusion
from ensembles.long_format import read_long
from features.errors import EmofuseError


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


def methods(draws: int) -> dict[str, tuple[str, dict]]:
    """Short name -> method and parameters."""
    decision = {"draws": draws, "n_jobs": 1}
    return {
        "best": ("best", {}),
        "uniform": ("uniform", {}),
        "uniform +t": ("uniform", {"temperatures": True}),
        "subsets": ("subsets", {}),
        "grid": ("grid", {}),
        "greedy": ("greedy", {}),
        "greedy +b": ("greedy", {"bagged": 10}),
        "greedy +b+s": ("greedy", {"bagged": 10, "shrunk": True}),
        "greedy +b+t": ("greedy", {"bagged": 10, "temperatures": True}),
        "decision": ("decision", decision),
        "decision +s": ("decision", decision | {"shrunk": True}),
        "decision +b": ("decision", decision | {"bagged": 10}),
        "decision +b+s": ("decision", decision | {"bagged": 10, "shrunk": True}),
        "lines": ("lines", {"restarts": 0}),
        "lines +b": ("lines", {"restarts": 0, "rounds": 2, "bagged": 10}),
        "stacking": ("stacking", {}),
        "stacking +s": ("stacking", {"shrunk": True}),
    }


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


def scores(method: str, params: dict, fit: Set, rest: Set) -> tuple[float, float, float]:
    """Accuracy on the fit rows, by nested folds of them, and on the other rows."""
    fusion = make_fusion(method, params).fit(fit.P, fit.y, fit.valid, fit.groups.tolist())
    right = np.zeros(len(fit.y), bool)
    for inner, outer in group_folds(fit.y, fit.groups.tolist(), 5, 0):
        part, other = fit.clips(inner), fit.clips(outer)
        nested = make_fusion(method, params).fit(part.P, part.y, part.valid, part.groups.tolist())
        right[outer] = nested.predict(other.P, other.valid) == other.y
    held_out = (fusion.predict(rest.P, rest.valid) == rest.y).mean()
    return 100 * fusion.fit_score_, 100 * right.mean(), 100 * held_out


def main() -> None:
    """Measure what `--json` does not hold yet, then print all it holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[*REAL, *SIMULATED], help="names of sets")
    parser.add_argument("--methods", nargs="*", default=list(methods(1)), help="b: bagged, s: shrunk, t: temperatures")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="keeps the results, to go on later")
    given = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {}
    if given.json and given.json.exists():
        results = json.loads(given.json.read_text())
    for name in given.only:
        pairs = list((real if name in REAL else simulated)(name, given.repeats))
        M, N, C = pairs[0][0].P.shape
        print(f"{name}: M={M}, C={C}, {N} clips to fit on, {len(pairs[0][1].y)} to score on, {len(pairs)} times")
        done = results.setdefault(name, {})
        for label in [label for label in given.methods if label not in done]:
            started = time.perf_counter()
            try:
                rows = [scores(*methods(given.draws)[label], fit, rest) for fit, rest in pairs]
            except EmofuseError:  # too many members for subsets or the grid
                continue
            done[label] = np.mean(rows, axis=0).tolist()
            print(f"  {label}: {_cell(done[label])} in {time.perf_counter() - started:.0f} s", flush=True)
            if given.json:
                given.json.write_text(json.dumps(results))
    for names in (REAL, SIMULATED):
        _table(results, [name for name in names if name in results])
    _summary(results)


def _cell(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _table(results: dict[str, dict[str, list[float]]], names: list[str]) -> None:
    print(f"\nfit / nested / held out\n\n| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for label in methods(1):
        cells = [_cell(results[name][label]) if label in results[name] else "-" for name in names]
        print(f"| {label} | {' | '.join(cells)} |")


def _summary(results: dict[str, dict[str, list[float]]]) -> None:
    print("\nHeld out minus the plain average: mean over sets (their number) and worst; what scores promise too much")
    print("\n| method | real | simulated | worst | fit - held out | nested - held out |")
    print("|---|---|---|---|---|---|")
    for label in methods(1):
        sets = [name for name in results if label in results[name] and "uniform" in results[name]]
        gains = {name: results[name][label][2] - results[name]["uniform"][2] for name in sets}
        over = [results[name][label] for name in sets]
        columns = [[gains[name] for name in sets if name in kind] for kind in (REAL, SIMULATED)]
        cells = [_mean(column, count=True) for column in columns]
        cells += [f"{min(gains.values()):+.1f}" if gains else "-"]
        cells += [_mean([fit - other for fit, _, other in over]), _mean([nested - other for _, nested, other in over])]
        print(f"| {label} | {' | '.join(cells)} |")


def _mean(values: list[float], count: bool = False) -> str:
    return (f"{np.mean(values):+.1f}" + (f" ({len(values)})" if count else "")) if values else "-"


if __name__ == "__main__":
    main()
