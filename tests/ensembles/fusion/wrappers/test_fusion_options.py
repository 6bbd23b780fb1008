"""The options of every method: bagging, shrinkage, temperatures; and how an ensemble keeps them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fusion_contract import Contract
from sklearn.base import clone

from ensembles.fitting.fit import fit_ensemble
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION, Selected
from ensembles.fusion import (
    METHODS,
    Bagged,
    BestSingle,
    DecisionFusion,
    GreedySelection,
    Shrunk,
    Stacking,
    TemperatureScaling,
    UniformAverage,
    make_fusion,
)
from ensembles.fusion.pooling import LogPool, at_temperatures
from ensembles.predictions.sets import read_run
from ensembles.records.stored import read_ensemble, write_ensemble
from features.errors import EmofuseError, WrongUse
from features.files import read_json, write_json

QUICK = {
    "decision": {"draws": 50, "sigma_min": 0.3},
    "lines": {"restarts": 0, "rounds": 1},
    "stacking": {"strengths": [9]},
    "auto": {"draws": 5, "folds": 2},
}


class TestBagged(Contract):
    def make(self, **params):
        return Bagged(GreedySelection(**params), n=3)

    def test_is_the_mean_over_bootstraps_of_groups(self, simulate):
        s = simulate()
        fusion = Bagged(GreedySelection(), n=4, seed=1).fit(s.P, s.y, groups=s.groups)
        assert fusion.bag_weights_.shape == (4, 4, 3) and len(np.unique(fusion.bag_weights_, axis=0)) > 1
        np.testing.assert_allclose(fusion.weights_, fusion.bag_weights_.mean(axis=0))
        one_group = Bagged(GreedySelection(), n=2).fit(s.P, s.y, groups=["g"] * 80)
        np.testing.assert_allclose(one_group.weights_, GreedySelection().fit(s.P, s.y).weights_)

    def test_of_stacking_averages_the_logits(self, simulate):
        s = simulate()
        fusion = Bagged(Stacking(strengths=[1]), n=1, seed=3).fit(s.P, s.y)
        rows = np.random.default_rng(3).integers(80, size=80)
        alone = Stacking(strengths=[1]).fit(s.P[:, rows], s.y[rows])
        np.testing.assert_allclose(fusion.predict_proba(s.P), alone.predict_proba(s.P))

    def test_bad_parameters(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match="at least 1 bootstrap sample, but got n=0"):
            Bagged(GreedySelection(), n=0).fit(s.P, s.y)
        with pytest.raises(WrongUse, match="put TemperatureScaling around it"):
            Bagged(TemperatureScaling(GreedySelection())).fit(s.P, s.y)


class TestShrunk(Contract):
    symmetric = False  # a member's place decides nothing, but sums over members round in another order

    def make(self, **params):
        return Shrunk(GreedySelection(**params), folds=3)

    def test_lies_between_the_fusion_and_equal_weights(self, simulate):
        s = simulate(N=40)
        fusion = Shrunk(GreedySelection()).fit(s.P, s.y, groups=s.groups)
        alone = GreedySelection().fit(s.P, s.y)
        end = {"equal": np.full((4, 3), 1 / 4), "best": BestSingle().fit(s.P, s.y).weights_}[fusion.anchor_]
        np.testing.assert_allclose(fusion.weights_, (1 - fusion.strength_) * alone.weights_ + fusion.strength_ * end)
        best = max(score for _, score in fusion.path_)
        assert len(fusion.path_) == 21 and fusion.strength_ == max(s for (_, s), score in fusion.path_ if score == best)

    def test_goes_toward_the_best_single_member_where_that_is_all_there_is(self, simulate):
        s = simulate(M=5, N=300, skill=(0.0, 0.0))
        s.P[2] = simulate(M=1, N=300, skill=(2.0, 2.0)).P[0]
        s.y[:] = simulate(M=1, N=300, skill=(2.0, 2.0)).y
        fusion = Shrunk(DecisionFusion(draws=100, sigma_min=0.3)).fit(s.P, s.y)
        assert fusion.anchor_ == "best" and fusion.strength_ > 0 and (fusion.weights_[2] > 0.5).all()

    def test_noise_is_shrunk_and_a_single_good_member_is_not(self, simulate):
        s = simulate(M=5, N=300, skill=(0.5, 0.5))
        assert Shrunk(DecisionFusion(draws=200, sigma_min=0.3)).fit(s.P, s.y).strength_ >= 0.5
        s.P[0] = 0.02 + 0.94 * np.eye(3)[s.y]
        s.P[1:, :, 0], s.P[1:, :, 1:] = 1, 0
        fusion = Shrunk(GreedySelection()).fit(s.P, s.y)
        assert fusion.anchor_ == "best" or fusion.strength_ < 1

    def test_stacking_is_shrunk_to_the_geometric_mean(self, simulate):
        s = simulate(skill=(0, 0))
        fusion = Shrunk(Stacking(strengths=[0.01]), steps=1).fit(s.P, s.y)
        if fusion.strength_ == 1 and fusion.anchor_ == "equal":
            assert fusion.log_pool_ == LogPool.geometric_mean(4, 3)

    def test_bad_parameters(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match="2 folds and 1 step or more, but got folds=1 and steps=10"):
            Shrunk(GreedySelection(), folds=1).fit(s.P, s.y)


class Interrupted(UniformAverage):
    """Ctrl-C comes in every fit from that number on."""

    fits, since = 0, 3

    def _find_weights(self, problem, groups):
        Interrupted.fits += 1
        self.interrupted_ = Interrupted.fits >= Interrupted.since
        return super()._find_weights(problem, groups)


def test_ctrl_c_within_options(simulate, monkeypatch):
    s = simulate()
    monkeypatch.setattr(Interrupted, "fits", 0)
    bagged = Bagged(Interrupted(), n=10).fit(s.P, s.y)
    assert bagged.interrupted_ and len(bagged.bag_weights_) == 3
    np.testing.assert_allclose(bagged.weights_, 1 / 4)
    for wrapped in (TemperatureScaling(Interrupted()), Selected(Interrupted(), ["e"] * 4)):
        assert wrapped.fit(s.P, s.y).interrupted_
    with pytest.raises(KeyboardInterrupt):
        Shrunk(Interrupted()).fit(s.P, s.y)
    monkeypatch.setattr(Interrupted, "fits", -3)
    assert Shrunk(Interrupted()).fit(s.P, s.y).interrupted_
    monkeypatch.setattr(Interrupted, "fits", -9)
    assert not Bagged(Interrupted(), n=10).fit(s.P, s.y).interrupted_


def test_options_keep_metric_and_rule_for_missing_members():
    fusion = Shrunk(Bagged(GreedySelection(metric="unweighted_accuracy", missing="uniform")))
    selected = Selected(fusion, ["e"])
    assert (selected.metric, selected.missing) == (fusion.metric, fusion.missing) == ("unweighted_accuracy", "uniform")


class TestTemperatureScaling(Contract):
    def make(self, **params):
        return TemperatureScaling(GreedySelection(**params))

    def test_identical_members_one_class_only_and_fewer_clips_than_classes(self, simulate):
        s = simulate(M=1, N=4, C=7)
        P = np.repeat(s.P, 3, axis=0)
        fusion = self.make().fit(P, s.y)
        scaled = at_temperatures(s.P, fusion.temperatures_[:1])[0]
        np.testing.assert_allclose(fusion.predict_proba(P), scaled, atol=1e-6)
        assert self.make().fit(P, np.zeros(4, int)).weights_.shape == (3, 7)

    def test_finds_the_temperature_of_an_overconfident_member(self, simulate):
        s = simulate(M=2, N=2000)
        honest = TemperatureScaling(UniformAverage()).fit(s.P, s.y, s.valid).temperatures_
        too_sure = at_temperatures(s.P, np.array([0.25, 1.0]))
        fusion = TemperatureScaling(UniformAverage()).fit(too_sure, s.y)
        np.testing.assert_allclose(fusion.temperatures_, honest * [4, 1], rtol=1e-2)

    def test_a_member_without_clips_stays_as_it_is(self, simulate):
        s = simulate(M=2)
        s.valid[1] = False
        assert self.make().fit(s.P, s.y, s.valid).temperatures_[1] == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_every_option(simulate, method):
    s = simulate(lacking=0.1)
    its_own = {} if method == "auto" else {"bagged": 2, "shrunk": True}  # auto bags and shrinks by itself
    fusion = make_fusion(method, QUICK.get(method, {}) | its_own | {"temperatures": True}, seed=3)
    assert isinstance(fusion, TemperatureScaling)
    assert (fusion.fusion if method == "auto" else fusion.fusion.fusion).seed == 3
    p = clone(fusion).fit(s.P, s.y, s.valid, s.groups).predict_proba(s.P, s.valid)
    assert p.shape == (80, 3) and np.isfinite(p).all()


def test_options_are_checked():
    with pytest.raises(WrongUse, match="parameter shrunk of the method greedy is true or false, but got 'yes'"):
        make_fusion("greedy", {"shrunk": "yes"})
    with pytest.raises(WrongUse, match=r"parameter bagged of the method greedy is a whole number, but got 1.5"):
        make_fusion("greedy", {"bagged": 1.5})
    with pytest.raises(WrongUse, match=r"Unknown parameter of the method greedy 'baged'.*Did you mean 'bagged'"):
        make_fusion("greedy", {"baged": 3})
    assert isinstance(make_fusion("greedy", {"bagged": 0, "shrunk": False}), GreedySelection)


@pytest.mark.parametrize(
    ("method", "params"),
    [("greedy", {"temperatures": True}), ("stacking", {"bagged": 2}), ("stacking", {"restricted": True})],
)
def test_an_ensemble_keeps_what_it_needs_to_predict(write_run, tmp_path, method, params):
    run = write_run(lacking=0.1)
    e = fit_ensemble(run, FitOptions(method, params=QUICK.get(method, {}) | params, selection=NO_SELECTION))
    write_ensemble(e, tmp_path / "ensemble.json")
    back = read_ensemble(tmp_path / "ensemble.json")
    assert (back.temperatures, back.log_pool) == (e.temperatures, e.log_pool) != (None, None)
    held_out = read_run(run).held_out
    places = {(m.entry, m.config_key): i for i, m in enumerate(held_out.members)}
    members = held_out.of_members([places[m.entry, m.config_key] for m in back.members])
    p = back.predict_proba(members.P, members.valid)
    assert e.scores["ensemble"]["fit"].accuracy == (p.argmax(1) == held_out.y).mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperatures": [1.0]}, r"expected 4 temperatures above 0, one per member, but got \(1\.0,\)"),
        ({"temperatures": [1, 1, 1, 0]}, "expected 4 temperatures above 0"),
        ({"log_pool": {"coefficients": [[[1]]], "biases": [0]}}, r"coefficients of shape \(4, 3, 3\)"),
        ({"log_pool": {"coefficients": [[[1]], []], "biases": [0]}}, "expected a log_pool"),
    ],
)
def test_bad_extras_are_told(write_run, tmp_path, change, message):
    path = tmp_path / "ensemble.json"
    write_ensemble(fit_ensemble(write_run(), FitOptions("uniform", selection=NO_SELECTION)), path)
    data = read_json(path, "")
    del data["temperatures"], data["log_pool"]  # as files were before there were any
    write_json(path, data)
    assert read_ensemble(path).temperatures is None
    write_json(path, data | change)
    with pytest.raises(EmofuseError, match=message):
        read_ensemble(path)


def test_methods_are_importable_from_ensembles_without_heavy_libraries():
    # In a process of its own: under pytest the name `ensembles` may stand for this folder of tests.
    code = (
        "import sys, ensembles\n"
        "assert 'numba' not in sys.modules\n"
        "assert all(isinstance(getattr(ensembles, name), type) for name in ensembles.__all__)\n"
        "from ensembles import DecisionFusion, Stacking\n"
        "assert not hasattr(ensembles, 'Fusionn')\n"
        "from ensembles import ContinuousFusion\n"
        "print(sorted({'torch', 'ray', 'cv2', 'librosa'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
