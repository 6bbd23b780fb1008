"""The default: which fusion is taken, and members that are near copies."""

import numpy as np
import pytest
from fusion_contract import Contract

from ensembles.fitting.arrays import held_out_of_arrays
from ensembles.fitting.fit import fit_on
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION
from ensembles.fusion import AutoFusion, BestSingle, SharedVotes, UniformAverage, make_fusion
from ensembles.fusion.base import Problem
from ensembles.fusion.option import MENU, demanded
from ensembles.fusion.votes import equal_votes
from ensembles.records.stored import read_ensemble, write_ensemble
from features.errors import WrongUse
from features.files import read_json, write_json


def member(rng, y, skill, C=7):
    """Scores (N, C) of a model of its own, and their logits."""
    logits = rng.normal(size=(len(y), C))
    logits[np.arange(len(y)), y] += skill
    return logits


def scores(logits):
    P = np.exp(np.array(logits))
    return (P / P.sum(axis=2, keepdims=True)).astype(np.float32)


def copies_of(rng, logits, n, noise):
    return [logits + noise * rng.normal(size=logits.shape) for _ in range(n)]


def near_copies(seed, N=300):
    """One strong member, thirteen weak copies of one model, one other; labels, and a group per ten clips."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, N)
    weak = copies_of(rng, member(rng, y, 0.4), 13, 0.4)
    return scores([member(rng, y, 1.9), *weak, member(rng, y, 0.5)]), y, [f"g{n // 10}" for n in range(N)]


class TestAuto(Contract):
    symmetric = False  # draws differ

    def make(self, **params):
        return AutoFusion(draws=20, folds=3, **params)

    def test_bad_parameters(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match="2 folds and 1 draw or more, but got folds=1 and draws=200"):
            AutoFusion(folds=1).fit(s.P, s.y)
        with pytest.raises(WrongUse, match="auto bags and shrinks by itself; leave bagged and shrunk out"):
            make_fusion("auto", {"bagged": 3})


class TestSharedVotes(Contract):
    def make(self, **params):
        return SharedVotes(**params)

    def test_ten_segments_of_one_convnet_share_a_vote(self):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 7, 400)
        convnet = copies_of(rng, member(rng, y, 0.6), 10, 0.5)
        P = scores([*convnet, member(rng, y, 1.2), member(rng, y, 1.2)])
        fusion = SharedVotes().fit(P[:, :200], y[:200])
        assert len(set(fusion.clusters_[:10])) == 1 and len(set(fusion.clusters_)) == 3
        np.testing.assert_allclose(fusion.weights_[:, 0], [1 / 30] * 10 + [1 / 3] * 2)
        held_out = [f.fit(P[:, :200], y[:200]).predict(P[:, 200:]) == y[200:] for f in (fusion, UniformAverage())]
        assert held_out[0].mean() > held_out[1].mean() + 0.05

    def test_members_that_are_all_right_are_no_copies(self, simulate):
        s = simulate(M=5, N=300, skill=(4.0, 4.0))
        assert len(set(SharedVotes().fit(s.P, s.y).clusters_)) == 5

    def test_a_useless_member_gets_no_vote_of_its_own_to_shrink_toward(self):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 7, 300)
        alike = copies_of(rng, member(rng, y, 2.0), 6, 0.5)
        P = scores([*alike, member(rng, y, 0.0), member(rng, y, 0.0), member(rng, y, 0.0)])
        valid = np.ones(P.shape[:2], bool)
        np.testing.assert_allclose(equal_votes(Problem(P, y, valid, "accuracy", "share")), 1 / 9)


@pytest.mark.parametrize("seed", range(3))
def test_auto_reaches_the_strong_member_among_near_copies(seed):
    P, y, groups = near_copies(seed)
    new, new_y, _ = near_copies(seed + 100, 3000)
    auto = AutoFusion(draws=50).fit(P, y, groups=groups)
    reached, single, average = (
        (fusion.predict(new) == new_y).mean() for fusion in (auto, BestSingle().fit(P, y), UniformAverage().fit(P, y))
    )
    assert reached >= single - 0.01 and reached > average + 0.15
    assert tuple(option.name for option in auto.choice_) == tuple(MENU)
    plain = auto.choice_[0]
    (chosen,) = (option for option in auto.choice_ if option.chosen)
    assert plain.gain == plain.error == 0 and chosen.gain == pytest.approx(chosen.value - plain.value)
    assert chosen.gain > demanded("accuracy", chosen.error)
    assert all(option.interval.low < option.value < option.interval.high for option in auto.choice_)


def test_of_members_that_are_all_alike_the_plain_average_is_taken_or_little_else(simulate):
    s, new = simulate(M=6, N=200, skill=(0.8, 0.8)), simulate(M=6, N=3000, seed=1, skill=(0.8, 0.8))
    auto = AutoFusion(draws=50).fit(s.P, s.y, groups=s.groups)
    assert auto.fit_score_ > 0.5
    average = UniformAverage().fit(s.P, s.y)
    assert (auto.predict(new.P) == new.y).mean() >= (average.predict(new.P) == new.y).mean() - 0.01


def test_of_few_clips_a_gain_must_be_more_than_one_standard_error():
    assert demanded("accuracy", 0.0) == 0
    assert demanded("accuracy", 0.02) == pytest.approx(0.02)
    assert demanded("accuracy", 0.09) == pytest.approx(0.27)
    assert demanded("log_loss", 0.09) == pytest.approx(0.09)


def test_of_thirty_clips_and_equal_members_nothing_but_the_plain_average_is_taken():
    rng = np.random.default_rng(0)
    for _ in range(5):
        y = rng.integers(0, 7, 30)
        auto = AutoFusion(draws=20).fit(scores([member(rng, y, 1.0) for _ in range(8)]), y)
        assert [option.name for option in auto.choice_ if option.chosen] == ["uniform"]


def test_the_choice_is_made_anew_in_each_nested_fold_and_stored(tmp_path, monkeypatch):
    P, y, groups = near_copies(0, 60)
    held_out = held_out_of_arrays(P, y, groups=groups)
    fits, plain = [], AutoFusion._find_weights

    def counted(self, problem, groups):
        fits.append(set(groups))
        return plain(self, problem, groups)

    monkeypatch.setattr(AutoFusion, "_find_weights", counted)
    e = fit_on(held_out, FitOptions("auto", params={"draws": 5}, selection=NO_SELECTION, folds=3))
    assert [len(seen) for seen in fits] == [6, 4, 4, 4]
    assert [option.name for option in e.choice] == list(MENU) and sum(option.chosen for option in e.choice) == 1
    write_ensemble(e, tmp_path / "ensemble.json")
    back = read_ensemble(tmp_path / "ensemble.json")
    assert back.choice == e.choice and back.chosen_method == e.chosen_method
    old = read_json(tmp_path / "ensemble.json", "an ensemble")
    for row in old["choice"]:
        row["behind"] = 0.5 - row.pop("gain")
    write_json(tmp_path / "ensemble.json", old)
    gains = [option.gain for option in read_ensemble(tmp_path / "ensemble.json").choice]
    assert gains == pytest.approx([option.gain for option in e.choice])
    assert e.chosen_method == "auto: " + next(option.name for option in e.choice if option.chosen)
