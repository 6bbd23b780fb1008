"""Searches whose goal is the ensemble, and that end when nothing more is gained: in this process, killed, resumed."""

import os
import random
import signal
import time
from dataclasses import replace

import pytest
from small_world import CENTROID, FAMILIES, Centroid, message, recipe_file

from features.errors import WrongUse
from search.cluster.workers import Workers
from search.goal.history import read_points
from search.recipe.reading import read_recipe
from search.run.folder import RunFolder
from search.run.predictions import prediction_files
from search.runner import run_search
from search.watch.status import read_status
from search.watch.status_view import full_text


class Guessing(Centroid):
    """Knows nothing."""

    def predict(self, examples):
        scores = super().predict(examples)
        return scores[:, ::-1].copy()


@pytest.fixture
def families(monkeypatch):
    monkeypatch.setitem(FAMILIES, "wrong", replace(CENTROID, name="wrong", build=Guessing))


def _stages(number=7):
    return [
        {"stage": "clips", "entries": {"centroid": {"configurations": number}, "wrong": {"configurations": number}}}
    ]


def _recipe(folder, **changes):
    given = {"partitions": ["train", "swap"], "stages": _stages(), "goal": "ensemble", **changes}
    return read_recipe(recipe_file(folder, **given))


def _search(run, recipe, out=None):
    return run_search(recipe, clips=run.clips, store=run.store, out=out or run.path, workers=Workers(in_process=True))


def _keys(run):
    return sorted(path.stem for path in prediction_files(run))


def test_trials_flow_to_the_entry_that_helps_the_ensemble(families, small_run, tmp_path):
    run, recipe = small_run(), _recipe(tmp_path)
    status = _search(run, recipe)
    useful, useless = status.entries
    assert (useful.finished + useless.finished, status.left, status.open) == (28, 0, 0)
    assert useful.finished >= 2 * 9 and useless.finished >= 2 * 3
    assert len(read_points(run.path)) == 14
    _search(run, recipe, tmp_path / "again")
    assert _keys(tmp_path / "again") == _keys(run.path)


def test_in_equal_shares_each_entry_has_its_own_number_and_what_it_adds_counts_for_its_draws(
    families, small_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("search.sampling.studies.START", 2)
    monkeypatch.setattr("search.sampling.drawing.START", 2)
    run, recipe = small_run(), _recipe(tmp_path, shares="equal", sampler="tpe")
    status = _search(run, recipe)
    assert [(e.finished, e.trials) for e in status.entries] == [(14, 14), (14, 14)] and not status.open
    assert len(read_points(run.path)) == 14
    _search(run, recipe, tmp_path / "again")
    assert _keys(tmp_path / "again") == _keys(run.path)
    _search(run, recipe.model_copy(update={"goal": "best", "shares": None}), tmp_path / "best")
    assert _keys(tmp_path / "best") != _keys(run.path)


def test_what_no_entry_got_yet_is_left(families, small_run, tmp_path):
    run = small_run()
    _search(run, _recipe(tmp_path, stages=_stages(4)))
    more = _recipe(tmp_path, stages=_stages(6))
    RunFolder.prepare(run.path, more, run.clips, run.store)
    status = read_status(run)
    assert (status.open, status.left) == (8, 8)
    text = "8 trials go to the entries for which the ensemble gains most, as they come (goal: ensemble)."
    assert text in full_text(status) and status.as_data()["open"] == 8
    assert _search(run, more).left == 0


def test_it_ends_when_nothing_more_is_gained(families, small_run, tmp_path, capfd):
    for goal in ("best", "ensemble"):
        run = small_run()
        out = tmp_path / goal
        recipe = _recipe(tmp_path, stages=_stages(20), goal=goal, stop_when={"no_gain": 3})
        status = _search(run, recipe, out)
        points = read_points(out)
        fused = [point.fused for point in points]
        assert len(points) < 40 and fused.index(max(fused)) == len(points) - 4
        assert status.left == 0 and status.enough and status.entries[0].trials < 40
        assert "stop_when: 3 configurations have brought no more than the fused accuracy of" in capfd.readouterr().err
        assert "stop_when: the last configurations brought the ensemble no more" in full_text(status)
        assert _search(run, recipe, out).entries == status.entries and len(read_points(out)) == len(points)
        on = _search(run, _recipe(tmp_path, stages=_stages(8), goal=goal), out)
        assert sum(entry.finished for entry in on.entries) == 32


def test_one_configuration_without_a_gain_says_nothing(small_run, tmp_path):
    small_run()
    text = message(_recipe, tmp_path, stages=_stages(), stop_when={"no_gain": 1}, error=WrongUse)
    assert text.endswith("stop_when.no_gain: expected a number greater than or equal to 2, but got 1.")


class Slow(Centroid):
    """Takes its time over an epoch."""

    def predict(self, examples):
        time.sleep(0.005)
        return super().predict(examples)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "shares"), [(0, "by_gain"), (1, "by_gain"), (2, "equal"), (3, "equal")])
def test_killed_until_it_is_done_it_is_the_search_that_nobody_killed(
    small_run, tmp_path, monkeypatch, families, seed, shares
):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Slow))
    run = small_run()
    recipe = _recipe(tmp_path, stages=_stages(16 if shares == "equal" else 8), sampler="tpe", shares=shares)
    whole = _search(run, recipe, tmp_path / "whole")
    moments, kills, over = random.Random(seed), 0, False
    while not over:
        driver = os.fork()
        if driver == 0:
            os._exit(0 if _search(run, recipe).left == 0 else 3)
        end = time.monotonic() + moments.uniform(0.0, 0.7)
        done = (0, 0)
        while done == (0, 0) and time.monotonic() < end:
            time.sleep(0.005)
            done = os.waitpid(driver, os.WNOHANG)
        if over := done != (0, 0):
            assert os.waitstatus_to_exitcode(done[1]) == 0
        else:
            os.kill(driver, signal.SIGKILL)
            os.waitpid(driver, 0)
            kills += 1
    assert kills and read_status(run).entries == whole.entries
    assert _keys(run.path) == _keys(tmp_path / "whole")
    assert {point[:2] for point in read_points(run.path)} == {point[:2] for point in read_points(tmp_path / "whole")}
