"""NaN and infinity are told, never turned into an answer: by the weighted sum, the log-pool, temperatures and fits."""

import re

import numpy as np
import pytest

from ensembles.continuous.fusion import fuse as fuse_continuous
from ensembles.fusion import METHODS, make_fusion
from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.decision import DecisionFusion
from ensembles.fusion.pooling import LogPool, at_temperatures, combine, fuse
from features.errors import EmofuseError

BAD = [np.nan, np.inf, -np.inf]
WEIGHTS = np.full((3, 2), 1 / 3)
POOL = LogPool.geometric_mean(3, 2)
WAYS = {
    "sum": lambda P, valid=None: fuse(P, WEIGHTS, valid),
    "uniform for the missing": lambda P, valid=None: fuse(P, WEIGHTS, valid, "uniform"),
    "log-pool": lambda P, valid=None: POOL.fuse(P, valid),
    "temperatures": lambda P, valid=None: combine(P, WEIGHTS, valid, temperatures=np.array([1.0, 2.0, 0.5])),
}


@pytest.fixture(name="P")
def _scores():
    return np.random.default_rng(0).dirichlet([1, 1], (3, 5)).astype(np.float32)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_scores_are_told_by_member_and_clip(P, way, bad):
    P[1, 3, 0] = bad
    with pytest.raises(EmofuseError, match=r"The scores of member 1 for clip 3 are \[-?(nan|inf), .*expected finite"):
        WAYS[way](P)
    some = np.ones((3, 5), bool)
    some[2, 0] = False
    with pytest.raises(EmofuseError, match=r"The scores of member 1 for clip 3"):
        WAYS[way](P, some)
    some[1, 3] = False
    assert np.isfinite(WAYS[way](P, some)).all(), "a member that lacks a clip may say anything there"


def test_a_score_of_weight_0_is_told_too(P):
    P[1, 3, 0] = np.nan
    with pytest.raises(EmofuseError, match="member 1 for clip 3"):
        fuse(P, np.array([[0.5, 0.5], [0, 0], [0.5, 0.5]]))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_weights_are_told(P, bad):
    weights = WEIGHTS.copy()
    weights[2, 1] = bad
    with pytest.raises(EmofuseError, match="needs finite weights and scores, but its weights are not all finite"):
        fuse(P, weights)
    with pytest.raises(EmofuseError, match="its weights are not all finite"):
        LogPool.of(np.full((3, 2, 2), bad), np.zeros(2)).fuse(P)
    with pytest.raises(EmofuseError, match=r"finite temperatures above 0, but got \[1.0, "):
        at_temperatures(P, np.array([1.0, bad, 1.0]))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("method", METHODS)
def test_no_method_fits_them(P, method, bad):
    P[1, 3, 0] = bad
    with pytest.raises(EmofuseError, match=r"The scores of member 1 for clip 3 are .*expected finite"):
        make_fusion(method).fit(P, np.array([0, 1, 0, 1, 0]))


def test_a_negative_score_is_seen_beside_a_missing_nan(P):
    P[0, 0] = np.nan
    P[2, 2] = 1.5, -0.5
    valid = np.ones((3, 5), bool)
    valid[0, 0] = False
    with pytest.raises(EmofuseError, match=re.escape("member 2 for clip 2 are [1.5, -0.5]")):
        make_fusion("uniform").fit(P, np.array([0, 1, 0, 1, 0]), valid)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_compiled_and_torch_searches_end_with_an_error(P, device):
    """What the checks of `fit` keep from them: neither screen may take a NaN for a clip that is decided."""
    P[1, 3] = np.nan
    problem = Problem(P, np.array([0, 1, 0, 1, 0]), np.ones((3, 5), bool), "accuracy", "share")
    with pytest.raises(EmofuseError, match="member 1 for clip 3"):
        DecisionFusion(draws=200, sigma_min=0.4, device=device)._find_weights(problem, None)


def test_weights_that_a_fit_found_are_looked_at(P):
    class Broken(Fusion):
        def _find_weights(self, problem, groups):
            return np.full((3, 2), np.nan)

    with pytest.raises(EmofuseError, match="Broken found weights that are not finite"):
        Broken().fit(P, np.array([0, 1, 0, 1, 0]))


@pytest.mark.parametrize("place", range(4))
def test_continuous_fusion_refuses_its_own_numbers(place):
    numbers = [np.full((2, 1), 0.5), np.ones(1), np.zeros(1), np.zeros(1)]
    P, valid = np.zeros((2, 4, 1)), np.ones((2, 4, 1), bool)
    assert (fuse_continuous(P, valid, *numbers) == 0).all()
    numbers[place] = numbers[place] * np.nan
    with pytest.raises(EmofuseError, match="finite weights, scales, offsets and mean labels"):
        fuse_continuous(P, valid, *numbers)
