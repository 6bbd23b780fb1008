import numpy as np
import pytest

from ensembles.fitting.estimate import compare_outside, group_folds, out_of_fold, summarise
from ensembles.fusion import BestSingle, DecisionFusion, UniformAverage
from ensembles.predictions.sets import HeldOut
from features.errors import EmofuseError


def estimate(method, rows, **folds):
    return summarise(out_of_fold(method, rows, **folds), rows)


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


class Stopped(UniformAverage):
    """Ctrl-C comes in the fit of that number, and leaves the best so far or nothing."""

    fits, stop, best_so_far = 0, 3, True

    def _find_weights(self, problem, groups):
        Stopped.fits += 1
        if Stopped.fits == Stopped.stop:
            if not Stopped.best_so_far:
                raise KeyboardInterrupt
            self.interrupted_ = True
        return super()._find_weights(problem, groups)


@pytest.mark.parametrize("best_so_far", [True, False])
def test_ctrl_c_ends_all_folds_and_keeps_those_that_are_done(simulate, monkeypatch, best_so_far):
    monkeypatch.setattr(Stopped, "best_so_far", best_so_far)
    s = held_out(simulate(N=60))
    monkeypatch.setattr(Stopped, "fits", 0)
    part = out_of_fold(Stopped, s, folds=5, repeats=2)
    assert Stopped.fits == 3 and part.interrupted and (len(part.fit_scores), part.planned, part.folds) == (2, 10, 5)
    whole = out_of_fold(UniformAverage, s, folds=5)
    assert part.scored.sum() == 24 and not whole.interrupted and whole.scored.all()
    assert (part.probabilities[0, part.scored] == whole.probabilities[0, part.scored]).all()
    e = summarise(part, s)
    right = whole.probabilities[0].argmax(1) == s.y
    assert (e.n_clips, e.n_groups, e.metrics["accuracy"]) == (24, 4, right[part.scored].mean())
    assert summarise(whole, s, part.scored).metrics == e.metrics
    assert compare_outside(part, whole, s).n_clips == 24
    monkeypatch.setattr(Stopped, "fits", -5)
    twice = out_of_fold(Stopped, s, folds=5, repeats=2)
    assert len(twice.probabilities) == 1 and twice.scored.all() and len(twice.fit_scores) == 5 and twice.interrupted
    monkeypatch.setattr(Stopped, "fits", 2)
    with pytest.raises(KeyboardInterrupt):
        out_of_fold(Stopped, s)


def test_same_seed_same_estimate(simulate):
    s = simulate(N=60)
    assert estimate(BestSingle, held_out(s), seed=3) == estimate(BestSingle, held_out(s), seed=3)
