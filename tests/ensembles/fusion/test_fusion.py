"""Each fusion method's own rules, beside the contract that all keep."""

import numpy as np
import pytest
from fusion_contract import Contract
from hypothesis import given, settings
from hypothesis import strategies as st

from ensembles.fusion import (
    METHODS,
    BestSingle,
    DecisionFusion,
    GreedySelection,
    GridFusion,
    UniformAverage,
    make_fusion,
)
from ensembles.fusion.base import fuse
from features.errors import WrongUse


class TestUniformAverage(Contract):
    def make(self, **params):
        return UniformAverage(**params)


class TestBestSingle(Contract):
    at_least_best_single = True

    def make(self, **params):
        return BestSingle(**params)


class TestGridFusion(Contract):
    at_least_best_single = True
    symmetric = False  # of equal points the first stays

    def make(self, **params):
        return GridFusion(**params)

    def test_finds_the_best_point(self, simulate):
        s = simulate(M=2, N=200)
        fusion = GridFusion(step=0.1).fit(s.P, s.y)
        scores = [(fuse(s.P, np.repeat([[w], [1 - w]], 3, 1)).argmax(1) == s.y).mean() for w in np.arange(11) / 10]
        assert fusion.n_points_ == 11 and fusion.fit_score_ == max(scores)
        assert (fusion.weights_ == fusion.weights_[:, :1]).all()

    def test_bad_steps(self, simulate):
        s = simulate(M=4)
        with pytest.raises(WrongUse, match=r"a step that divides 1.*got step=0.3"):
            GridFusion(step=0.3).fit(s.P, s.y)
        s = simulate(M=20)
        with pytest.raises(WrongUse, match=r"step 0.1 over 20 members has 20,030,010 points"):
            GridFusion().fit(s.P, s.y)


class TestGreedySelection(Contract):
    at_least_best_single = True

    def make(self, **params):
        return GreedySelection(**params)

    @pytest.mark.parametrize(("seed", "lacking", "missing"), [(0, 0, "share"), (1, 0.3, "share"), (2, 0.3, "uniform")])
    def test_as_the_plain_loop(self, simulate, seed, lacking, missing):
        s = simulate(M=6, N=40, seed=seed, lacking=lacking)
        names = list("fbdaec")
        fusion = GreedySelection(size=12, names=names, missing=missing).fit(s.P, s.y, s.valid)
        trace, weights = plain_greedy(s, names, 12, missing)
        assert [m for m, _ in fusion.trace_] == trace
        np.testing.assert_allclose(fusion.weights_[:, 0], weights)

    def test_ties_go_to_the_one_that_is_in_then_to_the_name(self):
        P = np.repeat(np.array([[[0.8, 0.2], [0.3, 0.7]]], np.float32), 3, axis=0)
        fusion = GreedySelection(size=4, names=["c", "a", "b"]).fit(P, np.array([0, 1]))
        assert [m for m, _ in fusion.trace_] == [1, 1, 1, 1]

    def test_bad_parameters(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match=r"size of at least 1, but got size=0"):
            GreedySelection(size=0).fit(s.P, s.y)
        with pytest.raises(WrongUse, match=r"one name per member, but got 1 for 4 members"):
            GreedySelection(names=["a"]).fit(s.P, s.y)


def plain_greedy(s, names, size, missing):
    """Caruana's loop as one would write it down."""

    def fused(bag):
        counts = np.bincount(bag, minlength=len(s.P)) / len(bag)
        return fuse(s.P, np.repeat(counts[:, None], s.P.shape[2], 1), s.valid, missing)

    def rank(bag, m):
        p = fused([*bag, m])
        loss = -np.log(np.maximum(p[np.arange(len(s.y)), s.y], np.finfo(np.float32).eps)).mean()
        return -(p.argmax(1) == s.y).mean(), m not in bag, round(loss, 9), names[m]

    bag, best, best_score = [], None, -1.0
    for _ in range(size):
        m = min(range(len(s.P)), key=lambda m: rank(bag, m))
        bag.append(m)
        score = -rank(bag[:-1], m)[0]
        if score > best_score:
            best, best_score = list(bag), score
    return bag, np.bincount(best, minlength=len(s.P)) / len(best)


class TestDecisionFusion(Contract):
    symmetric = False  # draws belong to positions

    def make(self, **params):
        return DecisionFusion(**({"draws": 100, "sigma_min": 0.1} | params))


@pytest.mark.parametrize("method", METHODS)
def test_make_fusion(method):
    assert isinstance(make_fusion(method), METHODS[method])


def test_make_fusion_tells_unknown_names():
    with pytest.raises(WrongUse, match=r"Unknown fusion method 'gridd'.*Did you mean 'grid'"):
        make_fusion("gridd")
    with pytest.raises(WrongUse, match=r"Unknown parameter of the method decision 'draw'.*Did you mean 'draws'"):
        make_fusion("decision", {"draw": 3})
    with pytest.raises(WrongUse, match=r"parameter sigma of the method decision is a number, but got 'wide'"):
        make_fusion("decision", {"sigma": "wide"})
    with pytest.raises(WrongUse, match=r"parameter draws of the method decision is a whole number, but got 2.5"):
        make_fusion("decision", {"draws": 2.5})
    fusion = make_fusion("decision", {"draws": 1e4}, seed=7)
    assert (fusion.draws, fusion.seed) == (10_000, 7) and isinstance(fusion.draws, int)


def test_fuse_is_the_weighted_sum_with_shared_weight():
    P = np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.5, 0.5]]])
    weights = np.array([[0.5, 0.2], [0.3, 0.2], [0.2, 0.6]])
    lacks_first = np.array([[False], [True], [True]])
    a, b = (0.3 * 0.2 + 0.2 * 0.5) / 0.5, (0.2 * 0.8 + 0.6 * 0.5) / 0.8
    np.testing.assert_allclose(fuse(P, weights, lacks_first)[0], np.array([a, b]) / (a + b))
    a, b = 0.5 * 0.5 + 0.3 * 0.2 + 0.2 * 0.5, 0.2 * 0.5 + 0.2 * 0.8 + 0.6 * 0.5
    np.testing.assert_allclose(fuse(P, weights, lacks_first, "uniform")[0], np.array([a, b]) / (a + b))


def test_fuse_without_anybody_who_has_weight():
    P = np.array([[[0.9, 0.1]], [[0.2, 0.8]]])
    weights = np.array([[1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(fuse(P, weights, np.array([[False], [True]]))[0], [0.2, 0.8])
    np.testing.assert_allclose(fuse(P, weights, np.array([[False], [False]]))[0], [0.5, 0.5])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 10_000), st.sampled_from(["share", "uniform"]))
def test_fused_rows_are_distributions(M, C, seed, missing):
    rng = np.random.default_rng(seed)
    P, valid = rng.dirichlet(np.ones(C), (M, 6)), rng.random((M, 6)) < 0.6
    weights = rng.random((M, C)) * (rng.random((M, C)) < 0.7)
    p = fuse(P, weights, valid, missing)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
