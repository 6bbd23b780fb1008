"""How fast the weight search is, against the obvious evaluation of one draw after the other.

    python benchmarks/fusion.py [--members 5] [--clips 383] [--classes 7] [--draws 100000]

One run, same data, same machine: the plain loop's time per draw (random numbers and rescaling not counted), then
`DecisionFusion` over all its rounds, random numbers and all.
"""

import argparse
import time

import numpy as np

from ensembles.fusion import DecisionFusion


def simulate(M: int, N: int, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of members that are right a little more often than not."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    logits = rng.normal(size=(M, N, C))
    logits[:, np.arange(N), y] += 0.5
    P = np.exp(logits)
    return (P / P.sum(axis=2, keepdims=True)).astype(np.float32), y


def plain_s_per_draw(P: np.ndarray, y: np.ndarray, draws: int = 3000) -> float:
    """Seconds that the obvious evaluation of one weight set takes."""
    weights = np.random.default_rng(0).random((P.shape[0], P.shape[2]), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(draws):
        ((P * weights[:, None, :]).sum(0).argmax(1) == y).mean()
    return (time.perf_counter() - start) / draws


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser()
    for name, default in (("members", 5), ("clips", 383), ("classes", 7), ("draws", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    P, y = simulate(given.members, given.clips, given.classes)
    DecisionFusion(draws=1).fit(P, y)  # compile
    plain = plain_s_per_draw(P, y)
    fusion = DecisionFusion(draws=given.draws)
    start = time.perf_counter()
    fusion.fit(P, y)
    fast = (time.perf_counter() - start) / fusion.n_draws_
    print(f"M={given.members} N={given.clips} C={given.classes}, fit score {fusion.fit_score_:.4f}")
    print(f"plain loop      {1e6 * plain:8.3f} us per draw")
    print(f"DecisionFusion  {1e6 * fast:8.3f} us per draw, {fusion.n_draws_:,} draws in {fast * fusion.n_draws_:.1f} s")
    print(f"ratio           {plain / fast:8.1f}")


if __name__ == "__main__":
    main()
