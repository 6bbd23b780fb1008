"""What each fusion method is worth: fit score, nested estimate and held-out score, on real and simulated predictions.

    python benchmarks/fusion_methods.py [--only SET ...] [--methods NAME ...] [--json FILE ...]

Real predictions in long format are read from EMOFUSE_TEST_DATA, else from ../shared/data. Where they have labelled
validation and test rows, weights are fitted on the former and scored on the latter; where they have one split, on a
random half and the other, `--repeats` times. Simulations have 383 clips to fit on and 20,000 to score on. The nested
estimate sees the fit rows alone; with candidates (+c) each of its folds selects them anew. Accuracy in percent.

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

from ensembles.evaluation.folds import group_folds
from ensembles.fitting.selection import Selected, Selection
from ensembles.fusion import Fusion, make_fusion
from ensembles.predictions.long_format import read_long
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
}


def draws(label: str, M: int, N: int) -> int:
    """Draws per round of the weight search: the paper's 100,000, fewer where it is repeated or there is much to do."""
    if "+s" in label or "+b" in label:
        return 200
    if M * N < 10_000:
        return 100_000
    return 10_000 if "+c" in label else 1_000


def factory(label: str, M: int, N: int) -> Callable[[], Fusion]:
    """Makes unfitted fusions of M members, for N clips."""
    method, params, top = METHODS[label]
    if method == "decision":
        params = {**params, "draws": draws(label, M, N), "n_jobs": 1}
    make = partial(make_fusion, method, params)
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


def scores(make: Callable[[], Fusion], fit: Set, rest: Set) -> tuple[float, float, float]:
    """Accuracy on the fit rows, by nested folds of them, and on the other rows."""
    fusion = make().fit(fit.P, fit.y, fit.valid, fit.groups.tolist())
    right = np.zeros(len(fit.y), bool)
    for inner, outer in group_folds(fit.y, fit.groups.tolist(), 5, 0):
        part, other = fit.clips(inner), fit.clips(outer)
        nested = make().fit(part.P, part.y, part.valid, part.groups.tolist())
        right[outer] = nested.predict(other.P, other.valid) == other.y
    held_out = (fusion.predict(rest.P, rest.valid) == rest.y).mean()
    return 100 * fusion.fit_score_, 100 * right.mean(), 100 * held_out


def main() -> None:
    """Measure what the files of `--json` don't hold yet, then print all they hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[*REAL, *SIMULATED], help="names of sets")
    help_ = "s: shrunk, b: bagged, t: temperatures, c: candidates (best 20, 12, 6; no duplicates, no dead weight)"
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help=help_)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, nargs="*", default=[], help="keep results, to go on later")
    given = parser.parse_args()
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
                rows = [scores(factory(label, M, N), fit, rest) for fit, rest in pairs]
            except EmofuseError:  # too many members for subsets or the grid
                continue
            kept[0].setdefault(name, {})[label] = np.mean(rows, axis=0).tolist()
            print(f"  {label}: {_cell(kept[0][name][label])} in {time.perf_counter() - started:.0f} s", flush=True)
            if given.json:
                given.json[0].write_text(json.dumps(kept[0]))
    results = {name: {k: v for one in kept for k, v in one.get(name, {}).items()} for name in (*REAL, *SIMULATED)}
    for names in (REAL, SIMULATED):
        _table(results, [name for name in names if results[name]])
    _summary({name: found for name, found in results.items() if found})


def _cell(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _table(results: dict[str, dict[str, list[float]]], names: list[str]) -> None:
    print(f"\nfit / nested / held out\n\n| method | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for label in METHODS:
        cells = [_cell(results[name][label]) if label in results[name] else "-" for name in names]
        print(f"| {label} | {' | '.join(cells)} |")


def _summary(results: dict[str, dict[str, list[float]]]) -> None:
    print("\nHeld out minus the plain average: mean over sets (their number) and worst; what scores promise too much")
    print("\n| method | real | simulated | worst | fit - held out | nested - held out |")
    print("|---|---|---|---|---|---|")
    for label in METHODS:
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
