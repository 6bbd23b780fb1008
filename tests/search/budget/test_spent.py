"""What was spent where, from files alone, and how it is told."""

import pytest

from search.budget import worked
from search.budget.parts import NAME, Part, note_part, read_parts
from search.budget.spent import Spent, read_spent
from search.budget.told import Books, spent_table
from search.budget.worked import Worked, read_worked
from search.recipe.limits import Budget
from search.run.ended import Ended


def _trial(key, entry="gru", status="finished", wall_s=3600.0, epochs=3, gpu_s=0.0, partition="train"):
    return Ended(key, key, entry, partition, status, 0.5, epochs, wall_s, "", gpu_s=gpu_s)


def test_hours_failures_and_parts_are_added_up_by_entry(tmp_path):
    note_part(tmp_path, Part("c", "gru", 1800.0, 900.0))
    note_part(tmp_path, Part("d", "svm", 360.0, 0.0))
    ended = [
        _trial("a", wall_s=1800, gpu_s=900),
        _trial("b", status="failed", wall_s=720),
        _trial("c", wall_s=1800, gpu_s=900),
        _trial("e", status="pruned", wall_s=0, epochs=0),  # never begun
        _trial("f", partition="full"),  # a refit
    ]
    gru, svm = read_spent(tmp_path, ended).entries.values()
    assert (gru.trials, gru.finished, gru.failed) == (3, 2, 1)
    assert (gru.hours, gru.gpu_hours, gru.wasted_hours) == pytest.approx((1.7, 0.75, 0.2))
    assert (gru.mean_s, gru.mean_gpu_s) == (2700, 900)
    assert (svm.trials, svm.hours, svm.mean_s) == (0, 0.1, None)


def test_half_a_line_of_a_killed_search_is_passed_over(tmp_path):
    note_part(tmp_path, Part("a", "gru", 1.0, 0.0))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + whole[:-9])
    note_part(tmp_path, Part("b", "gru", 2.0, 0.0))
    assert [part.trial_key for part in read_parts(tmp_path)] == ["a", "b"]


def test_the_time_of_killed_searches_is_kept(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(worked.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(worked.time, "time", lambda: 1e9 + now[0])
    for seconds in (10, 30):
        search = Worked(tmp_path)
        now[0] += seconds
        search.write()
        now[0] += 5  # killed before it is written again
    assert read_worked(tmp_path) == 40 and Worked(tmp_path).seconds == 40
    (tmp_path / worked.NAME).write_text("{")
    assert read_worked(tmp_path) == 0


def test_the_table_and_what_is_left(tmp_path):
    spent = Spent(1.5, read_spent(tmp_path, [_trial("a"), _trial("b", status="failed", wall_s=900)]).entries)
    assert spent_table(spent, {"gru": "clips"}).splitlines() == [
        "spent      trials  hours  GPU hours  failed  hours of failed",
        "clips gru       2   1.25       0.00       1             0.25",
        "the run         2   1.50       0.00       1             0.25",
    ]
    books = Books(spent, Budget(hours=8, trials=2), {"gru": Budget(gpu_hours=4)})
    assert books.left().splitlines() == [
        "Budget: 1.50 of 8 hours spent, 6.50 left; 2 of 2 trials spent, 0 left.",
        "Budget of gru: 0.00 of 4 GPU hours spent, 4.00 left.",
    ]
    assert Books(spent).left() == ""
