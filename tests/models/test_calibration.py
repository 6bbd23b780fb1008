import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from models.calibration import best_temperature, decisions, folds, learn_temperature
from models.svm import svm_pipeline


@given(
    y=st.lists(st.integers(0, 3), min_size=2, max_size=30),
    speakers=st.one_of(st.none(), st.integers(1, 8)),
    seed=st.integers(0, 5),
)
def test_every_fold_trains_on_every_class(y, speakers, seed):
    y = np.array(y)
    groups = None if speakers is None else tuple(str(i % speakers) for i in range(len(y)))
    parts = folds(y, groups, seed)
    tested = np.concatenate([test for _, test in parts]) if parts else np.array([], int)
    classes, counts = np.unique(y, return_counts=True)
    if groups is None:
        assert sorted(tested) == list(np.flatnonzero(np.isin(y, classes[counts > 1])))
    assert len(parts) <= 5 and len(set(tested)) == len(tested)
    for train, test in parts:
        assert set(y[train]) == set(y)
        assert not set(train) & set(test)


def test_a_speakers_clips_stay_together():
    y, groups = np.tile([0, 1, 2], 20), tuple(np.repeat(list("abcdefghij"), 6))
    parts = folds(y, groups, 0)
    assert len(parts) == 5
    for train, test in parts:
        assert not {groups[i] for i in train} & {groups[i] for i in test}


def test_a_class_of_one_speaker_is_spread_instead():
    y, groups = np.array([0, 0, 1, 1] * 3 + [2, 2]), ("a", "b") * 6 + ("c", "c")
    assert all({0, 1, 2} == set(y[train]) for train, _ in folds(y, groups, 0))


def test_temperature_of_known_logits_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5000, 4)) * 2
    y = np.array([rng.choice(4, p=p) for p in softmax(logits, axis=1)])
    assert best_temperature(logits * 7, y) == pytest.approx(7, rel=0.1)


def test_few_right_decisions_are_not_certainty():
    values, y = np.eye(2).repeat(4, axis=0), np.repeat([0, 1], 4)
    p = softmax(values / best_temperature(values, y), axis=1)
    assert p.max() == pytest.approx(9 / 10, abs=0.01)


def test_lone_clips_everywhere_leave_temperature_1():
    X = np.random.default_rng(0).normal(size=(3, 4))
    assert learn_temperature(svm_pipeline(4, kernel="rbf", C=1.0), X, np.arange(3), None, 0) == 1.0


def test_two_classes_have_two_columns():
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    for kernel in ("linear", "rbf"):
        values = decisions(svm_pipeline(4, kernel=kernel, C=1.0).fit(X, y), X)
        np.testing.assert_allclose(values[:, 0], -values[:, 1], atol=0.01)
