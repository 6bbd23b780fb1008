import numpy as np

from models.metrics import log_loss
from search.goal.folds import group_folds
from search.goal.fused import Fused
from search.goal.held_out import Clips
from search.goal.selection import Selection


def _clips(N=60, C=3, groups=6, seed=0):
    y = np.random.default_rng(seed).integers(C, size=N)
    ids = np.array([f"c{n}" for n in range(N)])
    return Clips(ids, np.array([f"g{n % groups}" for n in range(N)]), y, tuple("abcdefg"[:C]))


def _scores(clips, M, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    shape = (M, len(clips.ids), len(clips.classes))
    e = np.exp(rng.uniform(0, 1.5, (M, 1, 1)) * np.eye(shape[2])[clips.y] + rng.normal(size=shape))
    P = (e / e.sum(axis=2, keepdims=True)).astype(np.float32)
    P[rng.random(shape[:2]) < missing] = np.nan
    return P


def _nested(clips, P, folds=5):
    """By hand: each clip by a selection on the clips of the other folds, missing scores left out."""
    of = group_folds(clips.y, clips.groups, folds)
    found = np.zeros(P.shape[1:])
    for k in range(of.max() + 1):
        selection = Selection(int((of != k).sum()))
        selection.add(P[:, of != k][:, np.arange((of != k).sum()), clips.y[of != k]])
        for n in np.flatnonzero(of == k):
            members = [m for m, share in enumerate(selection.shares) for _ in range(share) if not np.isnan(P[m, n, 0])]
            found[n] = P[members, n].mean(axis=0) if members else 1 / P.shape[2]
    return found


def test_each_clip_is_scored_by_an_ensemble_that_it_did_not_choose():
    clips = _clips()
    for missing in (0.0, 0.3):
        P = _scores(clips, 8, missing=missing)
        fused = Fused(clips, "accuracy")
        fused.add(P)
        nested = _nested(clips, P)
        np.testing.assert_allclose(fused.probabilities, nested, atol=1e-6)
        assert fused.score == (nested.argmax(axis=1) == clips.y).mean()


def test_what_it_holds_does_not_depend_on_the_order():
    clips, order = _clips(), [4, 2, 0, 5, 1, 3]
    P = _scores(clips, 6)
    one, other = Fused(clips, "log_loss"), Fused(clips, "log_loss")
    one.add(P)
    for m in order:
        other.add(P[m : m + 1])
    assert one.score == other.score and len(other) == 6
    np.testing.assert_allclose(np.array(one.gains())[:, order], other.gains(), atol=1e-6)


def test_gains_are_the_loss_without_a_configuration_less_that_with_it():
    clips = _clips()
    P = _scores(clips, 5, missing=0.1)
    fused = Fused(clips, "accuracy", folds=3)
    fused.add(P)
    of = group_folds(clips.y, clips.groups, 3)
    losses, chosen = np.zeros((2, 5)), np.zeros((3, 5), bool)  # without, with
    each = np.zeros((3, 5))
    for k in range(3):
        fit, rest = np.flatnonzero(of != k), np.flatnonzero(of == k)
        selection = Selection(len(fit))
        selection.add(P[:, fit, :][:, np.arange(len(fit)), clips.y[fit]])
        for m in range(5):
            for side in (0, 1):
                shares = selection.shares.astype(float)
                shares[m] = max(shares[m], 1) * side
                weights = shares[:, None] * ~np.isnan(P[:, rest, 0])
                mean = (
                    np.einsum("mn,mnc->nc", weights, np.nan_to_num(P[:, rest]))
                    / np.maximum(weights.sum(0), 1e-9)[:, None]
                )
                mean[weights.sum(axis=0) == 0] = 1 / 3
                loss = log_loss(clips.y[rest], mean) * len(rest) / len(clips.y)
                losses[side, m] += loss
                each[k, m] += loss if side == 0 else -loss
            chosen[k, m] = selection.shares[m] > 0
    would, does = fused.gains()
    np.testing.assert_allclose(would, losses[0] - losses[1], atol=1e-5)
    np.testing.assert_allclose(does, (each * chosen).sum(axis=0), atol=1e-5)
    assert not chosen.all() and chosen.any()


def test_folds_keep_groups_whole_and_are_alike_in_size_and_class():
    clips = _clips(N=90, groups=9)
    of = group_folds(clips.y, clips.groups, 5)
    assert all(len(set(of[clips.groups == group])) == 1 for group in set(clips.groups))
    assert np.bincount(of).min() >= 10 and of.max() == 4
    alone = group_folds(clips.y, clips.ids, 3)
    assert np.ptp([np.bincount(clips.y[alone == k], minlength=3) for k in range(3)], axis=0).max() <= 1
    assert (group_folds(clips.y, np.array(["one"] * 90), 3) == alone).sum() > 0
    assert group_folds(clips.y, np.array(["one"] * 90), 3).max() == 2


def test_one_configuration_gains_over_knowing_nothing():
    clips = _clips()
    fused = Fused(clips, "accuracy")
    good = np.full((1, 60, 3), 0.05, np.float32)
    good[0, np.arange(60), clips.y] = 0.9
    fused.add(good)
    np.testing.assert_allclose(fused.gains(), [[np.log(3 * 0.9)]] * 2, atol=1e-5)
