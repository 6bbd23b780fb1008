"""Searches for an ensemble, and under budgets, whose run lies on an object store."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from object_store import object_store
from small_world import CENTROID, FAMILIES, Centroid, corpus, recipe_file
from test_runner import _recipe as small_recipe
from test_runner import _search as small_search
from test_runner import data  # noqa: F401  a fixture

import emofuse
from search.budget.parts import read_parts
from search.cluster.workers import Workers
from search.goal.history import read_points
from search.recipe.reading import read_recipe
from search.run import remote as remote_module
from search.run.predictions import prediction_files
from search.run.remote import Remote, search_path
from search.runner import run_search

HERE = Path(__file__).parent
# What a killed driver had not brought there yet.
BY_DRIVER = ("study.journal", "asked.jsonl", "fused.jsonl", "stopped.jsonl", "worked.json")


@pytest.fixture(autouse=True)
def _own_mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "mirrors"))
    monkeypatch.setattr(remote_module, "_open", {})


class Killed(BaseException):
    """What a search sees of its end."""


@pytest.fixture
def dying(monkeypatch, world):
    """The number of trainings after which a search dies; None: it doesn't."""
    state = {"after": None}

    class Dying(Centroid):
        def fit(self, *args, **options):
            if state["after"] is not None:
                state["after"] -= 1
                if state["after"] < 0:
                    raise Killed
            return super().fit(*args, **options)

        def predict(self, examples):
            """Each configuration mistakes other clips."""
            scores = super().predict(examples)
            mistaken = np.random.default_rng(int(1e6 * self.hyperparameters["scale"])).random(len(scores)) < 0.3
            scores[mistaken] = scores[mistaken, ::-1]
            return scores

    for name in ("one", "other"):
        monkeypatch.setitem(FAMILIES, name, replace(CENTROID, name=name, build=Dying))
    for module in ("studies", "drawing"):
        monkeypatch.setattr(f"search.sampling.{module}.START", 2)
    return state


def _search(folder, out, recipe, workers=None):
    places = {"clips": folder / "clips.parquet", "store": folder / "store"}
    return run_search(recipe, out=out, workers=workers or Workers(in_process=True), **places)


def _keys(run):
    return sorted(path.stem for path in prediction_files(run))


def _elsewhere(tmp_path, monkeypatch, name):
    """Another machine has no mirror."""
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / name))
    monkeypatch.setattr(remote_module, "_open", {})


