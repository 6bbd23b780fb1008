import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from search.budget.pace import Pace, measure
from search.budget.spent import EntrySpent, Spent
from search.budget.told import Books
from search.recipe.limits import Budget
from search.run.ended import Ended
from search.trial.heartbeats import Heartbeat


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


def test_long_trials_are_looked_back_on_for_longer():
    pace = measure([_ended(9_000, 9_000.0)], [_beat(9_000)], {"a": 3}, 0.0, 13_000.0)
    assert pace.left_s == approx(3 * 9_000 - 4_000)


def test_what_was_stopped_early_costs_less():
    stopped = _ended(30, 2.0)._replace(status="pruned")
    never_begun = stopped._replace(wall_s=0.0)
    pace = measure([_ended(30), stopped, never_begun], [], {"a": 10}, 0.0, 40.0)
    assert pace.left_s == approx(10 * 4 / (12 / 40))


def _books(ended=2, hours=0.0, gpu_hours=0.0, whole=None, **of_a):
    spent = Spent(hours, {"a": EntrySpent("a", ended, hours=ended * 10 / 3600, gpu_hours=gpu_hours)})
    return Books(spent, Budget(**(whole or {})), {"a": Budget(**of_a)})


@pytest.mark.parametrize(
    ("books", "trials"),
    [
        (_books(), 8),
        (_books(whole={"trials": 5}), 3),
        (_books(trials=7), 5),
        (_books(hours=50 / 3600, whole={"hours": 90 / 3600}), 4),
        (_books(hours=50 / 3600, whole={"hours": 1}), 8),
        (_books(hours=99, whole={"hours": 1}), 0),
        (_books(**{"hours": 80 / 3600}), 8),
        (_books(gpu_hours=2.0, whole={"gpu_hours": 6}), 4),
    ],
)
def test_a_budget_ends_it_before_and_says_so(books, trials):
    """One worker that is always busy, and trials of 10 s."""
    pace = measure([_ended(10), _ended(20)], [], {"a": 8}, 0.0, 20.0, books)
    assert (pace.left_s, pace.budget) == (approx(trials * 10), trials < 8)
    assert ("when the budget is spent" in str(pace)) == (trials < 8)


def test_what_may_change_it_is_told():
    pace = measure([_ended(10)], [], {"a": 1, "b": 1, "c": 0}, 0.0, 10.0, sooner=True)
    assert re.fullmatch(
        r"360 trials per hour; about 20 s to go, until \d{4}-\d\d-\d\d \d\d:\d\d, or earlier if stop_when ends it "
        r"\(a guess: no trial of b has ended yet\)",
        str(pace),
    )
    assert "no trial of 0, 1, 2 and 2 more has ended" in str(Pace(1.0, 1.0, guessed=tuple("01234")))
    assert str(Pace(7.0, None)) == "7 trials per hour"


def test_nothing_is_said_before_a_trial_ended():
    assert measure([_ended(10)], [], {"a": 1}, 20.0, 30.0) is None


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e3)), max_size=5), st.floats(0, 1e4))
def test_it_is_never_negative(trials, now_s):
    pace = measure([_ended(*t) for t in trials], [_beat(min(now_s, 5.0))], {"a": 3}, 0.0, now_s)
    assert pace is None or (pace.per_hour > 0 and (pace.left_s is None or pace.left_s >= 0))
