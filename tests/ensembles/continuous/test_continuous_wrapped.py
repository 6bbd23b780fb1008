"""Bagged and shrunk continuous fusions, and the file that keeps one."""

import re

import numpy as np
import pytest
from sklearn.base import clone

from ensembles import ContinuousAverage, ContinuousBagged, ContinuousFusion, ContinuousShrunk
from ensembles.continuous.evaluate import evaluate
from ensembles.continuous.recordings import gather
from ensembles.continuous.stored import read_continuous, write_continuous
from features.errors import EmofuseError, WrongUse
from features.files import read_json, write_json


@pytest.fixture
def curves():
    """(P, Y, group) of four members in two dimensions; in the second they are equally good."""
    rng = np.random.default_rng(0)
    lengths = (40, 70, 25, 55, 60, 33)
    group = np.repeat([f"r{k}" for k in range(6)], lengths)
    Y = np.cumsum(rng.normal(size=(len(group), 2)), axis=0) / 5
    noise = np.stack([[0.3, 1], [2, 1], [2, 1], [2, 1]])[:, None] * rng.normal(size=(4, *Y.shape))
    return Y + noise, Y, group


def test_bagging_is_the_mean_over_bootstrap_samples_of_groups(curves):
    P, Y, group = curves
    bagged = clone(ContinuousBagged(ContinuousFusion(recalibrate=True), n=3, seed=1)).fit(P, Y, None, group)
    assert bagged.bag_weights_.shape == (3, 4, 2)
    assert bagged.weights_ == pytest.approx(bagged.bag_weights_.mean(axis=0))
    assert bagged.weights_.sum(axis=0) == pytest.approx(1)
    fused = bagged.predict(P)
    assert fused.std(axis=0) == pytest.approx(Y.std(axis=0))
    alone = ContinuousFusion().fit(P, Y).weights_
    assert ContinuousBagged(ContinuousFusion(), n=2).fit(P, Y).weights_ == pytest.approx(alone)


def test_shrinkage_goes_as_far_as_inner_folds_advise(curves):
    P, Y, group = curves
    shrunk = clone(ContinuousShrunk(ContinuousFusion())).fit(P, Y, None, group)
    plain = ContinuousFusion().fit(P, Y).weights_
    assert shrunk.weights_ == pytest.approx((1 - shrunk.strength_) * plain + shrunk.strength_ / 4)
    assert shrunk.strength_[0] < 0.5 < shrunk.strength_[1]
    one_group = ContinuousShrunk(ContinuousFusion()).fit(P, Y)
    assert one_group.weights_ == pytest.approx(ContinuousAverage().fit(P, Y).weights_)


def test_wrong_use_is_told(curves):
    P, Y, group = curves
    with pytest.raises(WrongUse, match="got n=0"):
        ContinuousBagged(ContinuousFusion(), n=0).fit(P, Y, None, group)
    with pytest.raises(WrongUse, match="got folds=1"):
        ContinuousShrunk(ContinuousFusion(), folds=1).fit(P, Y, None, group)


def test_a_stored_fusion_predicts_the_same_and_keeps_its_scores(curves, tmp_path):
    P, Y, group = curves
    names = np.unique(group)
    by_member = {f"m{m}": {name: P[m, group == name] for name in names} for m in range(4)}
    recordings = gather(by_member, {name: Y[group == name] for name in names}, ("arousal", "valence"))
    result = evaluate(recordings, folds=3, recalibrate=True, bagged=2, shrunk=True)
    path = tmp_path / "new" / "fusion.json"
    write_continuous(result, path)
    again = read_continuous(path)
    assert again == result
    assert again.params == {"recalibrate": True, "bagged": 2, "shrunk": True}
    assert again.rows["fit"].startswith("283 samples of 6 recordings") and "without its group" in again.rows["nested"]
    inner = ContinuousBagged(ContinuousFusion(recalibrate=True), 2)
    fitted = ContinuousShrunk(inner).fit(recordings.P, recordings.Y, None, recordings.group)
    assert again.predict(P) == pytest.approx(fitted.predict(P))
    with pytest.raises(EmofuseError, match="4 members in 2 dimensions, but got 1 in 2"):
        again.predict(P[:1])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"schema_version": 2}, "of schema version 1, but got kind 'continuous' of version 2"),
        ({"kind": "classes"}, "got kind 'classes'"),
        ({"members": 3}, "members: expected a valid tuple, but got 3; write it again"),
        ({"members": ["other"]}, "expected a non-negative weight of arousal for each of the members other"),
    ],
)
def test_broken_files_are_told(curves, tmp_path, change, message):
    P, Y, group = curves
    labels = {name: Y[group == name] for name in np.unique(group)}
    result = evaluate(gather({"m": {name: P[0, group == name] for name in labels}}, labels, ("arousal", "valence")))
    path = tmp_path / "fusion.json"
    write_continuous(result, path)
    write_json(path, read_json(path, "") | change)
    with pytest.raises(EmofuseError, match=re.escape(message)):
        read_continuous(path)