def test_a_search_for_the_ensemble_goes_on_elsewhere_as_the_one_that_nobody_killed(
    dying, tmp_path, monkeypatch, capsys
):
    corpus(tmp_path)
    entries = {name: {"configurations": 12, "max_epochs": 1} for name in ("one", "other")}
    stages = [{"stage": "clips", "entries": entries}]
    words = {"goal": "ensemble", "sampler": "tpe", "stop_when": {"no_gain": 13}, "partitions": ["train", "swap"]}
    recipe = read_recipe(recipe_file(tmp_path, stages=stages, **words))
    whole = _search(tmp_path, tmp_path / "whole", recipe)
    store, uri = tmp_path / "store-of-runs" / "run", f"file://{tmp_path / 'store-of-runs' / 'run'}"
    store.parent.mkdir()
    for number, after in enumerate((15, 9, 9)):
        before = {name: (store / name).read_bytes() for name in BY_DRIVER if (store / name).exists()}
        dying["after"] = after
        with pytest.raises(Killed):
            _search(tmp_path, search_path(uri), recipe)
        _elsewhere(tmp_path, monkeypatch, f"machine-{number}")
        for name in BY_DRIVER:
            (store / name).unlink(missing_ok=True)
            if name in before:
                (store / name).write_bytes(before[name])
    dying["after"] = None
    status = _search(tmp_path, search_path(uri), recipe)
    assert status.entries == whole.entries and status.enough == whole.enough
    assert _keys(store) == _keys(tmp_path / "whole")
    assert {p[:2] for p in read_points(store)} == {p[:2] for p in read_points(tmp_path / "whole")}
    _elsewhere(tmp_path, monkeypatch, "reader")
    dying["after"] = 0
    assert _search(tmp_path, search_path(uri), recipe).entries == status.entries, "nothing is started"
    capsys.readouterr()
    assert emofuse.main(["search", "status", uri, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["enough"] == whole.enough and len(told["fused"]["points"]) == len(read_points(tmp_path / "whole"))
    assert emofuse.main(["report", uri, "-o", str(tmp_path / "page.html")]) == 0
    assert "Fused score" in (tmp_path / "page.html").read_text()


class Slow(Centroid):
    """Takes 40 ms for an epoch."""

    def predict(self, examples):
        time.sleep(0.04)
        return super().predict(examples)


def _two_entries(folder, slow, **words):
    entries = {"slow": {"configurations": 2, **slow}, "centroid": {"configurations": 2}}
    return read_recipe(recipe_file(folder, stages=[{"stage": "clips", "entries": entries}], asha=None, **words))


def test_an_entry_whose_hours_are_over_stops_on_s3_too(tmp_path, monkeypatch, world):
    monkeypatch.setitem(FAMILIES, "slow", replace(CENTROID, name="slow", build=Slow, max_epochs=60))
    monkeypatch.setattr("search.budget.clock._LOOK_S", 0.05)
    corpus(tmp_path)
    recipe = _two_entries(tmp_path, {"budget": {"hours": 0.8 / 3600}})
    with object_store() as store:
        out = search_path(store.uri("run"))
        status = _search(tmp_path, out, recipe)
        assert {entry.entry: (entry.finished, entry.left) for entry in status.entries} == {
            "slow": (0, 2),
            "centroid": (2, 0),
        }
        (part,) = read_parts(out)
        assert part.entry == "slow" and 0.5 < part.wall_s < 10
        remote = Remote(store.uri("run"), "reader")
        assert not remote.marked(".stopping") and any("checkpoints/" in name for name, _ in remote._list(""))


@pytest.mark.slow
def test_on_ray_an_entry_whose_hours_are_over_stops_and_the_others_go_on(data, tmp_path, monkeypatch):  # noqa: F811
    """Its trial has a hundred epochs of 0.3 s; the ensemble is searched for meanwhile, and goes on later."""
    (tmp_path / "slow").touch()
    monkeypatch.setenv("EMOFUSE_SABOTAGE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE / "sabotage"), str(HERE.parents[1])]))
    long = {"max_epochs": 100, "training": {"patience": 100}, "budget": {"hours": 3 / 3600}}
    entries = {"long": {"configurations": 1, **long}, "pool": {"configurations": 6}}
    words = {"goal": "ensemble", "partitions": ["train"]}
    with object_store() as store:
        out = search_path(store.uri("run"))
        began = time.monotonic()
        status = small_search(data, small_recipe(tmp_path, entries, **words), out, workers=Workers(cpus=2))
        assert time.monotonic() - began < 400
        by_name = {entry.entry: entry for entry in status.entries}
        assert (by_name["long"].finished, by_name["long"].left) == (0, 1) and by_name["pool"].finished >= 3
        parts = [part for part in read_parts(out) if part.entry == "long"]
        assert parts and 3 < sum(part.wall_s for part in parts) < 90
        remote = Remote(store.uri("run"), "reader")
        names = {name for name, _ in remote._list("")}
        assert any(name.startswith("checkpoints/") for name in names) and "fused.jsonl" in names
        assert not remote.marked(".stopping") and len(read_points(out)) == by_name["pool"].finished
        (tmp_path / "slow").unlink()
        entries["long"] = {"configurations": 1, "max_epochs": 2}
        again = small_search(data, small_recipe(tmp_path, entries, **words), out, workers=Workers(cpus=2))
        assert again.left == 0 and sum(entry.finished for entry in again.entries) == 7
