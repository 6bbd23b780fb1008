"""What an ensemble loses or gains by trials that ASHA stops, replayed on pools of real trials at equal budget.

    python benchmarks/pools.py record --pools FOLDER
    python benchmarks/ensemble_asha.py [--pools FOLDER] [--only NAME ...] [--seeds 20]

Entries take turns, their configurations in an order by the seed, the same for all searches; one ASHA for each entry
stops trials by their recorded curves. What was stopped has cost its epochs and can be no member. An epoch costs the
median of the entry's seconds per epoch; the budget is what a third of the pool cost, so that the searches with ASHA,
which try more, don't come to its end. At some parts of it the ensemble is fitted on the held-out clips of what has
finished, by greedy selection for the metric, and scored on the test clips, which nothing else looks at.

Told are means over seeds of accuracy (%) and log-loss, and the paired difference from the search without ASHA at the
end with its standard error over seeds; then how many configurations were begun and finished.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from curves import Rungs
from ensemble_search import test_scores
from pools import DEFAULT, Pool, read_pool

from search.recipe.recipe import Asha

PARTS = (0.25, 0.5, 1.0)
SEARCHES: Mapping[str, Asha | None] = {
    "no ASHA": None,
    "ASHA from epoch 10": Asha(grace_epochs=10, reduction=3),
    "ASHA from epoch 5": Asha(grace_epochs=5, reduction=3),
}


def costs(pool: Pool) -> dict[str, float]:
    """Seconds of an epoch by entry."""
    found: dict[str, list[float]] = {}
    for trial in pool.trials:
        found.setdefault(trial["entry"], []).append(trial["wall_s"] / max(1, len(trial["curve"])))
    return {entry: float(np.median(seconds)) for entry, seconds in found.items()}


def searched(pool: Pool, asha: Asha | None, seed: int, budget: float) -> list[tuple[float, int, bool]]:
    """What it tried within so many seconds, in order: when it ended, which, and whether it finished."""
    rng, seconds, now = np.random.default_rng(seed), costs(pool), 0.0
    left = {
        entry: list(rng.permutation([n for n, trial in enumerate(pool.trials) if trial["entry"] == entry]))
        for entry in pool.entries
    }
    taken, rungs = dict.fromkeys(left, 0), {entry: Rungs(asha) for entry in left}
    found: list[tuple[float, int, bool]] = []
    while any(left.values()):
        entry = min((entry for entry in left if left[entry]), key=lambda entry: taken[entry])
        number = int(left[entry].pop())
        taken[entry] += 1
        epochs, finished = trained(rungs[entry], [row["accuracy"] for row in pool.trials[number]["curve"]])
        now += epochs * seconds[entry]
        if now > budget:
            break
        found.append((now, number, finished))
    return found


def trained(rungs: Rungs, curve: Sequence[float]) -> tuple[int, bool]:
    """For how many epochs a trial is trained, and whether to its end; one without epochs counts as one."""
    epoch = 0
    while (epoch := rungs.next(curve, epoch)) < len(curve):
        if rungs.stops(curve, epoch):
            return epoch, False
    return max(1, len(curve)), True


def told(pool: Pool, seeds: int) -> str:
    """The table of a pool."""
    seconds = costs(pool)
    budget = sum(max(1, len(trial["curve"])) * seconds[trial["entry"]] for trial in pool.trials) / 3
    heads = ["search", *(f"{part:.0%}" for part in PARTS), "end - no ASHA's", "begun", "finished"]
    lines = [f"\n{pool.name}: {len(pool.trials)} trials, budget of {budget:.0f} s", f"| {' | '.join(heads)} |"]
    lines.append("|" + "---|" * len(heads))
    reference: np.ndarray | None = None
    for label, asha in SEARCHES.items():
        runs = [searched(pool, asha, seed, budget) for seed in range(seeds)]
        found = np.array([[test_scores(pool, _members(run, part * budget)) for part in PARTS] for run in runs])
        found *= np.array([100.0, 1.0])
        reference = found[:, -1] if reference is None else reference
        gain = found[:, -1] - reference
        mean, error = gain.mean(axis=0), gain.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros(2)
        cells = [f"{accuracy:.1f} / {loss:.3f}" for accuracy, loss in found.mean(axis=0)]
        cells.append(f"{mean[0]:+.1f} ± {error[0]:.1f} / {mean[1]:+.3f} ± {error[1]:.3f}")
        cells.append(f"{np.mean([len(run) for run in runs]):.0f}")
        cells.append(f"{np.mean([sum(finished for *_, finished in run) for run in runs]):.0f}")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _members(run: Sequence[tuple[float, int, bool]], until: float) -> list[int]:
    """What had finished by then; the first one, if nothing had."""
    members = [number for when, number, finished in run if finished and when <= until]
    return members or [next(number for _, number, finished in run if finished)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=Path, default=DEFAULT)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="pools [all]")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    for name in args.only or sorted(file.stem for file in args.pools.glob("*.npz")):
        print(told(read_pool(args.pools, name), args.seeds), flush=True)


if __name__ == "__main__":
    main()
