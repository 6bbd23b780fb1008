"""The addressed random numbers: the published generator, the right distributions, any part of the stream alone."""

import numpy as np
import pytest
from scipy import stats

from ensembles.fusion.solvers.noise import Noise, _philox


@pytest.mark.parametrize(
    ("word", "expected"),
    [(0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"), (0xFFFFFFFF, "408f276d 41c83b0e a20bc7c6 6d5451fd")],
)
def test_philox_as_published(word, expected):
    bits = np.empty((4, 1), np.uint32)
    _philox(word, word, word, word, np.uint64(word), np.uint64(word), bits)
    assert " ".join(f"{int(b):08x}" for b in bits[:, 0]) == expected


@pytest.mark.parametrize(
    ("kind", "law"), [("gaussian", stats.norm()), ("uniform", stats.uniform()), ("symmetric", stats.uniform(-1, 2))]
)
def test_distributions(kind, law):
    numbers = Noise(3, 5, 7).draws(kind, 1, 0, 20_000)
    assert numbers.dtype == np.float32 and numbers.shape == (20_000, 5, 7)
    assert stats.kstest(numbers.ravel()[::5].astype(float), law.cdf).pvalue > 0.001
    flat = numbers.reshape(20_000, -1)
    correlations = np.corrcoef(flat.T) - np.eye(35)
    assert abs(correlations).max() * np.sqrt(20_000) < 5
    assert abs(np.corrcoef(flat[:-1, 0], flat[1:, 0])[0, 1]) * np.sqrt(20_000) < 5


def test_any_part_of_the_stream_alone():
    noise = Noise(0, 3, 4)
    whole = noise.draws("gaussian", 2, 0, 1000)
    assert (noise.draws("gaussian", 2, 431, 7) == whole[431:438]).all()
    for other in (
        noise.draws("gaussian", 3, 0, 1000),
        noise.draws("gaussian", 2, 0, 1000, attempt=1),
        Noise(1, 3, 4).draws("gaussian", 2, 0, 1000),
    ):
        assert abs(np.corrcoef(other.ravel(), whole.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("sigma", [0.0, 0.5, 0.01])
def test_proposals_are_the_plain_ones_in_float32(sigma):
    noise, centre = Noise(0, 5, 3), np.random.default_rng(0).dirichlet(np.ones(5), 3).T
    fast = np.empty((2, 3, 5, 16), np.float32)
    kind = "gaussian" if sigma else "uniform"
    noise.propose(kind, 1, 100, centre, sigma, fast)
    for draw in range(32):
        plain = noise.weights_of(kind, 1, 100 + draw, centre, sigma)
        np.testing.assert_allclose(fast[draw // 16, :, :, draw % 16].T, plain, atol=1e-6)
