"""Own points, the best of another run, values that draws lie around."""

import json
import re
from dataclasses import replace

import pytest
from small_world import message, recipe_file

from features.errors import WrongUse
from models.space import Choice, Float, Int
from search.cluster.workers import Workers
from search.recipe.entry import Entry
from search.recipe.reading import read_recipe
from search.run.predictions import prediction_files, read_footer
from search.runner import run_search
from search.sampling.drawing import Drawer
from search.sampling.first_points import first_points, moved
from search.sampling.warm import with_warm_start

FULL = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}  # the family's first published point


def _entry(**changes):
    return Entry(**{"name": "one", "family": "centroid", "configurations": 9, **changes})


def test_own_points_come_first_and_what_they_do_not_say_is_as_published(world):
    entry = _entry(points=[{"scale": 3, "kind": "b"}, {"steps": 5}], space={"n": [2, 8]})
    own = {"scale": 3.0, "steps": 2, "kind": "b", "n": 2}
    assert first_points(entry) == (
        own,
        {**FULL, "steps": 5, "n": 2},
        {"scale": 5.0, "steps": 2, "kind": "b", "n": 8},
    )
    assert first_points(_entry(points=[{}], configurations=1)) == (FULL,)
    warm = {**FULL, "scale": 2.0}
    assert first_points(entry, [warm, own])[:3] == (own, {**FULL, "steps": 5, "n": 2}, warm)
    assert "kind" not in first_points(_entry(points=[{"kind": "b"}], fixed={"kind": "a"}))[0], "as --smoke fixes sizes"


def test_a_family_that_publishes_nothing_begins_in_the_middle(world, monkeypatch):
    space = {
        "lr": Float(1e-4, 1e-2, log=True),
        "width": Int(8, 512, log=True),
        "rate": Float(0.0, 0.5),
        "kind": Choice(("a", "b")),
    }
    record = replace(_entry().record(), space=space, published=(), smoke={})
    monkeypatch.setattr(Entry, "record", lambda self: record)
    assert first_points(_entry()) == ()
    (point,) = first_points(_entry(points=[{"kind": "b"}]))
    assert point == {"lr": pytest.approx(1e-3), "width": 64, "rate": 0.25, "kind": "b"}


@pytest.mark.parametrize(
    ("parameter", "value", "nearest"),
    [
        (Float(0.1, 1.0), 5, 1.0),
        (Int(1, 5), 7, 5),
        (Int(1, 5), 2.6, 3),
        (Choice((2, 4, 8)), 7, 8),
        (Choice((2, 4, 8)), "rbf", 2),
        (Choice(("a", "b")), "c", "a"),
        (Float(0.1, 1.0), True, 0.1),
    ],
)
def test_a_value_is_moved_to_the_nearest_there_is(parameter, value, nearest):
    found = moved(parameter, value)
    assert found == nearest and parameter.check(found) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"points": [{}, {"scale": 99}]},
            "points[1]: hyperparameter 'scale': expected a number in [0.1, 10], but got 99.",
        ),
        ({"points": [{"steps": "two"}]}, "points[0]: hyperparameter 'steps': expected a whole number, but got 'two'."),
        ({"points": [{"n": 3}]}, "points[0]: hyperparameter 'n': expected one of [2, 4, 8], but got 3."),
        (
            {"points": [{"n": 2}], "fixed": {"n": 2}},
            "points[0]: hyperparameter 'n' is `fixed`, so it is not searched; leave it out.",
        ),
        ({"prior": {"scale": 0.01}}, "prior: hyperparameter 'scale': expected a number in [0.1, 10], but got 0.01."),
        (
            {"prior": {"scael": 1}},
            "Unknown hyperparameter of family 'centroid' in prior 'scael': known are kind, n, scale, steps. "
            "Did you mean 'scale'?",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, world, change, told):
    recipe = recipe_file(
        tmp_path, stages=[{"stage": "clips", "entries": {"centroid": {"configurations": 2, **change}}}]
    )
    assert message(read_recipe, recipe, error=WrongUse).endswith(f"stages[0].entries.centroid: {told}")


