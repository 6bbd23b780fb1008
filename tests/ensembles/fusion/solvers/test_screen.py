"""The float32 screening never loses a weight set that is better by the exact score."""

import numpy as np
import pytest

from ensembles.fusion.base import Problem
from ensembles.fusion.solvers import kernel
from ensembles.fusion.solvers.noise import Noise
from ensembles.fusion.solvers.screen import Incumbent


@pytest.mark.parametrize("sigma", [0.0, 0.5, 0.05, 0.003])
@pytest.mark.parametrize(
    ("M", "N", "C", "lacking", "metric"),
    [(5, 90, 4, 0.0, "accuracy"), (2, 60, 2, 0.3, "accuracy"), (9, 50, 6, 0.5, "unweighted_accuracy")],
)
def test_no_better_draw_is_lost(simulate, sigma, M, N, C, lacking, metric):
    s = simulate(M=M, N=N, C=C, lacking=lacking, skill=(0.0, 0.6))
    problem = Problem(s.P, s.y, s.valid, metric, "share")
    noise, kind = Noise(1, M, C), "gaussian" if sigma else "uniform"
    draws = [noise.weights_of("uniform", 0, d, np.zeros((M, C)), 0.0) for d in range(3)]
    best = Incumbent(problem)
    best.offer(max(draws, key=problem.score))
    weights = kernel.aligned(kernel.BLOCK * C * M).reshape(-1, C, M, kernel.LANES)
    noise.propose(kind, 1, 0, best.weights, sigma, weights)
    scores = np.empty(kernel.BLOCK, np.int64)
    kernel.screen(weights, best.clips, best.gains, best.counts, best.threshold, scores)
    for draw in range(0, kernel.BLOCK, 3):
        counts = problem.right_counts(noise.weights_of(kind, 1, draw, best.weights, sigma))
        if problem.value(counts) > best.score:
            assert scores[draw] > best.threshold
    assert (scores >= 0).mean() < 0.9
