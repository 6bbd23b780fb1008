"""How often an accuracy's 95 % interval holds the truth: ours beside the bootstrap over groups.

    python benchmarks/intervals.py

How often a group (a speaker) is right varies from group to group, with the given intra-class correlation.
"""

import numpy as np

from ensembles.evaluation.intervals import accuracy_interval

CASES = ((4, 60), (8, 20), (12, 30), (24, 10), (24, 40), (10, 5), (100, 1), (100, 4), (300, 1))
TRIALS = 400


def bootstrap(sums: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval of 2,000 resamples of the groups."""
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=2000)
    low, high = np.percentile(drawn @ sums / (drawn @ sizes), (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    """Print a row per number of groups, clips of each, correlation and accuracy."""
    rng = np.random.default_rng(0)
    print("| groups x clips | correlation | accuracy | bootstrap covers | its width | ours covers | its width |")
    print("|---|---|---|---|---|---|---|")
    for n_groups, size in CASES:
        for correlation in (0.0,) if size == 1 else (0.0, 0.05, 0.2):
            for accuracy in (0.5, 0.9, 0.99):
                cells = _row(rng, n_groups, size, correlation, accuracy)
                print(f"| {n_groups} x {size} | {correlation} | {accuracy} | {' | '.join(cells)} |", flush=True)


def _row(rng: np.random.Generator, n_groups: int, size: int, correlation: float, accuracy: float) -> list[str]:
    names = np.repeat(np.arange(n_groups), size)
    sizes = np.full(n_groups, size)
    found: list[list[tuple[float, float]]] = [[], []]
    for _ in range(TRIALS):
        of_group = np.full(n_groups, accuracy)
        if correlation:
            scale = 1 / correlation - 1
            of_group = rng.beta(accuracy * scale, (1 - accuracy) * scale, n_groups)
        right = (rng.random(len(names)) < of_group[names]).astype(float)
        found[0].append(bootstrap(np.bincount(names, weights=right), sizes, rng))
        ours = accuracy_interval(right, names.astype(str).tolist())
        assert ours is not None
        found[1].append((ours.low, ours.high))
    cells = []
    for bounds in map(np.array, found):
        covered = (bounds[:, 0] <= accuracy) & (accuracy <= bounds[:, 1])
        cells += [f"{100 * covered.mean():.0f} %", f"{100 * (bounds[:, 1] - bounds[:, 0]).mean():.1f}"]
    return cells


if __name__ == "__main__":
    main()
