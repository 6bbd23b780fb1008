from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from search.run.ended import Ended
from search.trial.heartbeats import Heartbeat
from search.watch.pace import measure


def _ended(at_s, wall_s=10.0, entry="a"):
    return Ended("k", "c", entry, "train", "finished", 0.5, 1, wall_s, "", at_s)


def _beat(started_s, entry="a"):
    return Heartbeat("r", "c", entry, "train", "h", 1, started_s)


def test_two_workers_that_are_always_busy():
    ended = [_ended(at_s) for at_s in (10, 10, 20, 20)]
    pace = measure(ended, [_beat(20), _beat(20)], {"a": 6}, 0.0, 25.0)
    assert pace.per_hour == approx(4 * 3600 / 25) and pace.left_s == approx((6 * 10 - 2 * 5) / 2)


def test_unknown_entries_take_the_usual_time_and_old_trials_count_for_it():
    pace = measure([_ended(10), _ended(5000, 20.0)], [], {"a": 0, "b": 2}, 0.0, 5010.0)
    assert pace.per_hour == approx(1.0) and pace.left_s == approx(2 * 15 / (20 / 3600))


def test_nothing_is_said_before_a_trial_ended():
    assert measure([_ended(10)], [], {"a": 1}, 20.0, 30.0) is None


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e3)), max_size=5), st.floats(0, 1e4))
def test_it_is_never_negative(trials, now_s):
    pace = measure([_ended(*t) for t in trials], [_beat(min(now_s, 5.0))], {"a": 3}, 0.0, now_s)
    assert pace is None or (pace.per_hour > 0 and (pace.left_s is None or pace.left_s >= 0))
