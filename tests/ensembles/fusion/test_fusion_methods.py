"""Subsets, exact line search and stacking."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from fusion_contract import Contract
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from ensembles.evaluation.folds import group_folds
from ensembles.fusion import LineSearchFusion, Stacking, SubsetSearch, UniformAverage
from ensembles.fusion.base import Problem, fuse, rescale
from ensembles.fusion.lines import _feasible, _Lines, _SearchState, _step
from ensembles.fusion.pooling import LogPool
from ensembles.fusion.solvers.regression import full_path, restricted_loss
from features.errors import WrongUse
from models.metrics import Metric, log_loss


class TestSubsetSearch(Contract):
    at_least_best_single = True

    def make(self, **params):
        return SubsetSearch(**params)

    @pytest.mark.parametrize(("seed", "lacking", "missing"), [(0, 0, "share"), (1, 0.4, "share"), (2, 0.3, "uniform")])
    def test_as_the_plain_loop(self, simulate, seed, lacking, missing):
        s = simulate(M=5, N=40, seed=seed, lacking=lacking)

        def rank(subset):
            weights = np.zeros((5, 3))
            weights[list(subset)] = 1 / len(subset)
            p = fuse(s.P, weights, s.valid, missing)
            loss = -np.log(np.maximum(p[np.arange(40), s.y], np.finfo(np.float32).eps)).sum()
            return -(p.argmax(1) == s.y).mean(), len(subset), loss

        best = min((c for size in range(1, 6) for c in combinations(range(5), size)), key=rank)
        fusion = SubsetSearch(missing=missing).fit(s.P, s.y, s.valid)
        assert fusion.subset_ == best and fusion.fit_score_ == -rank(best)[0]

    def test_too_many_members(self, simulate):
        s = simulate(M=13)
        with pytest.raises(WrongUse, match=r"at most 12 members, but got 13; choose fewer \(--top 12\)"):
            SubsetSearch().fit(s.P, s.y)


class TestLineSearchFusion(Contract):
    at_least_best_single = True
    symmetric = False  # random directions belong to positions

    def make(self, **params):
        return LineSearchFusion(**({"restarts": 1, "directions": 3, "rounds": 3} | params))

    def test_bad_parameters(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match="rounds of 1 or more, but got rounds=0"):
            LineSearchFusion(rounds=0).fit(s.P, s.y)

    def test_trace_climbs(self, simulate):
        s = simulate(M=5, N=200)
        fusion = LineSearchFusion(restarts=1).fit(s.P, s.y)
        scores = [move.score for move in fusion.trace_ if move.restart == 0]
        assert scores == sorted(scores) and fusion.fit_score_ >= scores[-1]
        assert fusion.fit_score_ > UniformAverage().fit(s.P, s.y).fit_score_


@settings(max_examples=80, deadline=None)
@given(
    st.integers(2, 5), st.integers(2, 5), st.sampled_from([0.0, 0.3]), st.sampled_from(["share", "uniform"]),
    st.sampled_from(get_args(Metric)), st.sampled_from(["class", "member", "random"]),
    st.integers(0, 10_000),
)  # fmt: skip
def test_no_point_of_a_line_is_better_than_the_one_found(M, C, lacking, missing, metric, kind, seed):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(C, 0.2 if metric == "log_loss" else 1), (M, 30)).astype(np.float32)
    valid = rng.random((M, 30)) >= lacking
    valid[0] |= ~valid.any(axis=0)  # a clip that nobody has is a tie of all classes, which rounding decides
    problem = Problem(P, rng.integers(0, C, 30), valid, metric, missing)
    lines = _Lines(problem)
    place = _SearchState(lines, rescale(rng.random((M, C)) * (rng.random((M, C)) < 0.7) + 1e-3))
    target = {"class": (1, 0), "member": (1, None), "random": rescale(rng.random((M, C)))}[kind]
    step = _step(place.weights, target)
    low, high = _feasible(place.weights, step)
    assert low <= 0 and high >= 1 - 1e-9
    found = lines.best_on(lines.toward(target, place), low, high)

    def at(t):
        return problem.score(rescale(np.maximum(place.weights + t * step, 0)))

    assert found.worth == pytest.approx(at(found.t))
    exact = 2e-6 if metric == "log_loss" else 1e-9
    assert found.worth >= max(at(t) for t in np.linspace(low, high, 400)[1:-1]) - exact


def test_a_line_without_effect_keeps_the_first_class_on_ties():
    P = np.full((2, 4, 3), 1 / 3, np.float32)
    fusion = LineSearchFusion().fit(P, np.array([0, 0, 1, 2]))
    assert fusion.fit_score_ == 0.5


class TestStacking(Contract):
    symmetric = False  # up to the optimiser's tolerance only

    def make(self, **params):
        return Stacking(**({"strengths": (1.0, 100.0)} | params))

    def test_identical_members_one_class_only_and_fewer_clips_than_classes(self, simulate):
        s = simulate(M=1, N=4, C=7)
        P = np.repeat(s.P, 3, axis=0)
        p = self.make().fit(P, s.y).predict_proba(P)
        rare = [c for c in range(7) if c not in s.y]
        assert (p[:, rare] < 0.15).all() and (p > 0).all()
        only = self.make().fit(P, np.zeros(4, int))
        np.testing.assert_allclose(only.predict_proba(P), 0.99 * s.P[0] + 0.01 / 7, atol=1e-6)

    @pytest.mark.parametrize(("M", "N", "C"), [(3, 200, 3), (2, 300, 2), (8, 20, 4)])
    def test_is_scikit_learns_regression(self, simulate, M, N, C):
        s = simulate(M=M, N=N, C=C)
        logs = np.log(0.99 * s.P.astype(float) + 0.01 / C)
        features = np.concatenate(list(logs), axis=1)
        plain = LogisticRegression(C=1 / 30, tol=1e-10, max_iter=5000).fit(features, s.y)
        fusion = Stacking(strengths=[30]).fit(s.P, s.y)
        np.testing.assert_allclose(fusion.predict_proba(s.P), plain.predict_proba(features), atol=2e-3)
        assert np.shape(fusion.log_pool_.coefficients) == (M, C, C)

    def test_learns_that_one_class_is_taken_for_another(self, simulate):
        s = simulate(M=2, N=400, skill=(1, 2))
        swapped = s.P[:, :, [1, 0, 2]]
        assert Stacking().fit(swapped, s.y).fit_score_ > 0.5 > UniformAverage().fit(swapped, s.y).fit_score_

    def test_strength_is_that_of_lowest_inner_loss_by_group(self, simulate):
        s = simulate(M=5, N=60, skill=(0, 0.1))
        fusion = Stacking().fit(s.P, s.y, groups=s.groups)
        assert len(fusion.path_) == 10 and fusion.strength_ == min(fusion.path_, key=lambda p: p[1])[0]
        plain = Stacking(strengths=[30.0, 300.0]).fit(s.P, s.y, groups=s.groups)
        logs, losses = np.log(0.99 * s.P.astype(float) + 0.01 / 3), []
        for strength in (300.0, 30.0):
            loss = 0.0
            for fit, rest in group_folds(s.y, s.groups, 5, 0):
                pool = next(full_path(logs[:, fit], s.y[fit], [strength]))
                loss += log_loss(s.y[rest], pool.fuse(s.P[:, rest])) * len(rest) / 60
            losses.append(loss)
        np.testing.assert_allclose([loss for _, loss in plain.path_], losses, atol=1e-4)

    def test_who_lacks_a_clip_says_what_the_others_say(self, simulate):
        s = simulate(M=3, N=60)
        valid = s.valid.copy()
        valid[0, :20], valid[:, 50] = False, False
        P = s.P.copy()
        logs = np.log(0.99 * s.P[1:, :20].astype(float) + 0.01 / 3).mean(axis=0)
        filled = (np.exp(logs) - 0.01 / 3) / 0.99
        fusion = self.make().fit(P, s.y, valid)
        p = fusion.predict_proba(P, valid)
        pool = LogPool.of(np.array(fusion.log_pool_.coefficients), np.array(fusion.log_pool_.biases))
        np.testing.assert_allclose(p[:20], pool.fuse(np.stack([filled, *s.P[1:, :20]])), atol=1e-9)
        np.testing.assert_allclose(p[50], 1 / 3)
        others = np.arange(60) != 50
        alone = self.make().fit(P[:, others], s.y[others], valid[:, others])
        np.testing.assert_allclose(alone.weights_, fusion.weights_, atol=1e-6)

    def test_bad_parameters(self, simulate):
        s = simulate()
        for strengths in ([], 3, [0.0], ["a"]):
            with pytest.raises(WrongUse, match="strengths as a list of numbers above 0, but got strengths="):
                Stacking(strengths=strengths).fit(s.P, s.y)
        with pytest.raises(WrongUse, match="2 folds or more, but got folds=1"):
            Stacking(folds=1).fit(s.P, s.y)


class TestRestrictedStacking(Contract):
    symmetric = False  # up to the optimiser's tolerance only

    def make(self, **params):
        return Stacking(**({"strengths": (1.0, 100.0), "restricted": True} | params))

    def test_identical_members_one_class_only_and_fewer_clips_than_classes(self, simulate):
        s = simulate(M=1, N=4, C=7)
        P = np.repeat(s.P, 3, axis=0)
        strong = self.make(strengths=[1e9]).fit(P, s.y)
        np.testing.assert_allclose(strong.predict_proba(P), 0.99 * s.P[0] + 0.01 / 7, atol=1e-5)
        assert self.make().fit(P, np.zeros(4, int)).weights_.shape == (3, 7)

    def test_a_member_speaks_for_the_class_it_names_alone(self, simulate):
        s = simulate(M=3, N=300)
        s.P[0] **= 3
        s.P[0, :, 1] *= 9
        s.P[0] /= s.P[0].sum(axis=1, keepdims=True)
        fusion = self.make().fit(s.P, s.y)
        assert fusion.fit_score_ > UniformAverage().fit(s.P, s.y).fit_score_
        assert fusion.log_pool_.biases[1] < min(fusion.log_pool_.biases[0], fusion.log_pool_.biases[2])
        coefficients = np.array(fusion.log_pool_.coefficients)
        assert (coefficients[:, ~np.eye(3, dtype=bool)] == 0).all() and (coefficients >= 0).all()

    def test_two_classes_and_one_member_are_a_logistic_regression(self, simulate):
        s = simulate(M=1, N=400, C=2, skill=(1.0, 1.5))
        fusion = self.make(strengths=[1e-6]).fit(s.P, s.y)
        logs = np.log(0.99 * s.P[0].astype(float) + 0.005)
        features = logs * [-1, 1]  # one coefficient for each class's own log-probability
        plain = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000).fit(features, s.y)
        np.testing.assert_allclose(fusion.predict_proba(s.P), plain.predict_proba(features), atol=2e-3)

    def test_gradient(self, simulate):
        s = simulate(M=3, N=40)
        by_class = np.log(s.P.astype(float)).transpose(2, 0, 1)
        at = np.random.default_rng(0).random(12)
        error = check_grad(
            lambda a: restricted_loss(a.reshape(4, 3), by_class, s.y)[0],
            lambda a: restricted_loss(a.reshape(4, 3), by_class, s.y)[1].ravel(),
            at,
        )
        assert error < 1e-3
