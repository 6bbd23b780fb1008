"""The fast weight search against the one-by-one procedure of the paper."""

import os
import signal
from threading import Timer

import numpy as np
import pytest

from ensembles.fusion import DecisionFusion
from ensembles.fusion.base import fuse
from ensembles.fusion.decision import Accepted
from ensembles.fusion.solvers.kernel import BLOCK
from ensembles.fusion.solvers.noise import Noise
from features.errors import WrongUse


def plain_search(
    P,
    y,
    valid,
    seed=0,
    draws=100_000,
    sigma=0.5,
    decay=0.9,
    sigma_min=1e-4,
    local="gaussian",
    missing="share",
    score=lambda right, y: right.mean(),
):
    """Kahou 2015, section 5, draw by draw."""
    M, _, C = P.shape
    noise = Noise(seed, M, C)

    def draw(kind, round_, number, centre, sigma):
        weights = np.zeros((M, C))
        for c in range(C):
            attempt = 0
            while weights[:, c].sum() == 0:
                numbers = noise.draws(kind, round_, number, 1, attempt)[0, :, c].astype(np.float64)
                weights[:, c] = numbers if centre is None else np.maximum(centre[:, c] + sigma * numbers, 0)
                attempt += 1
            total = 0.0
            for m in range(M):
                total += weights[m, c]
            weights[:, c] /= total
        return weights

    best, best_score, trace = None, -1.0, []
    round_, scale = 0, None
    while scale is None or scale >= sigma_min:
        kind = "uniform" if scale is None else {"gaussian": "gaussian", "uniform": "symmetric"}[local]
        for number in range(draws):
            weights = draw(kind, round_, number, best if scale is not None else None, scale)
            value = score(fuse(P, weights, valid, missing).argmax(axis=1) == y, y)
            if value > best_score:
                best, best_score = weights, value
                trace.append(Accepted(round_, number, value))
        scale = sigma if scale is None else scale * decay
        round_ += 1
    return best, trace


SMALL = {"draws": 300, "sigma": 0.5, "decay": 0.5, "sigma_min": 0.1}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("M", "N", "C", "lacking", "missing", "local"),
    [
        (2, 30, 2, 0, "share", "gaussian"),
        (3, 40, 4, 0.3, "share", "gaussian"),
        (3, 40, 4, 0.3, "uniform", "uniform"),
        (9, 25, 3, 0.7, "share", "uniform"),
    ],
)
def test_accepts_the_same_draws_and_ends_at_the_same_bits(simulate, seed, M, N, C, lacking, missing, local):
    s = simulate(M=M, N=N, C=C, seed=seed, lacking=lacking, skill=(0.0, 0.6))
    weights, trace = plain_search(s.P, s.y, s.valid, seed, **SMALL, local=local, missing=missing)
    fusion = DecisionFusion(**SMALL, seed=seed, local=local, missing=missing).fit(s.P, s.y, s.valid)
    assert fusion.trace_ == trace
    assert (fusion.weights_ == weights).all()


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bits(simulate, n_jobs):
    s = simulate(M=5, N=100, C=5, lacking=0.1)
    params = {"draws": 20_000, "sigma_min": 0.4, "seed": 7}
    one, other = (DecisionFusion(**params, n_jobs=n).fit(s.P, s.y, s.valid) for n in (None, n_jobs))
    assert one.trace_ == other.trace_ and (one.weights_ == other.weights_).all()


def test_unweighted_accuracy_as_the_plain_loop(simulate):
    s = simulate(M=3, N=50, C=4, skill=(0.0, 0.5))
    fusion = DecisionFusion(**SMALL, metric="unweighted_accuracy").fit(s.P, s.y)
    weights, trace = plain_search(s.P, s.y, None, **SMALL, score=balanced)
    assert fusion.trace_ == trace and (fusion.weights_ == weights).all()


def balanced(right, y):
    return np.mean([right[y == c].mean() for c in range(4)])


def test_ties_between_classes_and_members(simulate):
    s = simulate(M=2, N=40, C=4, skill=(0, 0.5))
    P = np.round(np.concatenate([s.P, s.P]) * 4)  # votes: many equal scores, zeros, identical members
    P[P.sum(axis=2) == 0] = 1
    P = (P / P.sum(axis=2, keepdims=True)).astype(np.float32)
    weights, trace = plain_search(P, s.y, None, 3, **SMALL)
    fusion = DecisionFusion(**SMALL, seed=3).fit(P, s.y)
    assert fusion.trace_ == trace
    assert (fusion.weights_ == weights).all()


