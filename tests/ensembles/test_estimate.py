import numpy as np
import pytest

from ensembles.estimate import estimate, group_folds, out_of_fold
from ensembles.fusion import BestSingle, DecisionFusion, UniformAverage
from ensembles.predictions import HeldOut
from features.errors import EmofuseError


def held_out(s, groups=None):
    classes = tuple("abcdefg"[: s.P.shape[2]])
    return HeldOut((), classes, tuple(map(str, range(len(s.y)))), tuple(groups or s.groups), s.P, s.valid, s.y)


def test_a_method_without_a_fit_has_no_optimism(simulate):
    s = simulate(N=200)
    e = estimate(UniformAverage, held_out(s), folds=5, repeats=2)
    assert e.metrics["accuracy"] == pytest.approx((s.P.mean(0).argmax(1) == s.y).mean())
    assert abs(e.optimism) < 0.02 and e.interval.low <= e.metrics["accuracy"] <= e.interval.high
    assert (e.folds, e.repeats, e.n_clips, e.n_groups) == (5, 2, 200, 10)


def test_pure_noise_is_seen_through(simulate):
    s = simulate(M=6, N=60, skill=(0.0, 0.0))
    e = estimate(lambda: DecisionFusion(draws=300, sigma_min=0.2), held_out(s))
    assert e.fit_score > 0.5 and e.optimism > 0.1
    assert e.interval.low < 1 / 3 + 0.1


def test_no_group_is_on_both_sides(simulate):
    s = simulate(N=100)
    groups = np.array(s.groups)
    scored = []
    for fit, rest in group_folds(s.y, s.groups, 4, 0):
        assert not set(groups[fit]) & set(groups[rest])
        scored += rest.tolist()
    assert sorted(scored) == list(range(100))


def test_weights_come_from_the_other_groups_only(simulate):
    s = simulate(M=3, N=40)
    seen = []

    class Spy(UniformAverage):
        def fit(self, P, y, valid=None, groups=None):
            seen.append(set(groups))
            return super().fit(P, y, valid, groups)

    out_of_fold(Spy, held_out(s), folds=5)
    assert len(seen) == 5 and all(len(groups) == 8 for groups in seen)


@pytest.mark.parametrize("n_groups", [2, 3])
def test_fewer_groups_than_folds(simulate, n_groups):
    s = simulate(N=30)
    e = estimate(BestSingle, held_out(s, [f"g{n % n_groups}" for n in range(30)]), folds=5)
    assert e.folds == n_groups


def test_more_folds_than_clips_of_any_class(simulate):
    s = simulate(N=6, C=7)
    e = estimate(UniformAverage, held_out(s, list("abcdef")), folds=6)
    assert e.folds == 6


def test_one_group_is_told(simulate):
    s = simulate(N=30)
    with pytest.raises(EmofuseError, match="two groups or more, but all held-out clips belong to one"):
        estimate(UniformAverage, held_out(s, ["g"] * 30))
    with pytest.raises(EmofuseError, match="2 folds and 1 repeat or more, but got 1 and 1"):
        estimate(UniformAverage, held_out(s), folds=1)


def test_same_seed_same_estimate(simulate):
    s = simulate(N=60)
    assert estimate(BestSingle, held_out(s), seed=3) == estimate(BestSingle, held_out(s), seed=3)
