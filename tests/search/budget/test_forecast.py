"""The lines of `search run` that tell when it will be done."""

import re
import time
from dataclasses import replace

import pytest
from small_world import CENTROID, FAMILIES, Centroid

from search.budget.forecast import Forecast
from search.budget.left import left_by_entry, standings
from search.cluster.workers import Workers
from search.run.ended import Ended
from search.run.planned import Planned
from search.runner import run_search
from search.trial.heartbeats import searching

STAGES = [{"stage": "clips", "entries": {"centroid": {"configurations": 3}}}]
LINE = r"\d\d:\d\d:\d\d  (\d+) trials? (?:is|are) left, [\d,]+ trials per hour; about [^;]+ to go, until 20"


def _ended(key, status="finished", wall_s=10.0):
    return Ended(key, key, "centroid", "train", status, 0.5, 1, wall_s, "")


@pytest.fixture
def run(small_run):
    made = small_run(stages=STAGES)
    with searching(made.path, lambda: ""):
        while not (made.path / "running" / "search.json").exists():
            time.sleep(0.01)
        yield made


def test_it_counts_what_it_is_told_of(run):
    forecast = Forecast(run.path)
    assert forecast.line() == "", "nothing is known before a trial has ended"
    forecast.note(_ended("a"))
    forecast.note(_ended("b", "pruned"))
    assert re.match(r"1 trial is left, [\d,]+ trials per hour; about .+ to go, until 20", forecast.line())
    forecast.forget("b")
    assert forecast.line().startswith("2 trials are left, ")
    forecast.note(_ended("b"))
    forecast.note(_ended("c"))
    assert forecast.line() == "", "nothing is left"


def test_silent_ray_promises_nothing(small_run):
    made = small_run(stages=STAGES)
    forecast = Forecast(made.path)
    forecast.note(_ended("a"))
    with searching(made.path, lambda: "", lambda: time.time() - 100):
        while not (made.path / "running" / "search.json").exists():
            time.sleep(0.01)
        assert forecast.line() == ""


class Slow(Centroid):
    """Takes a tenth of a second for an epoch."""

    def predict(self, examples):
        time.sleep(0.1)
        return super().predict(examples)


def test_a_search_says_when_it_will_be_done(small_run, capsys, monkeypatch):
    monkeypatch.setattr("search.budget.forecast.FIRST_S", 0.05)
    monkeypatch.setattr("search.budget.forecast.EVERY_S", 0.05)
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Slow))
    run = small_run(stages=STAGES)
    run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    lines = capsys.readouterr().err.splitlines()
    assert {"1", "2"} == {found[1] for line in lines if (found := re.match(LINE, line))}
    told = [bool(re.match(LINE, line)) for line in lines]
    assert told.index(True) > next(n for n, line in enumerate(lines) if " 1 of 3 " in line)
    assert len(told) - told[::-1].index(True) < len(lines), "nothing is said when nothing is left"


def test_what_flows_is_shared_by_the_entries_of_its_stage():
    plan = [
        Planned(stage, name, name, 10, ["train"], flows=name != "cnn")
        for stage, name in (("backbone", "cnn"), ("clips", "a"), ("clips", "b"))
    ]
    plan = [replace(one, study="s") for one in plan]
    asked = {"a": {"s": {0: "k0", 1: "k1"}}, "b": {"s": {0: "k2"}}}
    ended = [Ended("t", "k0", "a", "train", "finished", 0.5, 1, 1.0, "")]
    assert left_by_entry(standings(plan, ended, asked, False), False) == {"cnn": 10, "a": 1 + 8.5, "b": 1 + 8.5}
    assert left_by_entry(standings(plan, ended, asked, True), True) == {"cnn": 10, "a": 1, "b": 1}
