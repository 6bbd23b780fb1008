"""What may start, by the pace so far, and what must stop."""

import time

import pytest

from search.budget.purse import Purse
from search.budget.spent import EntrySpent, Spent
from search.recipe.limits import Budget

HOUR = 3600.0


def _purse(whole=None, entries=None, spent=None, worked_s=0.0):
    return Purse(
        Budget(**(whole or {})),
        {name: Budget(**own) for name, own in (entries or {}).items()},
        Spent(0.0, {one.entry: one for one in spent or ()}),
        lambda: worked_s,
    )


def _ended(entry="gru", trials=4, mean_s=600.0, gpu=0.0):
    hours = trials * mean_s / HOUR
    return EntrySpent(entry, trials, trials, 0, hours, hours * gpu, 0.0, mean_s, mean_s * gpu)


def test_without_a_budget_everything_may_start():
    assert _purse(spent=[_ended()]).may_start("gru", 1000) and _purse().used_up() == set() and not _purse().over


@pytest.mark.parametrize(("worked_s", "may"), [(HOUR - 601, True), (HOUR - 599, False), (HOUR + 1, False)])
def test_no_trial_starts_that_would_end_after_the_hours(worked_s, may):
    purse = _purse({"hours": 1}, spent=[_ended(mean_s=600)], worked_s=worked_s)
    assert purse.may_start("gru") == may
    assert purse.may_start("new") == (worked_s < HOUR), "nothing is known of its pace"
    assert purse.over == (worked_s > HOUR) and (purse.used_up() is None) == (worked_s > HOUR)
    if may:
        assert purse.latest_start_s("gru") == pytest.approx(time.time() + 1, abs=0.5)


def test_trials_of_the_run_and_of_an_entry_are_counted_with_those_that_run():
    purse = _purse({"trials": 10}, {"gru": {"trials": 6}}, [_ended("gru", 4), _ended("svm", 2)])
    assert purse.may_start("gru", 2) and not purse.may_start("gru", 3)
    assert purse.may_start("svm", 4) and not purse.may_start("svm", 5)
    purse.begin("a", "gru", 0.0)
    assert purse.may_start("gru") and not purse.may_start("gru", 2) and not purse.may_start("svm", 4)
    purse.end("a", "gru", 600, 0.0, ended=False)
    assert purse.may_start("gru", 2), "it was stopped, and is counted once it has ended"
    for name in "ab":
        purse.begin(name, "gru", 0.0)
        purse.end(name, "gru", 600, 0.0, finished=True)
    assert not purse.may_start("gru") and purse.may_start("svm", 2) and not purse.over


def test_hours_of_an_entry_are_those_of_its_trials_added_up():
    purse = _purse({}, {"gru": {"hours": 1}}, [_ended("gru", 4, 600)])
    assert purse.may_start("gru", 2) and not purse.may_start("gru", 3)
    purse.begin("a", "gru", 0.0)
    assert purse.may_start("gru") and not purse.may_start("gru", 2)
    purse.end("a", "gru", 1300, 0.0)
    assert not purse.may_start("gru") and purse.may_start("svm")
    assert purse.used_up() == {"gru"} and not purse.over


def test_gpu_hours_count_the_share_of_a_gpu():
    purse = _purse({"gpu_hours": 1}, {}, [_ended("gru", 4, 1200, gpu=0.5)])
    assert purse.may_start("gru", 2) and not purse.may_start("gru", 3)
    for name in "ab":
        purse.begin(name, "gru", 0.5)
    assert not purse.may_start("gru") and purse.used_up() == set()
    purse.end("a", "gru", 2400, 1200)
    assert purse.used_up() is None and purse.over


def test_what_runs_uses_up_the_budget_from_its_first_sign_of_life_on(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("search.budget.purse.time.monotonic", lambda: now[0])
    purse = _purse({}, {"gru": {"hours": 1}})
    purse.begin("a", "gru", 0.0)
    now[0] += 2 * HOUR  # it waits for a free place
    assert purse.used_up() == set()
    purse.seen(["a", "of another search"])
    now[0] += HOUR - 1
    assert purse.used_up() == set()
    now[0] += 2
    assert purse.used_up() == {"gru"}


def test_what_is_promised_to_configurations_that_have_begun_is_no_longer_there():
    spent = [_ended("gru", 4, 600, gpu=0.5), _ended("svm", 2, 600)]
    purse = _purse({"trials": 12}, {"gru": {"trials": 9, "hours": 1}}, spent)
    assert purse.may_start("svm", 4, {"gru": 2}) and not purse.may_start("svm", 4, {"gru": 3})
    assert purse.may_start("gru", 2) and not purse.may_start("gru", 2, {"gru": 1}), "its own hours"
    assert purse.may_start("gru", 1, {"svm": 5}) and not purse.may_start("gru", 1, {"svm": 6})
    gpu = _purse({"gpu_hours": 0.5}, {}, spent)
    assert gpu.may_start("gru", 1, {"gru": 1}) and not gpu.may_start("gru", 1, {"gru": 2})


def test_what_no_budget_counts_starts_while_the_whole_run_has_time():
    assert _purse({"hours": 1}, {"gru": {"trials": 4}}, [_ended()]).may_start_uncounted("gru")
    assert not _purse({"hours": 1}, spent=[_ended(mean_s=600)], worked_s=HOUR - 500).may_start_uncounted("gru")
    assert not _purse({"trials": 4}, spent=[_ended()]).may_start_uncounted("gru")