def test_random_draws_lie_around_the_prior_and_the_rest_is_as_without():
    space = {"lr": Float(1e-5, 1e-1, log=True), "hidden": Int(8, 512, log=True), "kind": Choice(("a", "b", "c"))}

    def draw(prior, seed):
        return Drawer(space, seed=seed, entry="one", tpe=False, prior=prior).draw([], {}, 0)

    with_prior = [draw({"lr": 1e-3, "kind": "c"}, seed) for seed in range(60)]
    without = [draw({}, seed) for seed in range(60)]
    assert [point["hidden"] for point in with_prior] == [point["hidden"] for point in without]
    assert (
        sum(1e-4 < point["lr"] < 1e-2 for point in with_prior) > 42 > 36 > sum(1e-4 < p["lr"] < 1e-2 for p in without)
    )
    assert 22 < sum(point["kind"] == "c" for point in with_prior) < 40
    assert all(space[name].check(value) is None for point in with_prior for name, value in point.items())


def test_a_small_space_with_a_prior_is_searched_to_its_end():
    space = {"n": Int(1, 40)}
    drawer, points = Drawer(space, seed=0, entry="one", tpe=False, prior={"n": 1}), []
    for _ in range(40):
        points.append(drawer.draw(points, {}, 0))
    assert {point["n"] for point in points} == set(range(1, 41))


def _search(run, recipe, out):
    return run_search(recipe, clips=run.clips, store=run.store, out=out, workers=Workers(in_process=True))


def test_another_runs_best_come_first_mapped_told_and_kept(small_run, tmp_path, capfd):
    run = small_run(stages=[{"stage": "clips", "entries": {"earlier": {"family": "centroid", "configurations": 6}}}])
    _search(run, run.recipe, run.path)
    footers = [read_footer(path) for path in prediction_files(run.path)]
    best = sorted(footers, key=lambda footer: (-footer.metrics["accuracy"], footer.config_key))[:3]
    capfd.readouterr()
    entry = {
        "configurations": 4,
        "published": False,
        "fixed": {"kind": "a"},
        "space": {"scale": {"low": 0.1, "high": 0.2}},
    }
    changes = {"warm_start": ["run"], "stages": [{"stage": "clips", "entries": {"centroid": entry}}]}
    recipe = read_recipe(recipe_file(tmp_path, **changes))
    out = tmp_path / "second"
    _search(run, recipe, out)
    told = capfd.readouterr().err
    for footer in best:
        worth = f"{footer.metrics['accuracy']:.3f}"
        assert re.search(rf"warm start of centroid by earlier of \S*run \(held-out accuracy {worth}\).*scale", told)
    warm = json.loads((out / "run.json").read_text())["warm"][str(tmp_path / "run")]["centroid"]
    wanted = [{n: v for n, v in footer.hyperparameters.items() if n not in ("kind", "scale")} for footer in best]
    assert [{n: v for n, v in point.items() if n != "scale"} for point in warm] == wanted
    found = [read_footer(path).hyperparameters for path in prediction_files(out)]
    assert len(found) == 4 and all({**point, "kind": "a"} in found for point in warm)
    before = {path.name for path in prediction_files(out)}
    for path in prediction_files(run.path):
        path.unlink()  # the other run may go away
    (out / "study.journal").unlink()
    _search(run, recipe, out)
    assert {path.name for path in prediction_files(out)} == before and "warm start" not in capfd.readouterr().err


def test_a_run_without_that_family_is_told(small_run, tmp_path, capfd):
    run = small_run()
    recipe = read_recipe(recipe_file(tmp_path, warm_start=["run"]))
    _search(run, recipe, tmp_path / "second")
    assert "run has no finished configuration of a family of this recipe" in capfd.readouterr().err


def test_a_run_is_no_warm_start_of_itself(small_run, tmp_path):
    run = small_run(warm_start=["run"])
    assert message(with_warm_start, run, error=WrongUse) == (
        f"warm_start: expected other runs, but {run.path} is this one, which goes on by itself."
    )
