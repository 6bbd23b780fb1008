"""Who is told to stop, and when."""

import time

import pytest

from models import pulse
from search.budget.clock import Clock
from search.budget.worked import Worked


class Purse:
    """Its entries are used up as a test says."""

    def __init__(self):
        self.over, self.limited, self.keys = set(), True, []

    def seen(self, keys):
        self.keys += keys

    def used_up(self):
        return self.over


@pytest.fixture
def clock(tmp_path, monkeypatch):
    monkeypatch.setattr("search.budget.clock._LOOK_S", 0.01)
    purse = Purse()
    with Clock(tmp_path, ("gru", "svm"), Worked(tmp_path), purse) as clock:
        clock.purse, clock.marks = purse, tmp_path / ".stopping"
        yield clock
    pulse.forget_stop()


def _soon(condition):
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def _marks(clock):
    return sorted(path.name for path in clock.marks.glob("*"))


def test_an_entry_whose_budget_is_over_is_told_to_stop(clock):
    clock.here = "svm"
    clock.purse.over = {"gru"}
    assert _soon(lambda: _marks(clock) == ["gru"]) and not pulse.asked_to_stop()
    clock.purse.over = {"gru", "svm"}
    assert _soon(pulse.asked_to_stop) and not clock.overdue


def test_what_no_entry_pays_for_stops_with_the_whole_run_alone(clock):
    clock.here = "gru"
    with clock.whole_alone():
        clock.purse.over = {"gru"}
        time.sleep(0.1)
        assert not _marks(clock) and not pulse.asked_to_stop()
        clock.purse.over = None
        assert _soon(pulse.asked_to_stop) and _soon(lambda: _marks(clock) == ["gru", "svm"])


def test_afterwards_the_entry_is_told_again(clock):
    clock.purse.over = {"gru"}
    assert _soon(lambda: _marks(clock) == ["gru"])
    with clock.whole_alone():
        assert not _marks(clock)
    assert _soon(lambda: _marks(clock) == ["gru"])


def test_who_runs_is_seen(clock, tmp_path):
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "k1.json").touch()
    assert _soon(lambda: "k1" in clock.purse.keys)
