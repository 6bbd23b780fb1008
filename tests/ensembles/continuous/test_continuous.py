"""Concordance, fusion of continuous outputs, and its estimate."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.base import clone

from ensembles.continuous import (
    ContinuousAverage,
    ContinuousBest,
    ContinuousFusion,
    concordance,
    concordance_interval,
)
from ensembles.continuous.evaluate import evaluate, out_of_fold
from ensembles.continuous.objective import Objective
from ensembles.continuous.recordings import gather, to_length
from features.errors import EmofuseError


def plain_ccc(y, p):
    n = len(y)
    my, mp = sum(y) / n, sum(p) / n
    cov = vy = vp = 0.0
    for a, b in zip(y, p, strict=True):
        cov += (a - my) * (b - mp) / n
        vy += (a - my) ** 2 / n
        vp += (b - mp) ** 2 / n
    return 2 * cov / (vy + vp + (my - mp) ** 2)


@pytest.fixture
def curves():
    """Labels and members of different skill, bias and spread; recordings of different length."""

    def make(M=4, D=2, seed=0, lengths=(40, 70, 25, 55, 60, 33)):
        rng = np.random.default_rng(seed)
        T = sum(lengths)
        Y = np.cumsum(rng.normal(size=(T, D)), axis=0) / 5
        noise = rng.uniform(0.3, 2, size=(M, 1, D)) * rng.normal(size=(M, T, D))
        P = rng.uniform(0.4, 1.2, size=(M, 1, D)) * Y + noise + rng.normal(0, 0.3, size=(M, 1, D))
        group = np.repeat([f"r{k}" for k in range(len(lengths))], lengths)
        return SimpleNamespace(P=P, Y=Y, group=group, valid=np.ones((M, T), bool))

    return make


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.floats(-1e3, 1e3), st.floats(0.1, 10), st.integers(0, 10**6))
def test_concordance_is_the_plain_formula(T, shift, scale, seed):
    rng = np.random.default_rng(seed)
    y, p = rng.normal(size=T), scale * rng.normal(size=T) + shift
    assert concordance(y, p) == pytest.approx(plain_ccc(y, p), abs=1e-9)
    assert concordance(y, p) == pytest.approx(concordance(p, y))
    assert -1 <= concordance(y, p) <= 1
    assert concordance(y, y) == pytest.approx(1)
    # Shifted and scaled alike, nothing changes, far from 0 too.
    assert concordance(3 * y + 1e6, 3 * p + 1e6) == pytest.approx(concordance(y, p), abs=1e-6)


def test_concordance_punishes_bias_and_spread():
    y = np.array([0.0, 1, 2, 3])
    assert concordance(y, y + 1) == pytest.approx(2 * 1.25 / (2.5 + 1))
    assert concordance(y, 2 * y - 1.5) == pytest.approx(2 * 2.5 / (1.25 + 5))
    assert concordance(y, -y + 3) == pytest.approx(-1)


@pytest.mark.parametrize("y, p", [([1, 2, 3], [2, 2, 2]), ([2, 2], [1, 5]), ([0.1] * 3, [0.1] * 3), ([4], [4])])
def test_concordance_without_variation_is_zero(y, p):
    assert concordance(np.array(y), np.array(p)) == 0


def test_concordance_refuses_what_it_cannot_score():
    with pytest.raises(EmofuseError, match="finite numbers, but prediction 1 is nan"):
        concordance(np.array([0.0, 1]), np.array([0, np.nan]))
    with pytest.raises(EmofuseError, match="label 0 is inf"):
        concordance(np.array([np.inf, 1]), np.array([0, 1]))
    for y, p in (([1.0, 2], [1.0]), ([], []), ([[1.0]], [[1.0]])):
        with pytest.raises(EmofuseError, match="one shape"):
            concordance(np.array(y), np.array(p))


def test_interval_resamples_whole_recordings(curves):
    s = curves()
    y, p = s.Y[:, 0], s.P[0, :, 0]
    interval = concordance_interval(y, p, s.group)
    assert interval.low < concordance(y, p) < interval.high
    names = np.unique(s.group)
    rng = np.random.default_rng(1)
    values = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(s.group == name) for name in rng.choice(names, len(names))])
        values.append(concordance(y[rows], p[rows]))
    assert [interval.low, interval.high] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.02)
    assert concordance_interval(y, p, ["one"] * len(y)) is None
    paired = concordance_interval(y, p, s.group, p)
    assert (paired.low, paired.high) == (0, 0)


@pytest.mark.parametrize("recalibrate", [False, True])
@pytest.mark.parametrize("lacking", [False, True])
def test_gradient_is_exact(curves, recalibrate, lacking):
    s = curves(M=3, D=1)
    valid = s.valid.copy()
    if lacking:
        valid[0, :40], valid[1, 40:80] = False, False
    y = (s.Y[:, 0] - s.Y[:, 0].mean()) / s.Y[:, 0].std()
    objective = Objective.of(s.P[:, :, 0], y, valid, recalibrate)
    w = np.array([0.2, 0.5, 0.3])
    _, gradient = objective.value_and_gradient(w)
    for a, b in ((0, 1), (1, 2)):
        step = np.zeros(3)
        step[a], step[b] = 1e-6, -1e-6
        numeric = (objective.value(w + step) - objective.value(w - step)) / 2e-6
        assert gradient[a] - gradient[b] == pytest.approx(numeric, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_no_point_of_a_fine_grid_is_better(curves, seed):
    s = curves(M=3, D=2, seed=seed)
    fusion = ContinuousFusion().fit(s.P, s.Y)
    assert fusion.weights_.shape == (3, 2)
    assert fusion.weights_.min() >= 0
    assert fusion.weights_.sum(axis=0) == pytest.approx(1)
    steps = np.linspace(0, 1, 41)
    for d in range(2):
        grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
        best = max(concordance(s.Y[:, d], np.array(w) @ s.P[:, :, d]) for w in grid)
        assert fusion.fit_score_[d] >= best - 1e-9
        assert fusion.fit_score_[d] == pytest.approx(concordance(s.Y[:, d], fusion.predict(s.P)[:, d]))
    assert (fusion.fit_score_ >= ContinuousBest().fit(s.P, s.Y).fit_score_ - 1e-12).all()
    assert (fusion.fit_score_ >= ContinuousAverage().fit(s.P, s.Y).fit_score_ - 1e-12).all()


@pytest.mark.parametrize("seed", range(3))
def test_recalibrated_weights_are_those_of_non_negative_least_squares(curves, seed):
    s = curves(M=8, D=1, seed=seed)
    fusion = ContinuousFusion(recalibrate=True).fit(s.P, s.Y)
    X, y = s.P[:, :, 0].T, s.Y[:, 0]
    exact, _ = nnls(X - X.mean(axis=0), y - y.mean())
    assert fusion.weights_[:, 0] == pytest.approx(exact / exact.sum(), abs=1e-3)
    assert fusion.fit_score_[0] == pytest.approx(np.corrcoef(X @ exact, y)[0, 1], abs=1e-9)


def test_equal_fits_are_equal_to_the_bit(curves):
    s = curves()
    first = ContinuousFusion().fit(s.P, s.Y)
    assert (clone(first).fit(s.P, s.Y).weights_ == first.weights_).all()


def test_weights_do_not_depend_on_the_unit_of_labels(curves):
    s = curves()
    weights = ContinuousFusion().fit(s.P, s.Y).weights_
    scaled = ContinuousFusion().fit(1000 * s.P + 5000, 1000 * s.Y + 5000).weights_
    assert scaled == pytest.approx(weights, abs=1e-4)


def test_recalibration_mends_bias_and_spread(curves):
    s = curves(M=3)
    P = 0.2 * s.P + 4
    raw, mended = (ContinuousFusion(recalibrate=on).fit(P, s.Y) for on in (False, True))
    assert (mended.fit_score_ > raw.fit_score_ + 0.1).all()
    fused = mended.predict(P)
    assert fused.mean(axis=0) == pytest.approx(s.Y.mean(axis=0))
    assert fused.std(axis=0) == pytest.approx(s.Y.std(axis=0))
    pearson = [np.corrcoef(fused[:, d], s.Y[:, d])[0, 1] for d in range(2)]
    assert mended.fit_score_ == pytest.approx(pearson)
    assert (raw.scale_ == 1).all() and (raw.offset_ == 0).all()


@pytest.mark.parametrize("method", [ContinuousAverage, ContinuousBest])
def test_rivals_are_recalibrated_alike(curves, method):
    s = curves()
    mended = clone(method(recalibrate=True)).fit(0.1 * s.P - 3, s.Y)
    assert (mended.fit_score_ > method().fit(0.1 * s.P - 3, s.Y).fit_score_).all()
    assert (mended.fit_score_ <= ContinuousFusion(recalibrate=True).fit(0.1 * s.P - 3, s.Y).fit_score_ + 1e-9).all()


def test_lacking_member_gives_its_weight_to_the_others(curves):
    s = curves(M=3, D=1)
    fusion = ContinuousFusion().fit(s.P, s.Y)
    fusion.weights_ = np.array([[0.5], [0.3], [0.2]])
    P, valid = s.P.copy(), s.valid.copy()
    valid[0, :40] = False  # a whole recording
    P[0, :40] = np.nan
    fused = fusion.predict(P, valid)
    assert fused[:40, 0] == pytest.approx(0.6 * P[1, :40, 0] + 0.4 * P[2, :40, 0])
    assert fused[40:] == pytest.approx(fusion.predict(s.P)[40:])
    valid[:, :40] = False
    assert fusion.predict(P, valid)[:40] == pytest.approx(np.full((40, 1), s.Y.mean()))
    fusion.weights_ = np.array([[1.0], [0], [0]])
    valid[1:, :40] = True
    assert fusion.predict(P, valid)[:40, 0] == pytest.approx(P[1:, :40, 0].mean(axis=0))


def test_fit_knows_what_members_lack(curves):
    s = curves(M=3, D=1, seed=3)
    valid = s.valid.copy()
    valid[0, :110], valid[1, 110:], valid[2, 60:90] = False, False, False
    valid[:, :5] = False
    fusion = ContinuousFusion().fit(s.P, s.Y, valid)
    rows = valid.any(axis=0)
    rng = np.random.default_rng(0)
    other = clone(fusion).fit(s.P, s.Y, valid)
    for w in rng.dirichlet(np.ones(3), 300):
        other.weights_ = w[:, None]
        assert concordance(s.Y[rows, 0], other.predict(s.P, valid)[rows, 0]) <= fusion.fit_score_[0] + 1e-6
    valid[2] = False
    assert ContinuousFusion().fit(s.P, s.Y, valid).weights_[2, 0] == 0
    per_dimension = ContinuousFusion().fit(s.P, s.Y, valid[:, :, None])
    assert per_dimension.weights_ == pytest.approx(ContinuousFusion().fit(s.P, s.Y, valid).weights_)


def test_works_with_one_useless_and_identical_members(curves):
    s = curves(M=1, D=1)
    assert ContinuousFusion().fit(s.P, s.Y).weights_.tolist() == [[1.0]]
    twins = np.concatenate([s.P, s.P])
    assert ContinuousFusion().fit(twins, s.Y).fit_score_ == pytest.approx(ContinuousFusion().fit(s.P, s.Y).fit_score_)
    for recalibrate in (False, True):
        constant = ContinuousFusion(recalibrate).fit(np.zeros_like(s.P), s.Y)
        assert constant.fit_score_.tolist() == [0]
        assert np.isfinite(constant.predict(np.zeros_like(s.P))).all()
    against = ContinuousFusion().fit(-s.P, s.Y)
    assert against.fit_score_[0] < 0


def test_bad_input_is_told(curves):
    s = curves(M=2, D=1)

    def fails(message, P=s.P, Y=s.Y, valid=None, groups=None):
        with pytest.raises(EmofuseError, match=re.escape(message)):
            ContinuousFusion().fit(P, Y, valid, groups)

    hole = s.P.copy()
    hole[1, 7, 0] = np.nan
    fails("Member 1 predicts nan at sample 7 in dimension 0", P=hole)
    fails("(members, samples, dimensions)", P=s.P[0])
    fails("labels of shape (283, 1)", Y=s.Y[:9])
    fails("The label of sample 0 in dimension 0 is nan", Y=np.full_like(s.Y, np.nan))
    fails("labels that vary", Y=np.ones_like(s.Y))
    fails("`valid` of shape", valid=s.valid[:, :4])
    fails("one group per sample", groups=["a"])
    with pytest.raises(EmofuseError, match="2 members in 1 dimensions as in the fit, but got 1 in 1"):
        ContinuousFusion().fit(s.P, s.Y).predict(s.P[:1])


def test_lengths_follow_the_labels():
    values = np.array([[1.0], [2], [3]])
    assert to_length(values, 2).ravel().tolist() == [1, 2]
    assert to_length(values, 5).ravel().tolist() == [1, 2, 3, 3, 3]


def test_gathering_aligns_and_marks_what_is_missing():
    labels = {"b": np.array([[1.0], [2]]), "a": np.array([[3.0], [4], [5]]), "unseen": np.zeros((4, 1))}
    predictions = {"m2": {"a": np.array([[7.0]])}, "m1": {"a": np.ones((9, 1)), "b": np.array([[8.0], [np.nan]])}}
    together = gather(predictions, labels, ("arousal",), {"a": "g", "b": "g"})
    assert together.members == ("m1", "m2")
    assert together.recording.tolist() == ["a", "a", "a", "b", "b"]
    assert set(together.group) == {"g"}
    assert together.Y.ravel().tolist() == [3, 4, 5, 1, 2]
    assert together.P[1, :3].ravel().tolist() == [7, 7, 7]
    assert together.valid[:, :, 0].tolist() == [[True] * 4 + [False], [True] * 3 + [False] * 2]
    with pytest.raises(EmofuseError, match="labels are of a, predictions of none"):
        gather({"m": {}}, {"a": np.zeros((2, 1))}, ("arousal",))


def _recordings(s):
    by_member = {f"m{m}": {name: s.P[m, s.group == name] for name in np.unique(s.group)} for m in range(len(s.P))}
    return gather(by_member, {name: s.Y[s.group == name] for name in np.unique(s.group)}, ("arousal", "valence"))


def test_nested_predictions_come_from_other_recordings(curves):
    recordings = _recordings(curves())
    fused = out_of_fold(ContinuousFusion, recordings, folds=6)
    rows = recordings.recording == "r2"
    alone = ContinuousFusion().fit(recordings.P[:, ~rows], recordings.Y[~rows])
    assert fused[rows] == pytest.approx(alone.predict(recordings.P[:, rows]))


def test_evaluation_shows_fit_and_nested_of_all(curves):
    result = evaluate(_recordings(curves()), folds=3)
    assert (result.n_recordings, result.n_groups, result.n_samples, result.folds) == (6, 6, 283, 3)
    for one in result.dimensions:
        assert one.scores["fusion"].fit >= one.scores["best_single"].fit
        assert one.scores["average"].fit == pytest.approx(one.scores["average"].nested)
        assert one.scores["fusion"].interval.low < one.scores["fusion"].nested < one.scores["fusion"].interval.high
        assert one.against_single == pytest.approx(one.scores["fusion"].nested - one.scores["best_single"].nested)
        assert sum(one.weights.values()) == pytest.approx(1)
        assert one.dimension in one.verdict and one.best_single in one.verdict


def test_one_recording_has_no_nested_estimate(curves):
    result = evaluate(_recordings(curves(lengths=(50,))))
    assert result.folds == 0
    assert result.dimensions[0].scores["fusion"].nested is None
    assert "one group" in result.dimensions[0].verdict
    with pytest.raises(EmofuseError, match="2 folds or more, but got 1"):
        evaluate(_recordings(curves()), folds=1)


def test_a_set_where_nothing_helps_says_so(curves):
    s = curves(M=1)
    noise = np.random.default_rng(0).normal(size=(3, *s.Y.shape))
    s.P = np.concatenate([s.Y[None], noise])
    result = evaluate(_recordings(s), folds=3)
    assert "does not beat the best single member, m0" in result.dimensions[0].verdict