def test_draws_past_one_block(simulate):
    s = simulate(M=3, N=20, C=2)
    small = {"draws": BLOCK + 37, "sigma": 0.3, "decay": 0.5, "sigma_min": 0.2}
    weights, trace = plain_search(s.P, s.y, s.valid, **small)
    fusion = DecisionFusion(**small).fit(s.P, s.y)
    assert fusion.trace_ == trace and (fusion.weights_ == weights).all()


def test_the_papers_budget():
    sigmas = list(DecisionFusion()._sigmas())
    assert sigmas[0] == 0 and len(sigmas) == 82
    assert sigmas[1] == 0.5 and sigmas[-1] >= 1e-4 > sigmas[-1] * 0.9


def test_a_class_whose_weights_are_all_cut_is_drawn_again():
    noise, centre = Noise(0, 2, 3), np.full((2, 3), 0.5)
    first = np.maximum(centre + 5.0 * noise.draws("gaussian", 1, 0, BLOCK), 0)
    again = np.flatnonzero((first.sum(axis=1) == 0).any(axis=1))
    assert len(again) > 100
    fast = np.empty((8, 3, 2, 128), np.float32)
    noise.propose("gaussian", 1, 0, centre, 5.0, fast)
    fast = fast.transpose(0, 3, 2, 1).reshape(BLOCK, 2, 3)
    for draw in again[:20].tolist():
        weights = noise.weights_of("gaussian", 1, draw, centre, 5.0)
        np.testing.assert_allclose(weights.sum(axis=0), 1)
        np.testing.assert_allclose(fast[draw], weights, atol=1e-6)


def test_finds_weights_that_no_single_member_nor_the_average_reaches():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 200)
    P = np.full((2, 200, 4), 0.25, np.float32)
    for m, known in enumerate(((0, 1), (2, 3))):  # each member tells two classes apart and rambles on the others
        rows = np.isin(y, known)
        P[m, rows] = 0.1
        P[m, rows, y[rows]] = 0.7
        P[m, ~rows] = rng.dirichlet(np.ones(4) * 0.3, (~rows).sum())
    single = (P.argmax(2) == y).mean(1).max()
    fusion = DecisionFusion(draws=2000, sigma_min=0.05).fit(P, y)
    assert fusion.fit_score_ > max(single, (P.mean(0).argmax(1) == y).mean())


def test_stops_at_the_time_limit_with_the_best_so_far(simulate):
    s = simulate()
    fusion = DecisionFusion(time_limit_s=0.0).fit(s.P, s.y)
    assert len(fusion.trace_) >= 1 and fusion.n_draws_ < 100_000


def test_ctrl_c_returns_the_best_so_far(simulate, monkeypatch):
    from ensembles.fusion.solvers.screen import Incumbent

    offer, calls = Incumbent.offer, []

    def interrupted(self, weights):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return offer(self, weights)

    monkeypatch.setattr(Incumbent, "offer", interrupted)
    s = simulate()
    fusion = DecisionFusion().fit(s.P, s.y)
    assert fusion.trace_ and fusion.fit_score_ == fusion.trace_[-1].score


def test_a_real_interrupt_returns_the_best_so_far(simulate):
    s = simulate(M=5, N=200, C=4)
    timer = Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    DecisionFusion(draws=1).fit(s.P, s.y)  # compiled by now
    timer.start()
    try:
        fusion = DecisionFusion(draws=10**9).fit(s.P, s.y)
    finally:
        timer.cancel()
    assert 0 < fusion.n_draws_ < 10**9 and fusion.fit_score_ == fusion.trace_[-1].score


def test_tells_draws_score_and_sigma(simulate, capsys, monkeypatch):
    monkeypatch.setattr("features.progress.console.width", 200)
    s = simulate()
    fusion = DecisionFusion(draws=50, sigma_min=0.3, verbose=True).fit(s.P, s.y)
    told = capsys.readouterr().err
    assert f"searching weights: {fusion.n_draws_} of 300 after 0 s, best {fusion.fit_score_:.4f}, sigma 0.33" in told


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"draws": 0}, "needs draws at least 1, but got draws=0"),
        ({"decay": 1.0}, "needs decay between 0 and 1, but got decay=1.0"),
        ({"sigma_min": 0.0}, "needs sigma_min above 0"),
        ({"local": "gauss"}, "Unknown local search 'gauss'.*Did you mean 'gaussian'"),
    ],
)
def test_bad_parameters(simulate, params, message):
    s = simulate()
    with pytest.raises(WrongUse, match=message):
        DecisionFusion(**params).fit(s.P, s.y)
