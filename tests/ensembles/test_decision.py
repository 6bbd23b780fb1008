"""The fast weight search against the one-by-one procedure of the paper."""

import numpy as np
import pytest

from ensembles.fusion import DecisionFusion
from ensembles.fusion.base import fuse
from ensembles.fusion.decision import Accepted
from ensembles.fusion.noise import BLOCK, Noise
from features.errors import WrongUse


def plain_search(P, y, valid, seed=0, draws=100_000, sigma=0.5, decay=0.9, sigma_min=1e-4, local="gaussian",
                 missing="share"):
    """Kahou 2015, section 5, draw by draw."""
    M, _, C = P.shape
    noise = Noise(seed, M, C)

    def draw(kind, round_, number, centre, sigma):
        block, row = divmod(number, BLOCK)
        weights = np.zeros((M, C))
        for c in range(C):
            attempt = 0
            while weights[:, c].sum() == 0:
                numbers = noise.block(kind, round_, block, attempt)[row, :, c].astype(np.float64)
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
            score = (fuse(P, weights, valid, missing).argmax(axis=1) == y).mean()
            if score > best_score:
                best, best_score = weights, score
                trace.append(Accepted(round_, number, score))
        scale = sigma if scale is None else scale * decay
        round_ += 1
    return best, trace


SMALL = {"draws": 300, "sigma": 0.5, "decay": 0.5, "sigma_min": 0.1}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("M", "N", "C", "lacking", "missing", "local"),
    [
        (2, 30, 2, 0, "share", "gaussian"),
        (3, 40, 4, 0.3, "share", "gaussian"),
        (3, 40, 4, 0.3, "uniform", "uniform"),
        (6, 25, 3, 0.7, "share", "uniform"),
    ],
)
def test_accepts_the_same_draws_and_ends_at_the_same_bits(simulate, seed, M, N, C, lacking, missing, local):
    s = simulate(M=M, N=N, C=C, seed=seed, lacking=lacking, skill=(0.0, 0.6))
    weights, trace = plain_search(s.P, s.y, s.valid, seed, **SMALL, local=local, missing=missing)
    fusion = DecisionFusion(**SMALL, seed=seed, local=local, missing=missing).fit(s.P, s.y, s.valid)
    assert fusion.trace_ == trace
    assert (fusion.weights_ == weights).all()


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
    assert sigmas[0] is None and len(sigmas) == 82
    assert sigmas[1] == 0.5 and sigmas[-1] >= 1e-4 > sigmas[-1] * 0.9


def test_a_class_whose_weights_are_all_cut_is_drawn_again():
    from ensembles.fusion.decision import propose

    noise, centre = Noise(0, 2, 3), np.full((2, 3), 0.5)
    weights = propose(noise, "gaussian", 1, 0, slice(0, BLOCK), centre, 5.0)
    first = np.maximum(centre + 5.0 * noise.block("gaussian", 1, 0), 0)
    assert (first.sum(axis=1) == 0).any()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


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
    from ensembles.fusion.screen import Incumbent

    take, calls = Incumbent.take_first_better, []

    def interrupted(self, weights):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return take(self, weights)

    monkeypatch.setattr(Incumbent, "take_first_better", interrupted)
    s = simulate()
    fusion = DecisionFusion().fit(s.P, s.y)
    assert fusion.trace_ and fusion.fit_score_ == fusion.trace_[-1].score


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
