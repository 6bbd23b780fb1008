"""What members take for a clip, and ensembles under a limit of it."""

from dataclasses import replace

import pytest

from ensembles.fitting.arrays import held_out_of_arrays
from ensembles.fitting.cost import MemberCost, in_ms, seconds_per_clip, told_costs
from ensembles.fitting.latency import bounded, trade_off
from ensembles.fitting.selection import NO_SELECTION, Selection
from ensembles.predictions.sealed_scores import Member
from features.errors import EmofuseError
from search.run.predictions import Footer


def _member(entry, *seconds):
    footers = {
        str(n): Footer(f"k{n}", "c", "svm", entry, {}, "train", ("a", "b"), 0, 1, 1, {}, predict_s=took)
        for n, took in enumerate(seconds)
    }
    return Member(entry, "c", footers)


def _held_out(simulate, seconds):
    s = simulate(M=len(seconds), N=120, skill=(0.6, 2.0))
    found = held_out_of_arrays(s.P, s.y, groups=[f"g{n % 12}" for n in range(120)])
    return replace(found, members=tuple(_member(f"m{n}", took) for n, took in enumerate(seconds)))


def test_a_members_time_is_the_mean_over_its_trials_or_unknown():
    assert seconds_per_clip(_member("a", 0.25, 0.75)) == 0.5
    assert seconds_per_clip(_member("a", 0.25, None)) is None and seconds_per_clip(_member("a")) is None
    assert (in_ms(0.0012345), in_ms(None)) == ("1.23", "-")


def test_a_limit_asks_for_members_that_were_measured():
    limit = replace(NO_SELECTION, latency_ms=2.0)
    assert bounded(limit, [_member("a", 0.001)]).cost_s == {"a/c": 0.001}
    assert bounded(Selection(), [_member("a", None)]) == Selection()
    with pytest.raises(EmofuseError, match="Member a/c has no measured time per clip"):
        bounded(limit, [_member("a", None)])


def test_more_time_lets_more_members_in(simulate):
    held_out = _held_out(simulate, [0.004, 0.001, 0.002, 0.008])
    points = trade_off(held_out, "accuracy")
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)
    assert points[0].members == 1 and points[0].seconds == 0.001
    assert points[-1].members == 4 and points[-1].seconds == pytest.approx(0.015)
    alone = (held_out.P[1].argmax(axis=1) == held_out.y).mean()
    assert points[0].score == pytest.approx(alone) and points[-1].score > points[0].score
    assert trade_off(_held_out(simulate, [0.1, None]), "accuracy") == ()
    assert all(point.score > 0 for point in trade_off(held_out, "log_loss")), "as it is told"


def test_the_sentence_on_it():
    slow, fast = MemberCost("slow", 0.03, "cpu", "h:1"), MemberCost("fast", 0.001, "cpu", "h:1")
    assert told_costs((fast, slow)) == "From features to scores a clip takes 31 ms on cpu, slow alone 30 ms."
    assert told_costs((fast,)) == "From features to scores a clip takes 1 ms on cpu."
    assert told_costs((fast, MemberCost("old", None, "cpu", "h:1"))) == "" == told_costs(())
