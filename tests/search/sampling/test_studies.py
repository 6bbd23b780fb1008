"""What comes next: the same whatever finishes first, and after a restart."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.space import Choice, Float, Int, count_points
from search.run.ending import Ending
from search.sampling.drawing import START, Drawer
from search.sampling.journal import open_journal
from search.sampling.studies import EntryStudy

SPACE = {"lr": Float(1e-4, 1e-1, log=True), "hidden": Int(8, 64), "kernel": Choice(("linear", "rbf"))}
PUBLISHED = ({"lr": 1e-2, "hidden": 32, "kernel": "rbf"}, {"lr": 1e-3, "hidden": 16, "kernel": "linear"})


def _study(folder, budget=24, sampler="tpe", seed=1, **other):
    return EntryStudy(
        open_journal(folder / "study.journal"),
        "lstm",
        SPACE,
        budget=budget,
        seed=seed,
        first=PUBLISHED,
        sampler=sampler,
        **other,
    )


def _score(point):
    return 1 / (1 + abs(point["hidden"] - 40)) + (point["kernel"] == "rbf")


def _run(study, order=0, at_once=5, stop_after=None):
    """Ask and settle in a shuffled order with `at_once` configurations under way; the points in the order of asking."""
    shuffled, points, under_way = random.Random(order), [], []
    while not (study.exhausted and not under_way):
        asked = study.ask() if len(under_way) < at_once else None
        if asked:
            points.append(asked[1])
            under_way.append(asked)
        if stop_after is not None and len(points) >= stop_after:
            break
        if asked is None:
            number, point = under_way.pop(shuffled.randrange(len(under_way)))
            study.tell(number, Ending("finished", _score(point), 3))
    return points


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_published_points_come_first_and_no_point_twice(tmp_path, sampler):
    points = _run(_study(tmp_path, sampler=sampler))
    assert points[:2] == list(PUBLISHED)
    assert len(points) == len({tuple(point.items()) for point in points}) == 24


@settings(max_examples=8, deadline=None)
@given(order=st.integers(0, 1000), at_once=st.integers(1, 30))
def test_points_do_not_depend_on_what_finishes_first(tmp_path_factory, order, at_once):
    folder = tmp_path_factory.mktemp("order")
    assert _run(_study(folder), order, at_once) == _run(_study(tmp_path_factory.mktemp("one"), seed=1), 0, 1)


def test_tpe_learns_from_results_and_waits_for_them(tmp_path):
    study = _study(tmp_path, budget=60, lag=3)
    for _ in range(START + 3):  # drawn at random, whatever is known
        assert study.ask() is not None
    assert study.ask() is None and not study.exhausted
    for number in range(START):
        study.tell(number, Ending("finished", 0.5, 1))
    assert study.ask() is not None and study.ask() is None
    points = _run(_study(tmp_path, budget=60))
    assert sum(point["kernel"] == "rbf" for point in points[-20:]) > 14


def test_without_a_word_tpe_draws_from_its_start_on_or_where_an_earlier_release_let_it(tmp_path):
    def points(folder, **wish):
        return _run(_study(tmp_path / folder, lag=3, **wish))

    at_random = points("random", sampler="random")
    assert points("now", sampler="auto") == points("tpe", sampler="tpe") != at_random
    assert points("now")[: START + 3] == at_random[: START + 3]
    assert points("few", budget=START + 3, sampler="auto") == at_random[: START + 3]
    assert points("before", sampler="auto", tpe_from=25) == at_random
    assert points("many", sampler="auto", tpe_from=24) == points("tpe")


def test_other_seeds_and_entries_draw_other_points():
    drawn = [Drawer(SPACE, seed=s, entry=entry, tpe=False).draw([], {}, 0) for s in (0, 1) for entry in ("a", "b")]
    assert len({tuple(point.items()) for point in drawn}) == 4


def test_small_space_is_searched_to_its_end(tmp_path):
    space = {"kernel": Choice(("linear", "rbf")), "degree": Int(1, 3)}
    assert count_points(space) == 6
    study = EntryStudy(open_journal(tmp_path / "j"), "svm", space, budget=6, seed=0, sampler="tpe")
    assert len({tuple(study.ask()[1].items()) for _ in range(6)}) == 6
    assert study.ask() is None


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_killed_study_goes_on_where_it_stood(tmp_path, sampler):
    whole = _run(_study(tmp_path / "a", sampler=sampler))
    killed = _run(_study(tmp_path / "b", sampler=sampler), stop_after=13)
    assert killed == whole[:13]
    assert _run(_study(tmp_path / "b", sampler=sampler)) == whole


def test_lost_journal_and_larger_budget_keep_the_points(tmp_path):
    short = _run(_study(tmp_path / "a", budget=12, sampler="tpe"))
    longer = _run(_study(tmp_path / "a", budget=24, sampler="tpe"), order=3)
    assert longer[:12] == short
    assert _run(_study(tmp_path / "b", budget=24, sampler="tpe"), order=9) == longer


def test_journal_keeps_how_configurations_ended(tmp_path):
    import optuna

    study = _study(tmp_path, budget=4)
    for ending in (Ending("finished", 0.5, 3), Ending("pruned", 0.2, 10), Ending("failed"), None):
        number, _ = study.ask()
        if ending:
            study.tell(number, ending)
    (name,) = optuna.get_all_study_names(open_journal(tmp_path / "study.journal"))
    stored = optuna.load_study(study_name=name, storage=open_journal(tmp_path / "study.journal"))
    assert [trial.state.name for trial in stored.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert stored.best_value == 0.5


def test_half_a_line_and_a_lock_of_a_killed_driver_are_cleared_away(tmp_path):
    journal = tmp_path / "study.journal"
    before = _run(_study(tmp_path), stop_after=5)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    (tmp_path / "study.journal.lock").symlink_to(journal)
    assert _run(_study(tmp_path))[:5] == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not a journal\nat all\n", "line 1 is not what was written"),
        ('{"op_code": 4}\n', "it can't be read (KeyError: 'study_id')"),
    ],
)
def test_what_is_no_journal_is_set_aside(tmp_path, capsys, text, why):
    (tmp_path / "study.journal").write_text(text)
    before = _run(_study(tmp_path / "new"))
    assert _run(_study(tmp_path)) == before
    assert f"study.journal: expected the journal of a search, but {why}; it is kept as study.journal.damaged, " in (
        capsys.readouterr().err
    )
    assert (tmp_path / "study.journal.damaged").read_text() == text


def test_from_a_damaged_line_on_the_same_points_are_drawn_again(tmp_path, capsys):
    journal = tmp_path / "study.journal"
    before = _run(_study(tmp_path, sampler="random"))
    good = journal.read_bytes().splitlines(keepends=True)
    line = next(n for n, line in enumerate(good) if n > 9 and b"hidden" in line)
    journal.write_bytes(b"".join(good[:line]) + good[line].replace(b"rbf", b"rbg", 1) + b"".join(good[line + 1 :]))
    assert _run(_study(tmp_path, sampler="random")) == before
    assert f"line {line + 1} is not what was written" in capsys.readouterr().err


def test_a_journal_of_an_earlier_release_goes_on(tmp_path):
    journal = tmp_path / "study.journal"
    whole = _run(_study(tmp_path / "whole"))
    before = _run(_study(tmp_path), stop_after=9)
    journal.write_text(re.sub(r',"crc32":\d+}', "}", journal.read_text()))
    assert b"crc32" not in journal.read_bytes()
    assert _run(_study(tmp_path)) == whole and whole[:9] == before


def test_changed_space_starts_a_new_study(tmp_path):
    _run(_study(tmp_path, budget=4))
    narrow = SPACE | {"kernel": Choice(("linear",))}
    study = EntryStudy(open_journal(tmp_path / "study.journal"), "lstm", narrow, budget=4, seed=1)
    assert {study.ask()[1]["kernel"] for _ in range(4)} == {"linear"}
