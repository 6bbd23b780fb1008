"""How fast the weight search is, against the obvious evaluation of one draw after the other.

    python benchmarks/fusion.py [--members 5] [--clips 383] [--classes 7] [--draws 100000] [--threads 2]
        [--device cuda]

One run, same data, same machine: the plain loop's time per draw (random numbers and rescaling not counted), before and
after `DecisionFusion` over all its rounds, random numbers and all; then how many multiply-adds the machine can do.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from ensembles.fusion import DecisionFusion


def simulate(M: int, N: int, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of members that are right a little more often than not."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    logits = rng.normal(size=(M, N, C))
    logits[:, np.arange(N), y] += 0.5
    P = np.exp(logits)
    return (P / P.sum(axis=2, keepdims=True)).astype(np.float32), y


def plain_s_per_draw(P: np.ndarray, y: np.ndarray, draws: int = 20_000) -> np.ndarray:
    """Seconds that the obvious evaluation of one weight set takes: on the clock, and of CPU time."""
    w = np.random.default_rng(0).random((P.shape[0], P.shape[2]), dtype=np.float32)
    start = _clocks()
    for _ in range(draws):
        ((P * w[:, None, :]).sum(0).argmax(1) == y).mean()
    return (_clocks() - start) / draws


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


@njit(nogil=True, fastmath={"contract"})
def _multiply_add(numbers, times):
    a, b = np.float32(0.999), np.float32(0.001)
    for _ in range(times):
        for i in range(256):
            numbers[i] = numbers[i] * a + b


def multiply_adds_per_s(threads: int, times: int = 2_000_000) -> float:
    """What so many threads reach at once in float32, on numbers that stay in registers: the best of five runs."""
    numbers = [np.zeros(256, np.float32) for _ in range(threads)]
    _multiply_add(numbers[0], 1)
    fastest = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda own: _multiply_add(own, times), numbers))
            fastest = min(fastest, time.perf_counter() - start)
    return threads * times * 256 / fastest


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser()
    defaults = {"members": 5, "clips": 383, "classes": 7, "draws": 100_000, "threads": 2}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", help="let the screening run through torch there, as cuda")
    given = parser.parse_args()
    P, y = simulate(given.members, given.clips, given.classes)
    DecisionFusion(draws=1, device=given.device).fit(P, y)  # compile
    before = plain_s_per_draw(P, y)
    fusion = DecisionFusion(draws=given.draws, n_jobs=given.threads, device=given.device)
    start = _clocks()
    fusion.fit(P, y)
    fast = (_clocks() - start) / fusion.n_draws_
    plain = (before + plain_s_per_draw(P, y)) / 2
    limit, per_s = multiply_adds_per_s(given.threads), P.size / fast[0]
    print(f"M={given.members} N={given.clips} C={given.classes}, {given.threads} threads")
    print(f"plain loop       {1e6 * plain[0]:9.3f} us per draw ({1e6 * plain[1]:.3f} us of CPU time)")
    print(f"DecisionFusion   {1e6 * fast[0]:9.3f} us per draw ({1e6 * fast[1]:.3f} us of CPU time)")
    print(f"                 {fusion.n_draws_:,} draws in {fast[0] * fusion.n_draws_:.2f} s: {1 / fast[0]:,.0f} per s")
    print(f"ratio            {plain[0] / fast[0]:9.1f} ({plain[1] / fast[1]:.1f} in CPU time)")
    print(f"multiply-adds    {per_s / 1e9:9.1f} G per second as if every clip were computed for every draw,")
    print(f"                 {per_s / limit:9.0%} of the {limit / 1e9:.1f} G per second that as many threads reach")


if __name__ == "__main__":
    main()
