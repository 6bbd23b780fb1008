from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_world import CENTROID, FAMILIES, corpus, message, recipe_file

from features.errors import WrongUse
from features.files import read_json, write_json
from models.family import Resources
from models.space import Choice, Float, Int, check_point
from search.recipe.entry import Entry
from search.recipe.limits import Asha
from search.recipe.reading import read_recipe
from search.recipe.recipe import recipe_of_data

pytestmark = pytest.mark.usefixtures("world")


def entries(**entry):
    """A recipe's stages: one entry `one` of family centroid."""
    return [{"stage": "clips", "entries": {"one": {"family": "centroid", "configurations": 9, **entry}}}]


def read(tmp_path, **changes):
    return read_recipe(recipe_file(tmp_path, **changes))


def entry(tmp_path, **changes):
    return read(tmp_path, stages=entries(**changes)).entry("one")[1]


def refused(tmp_path, **changes):
    text = message(read, tmp_path, error=WrongUse, **changes)
    return text.removeprefix(f"{tmp_path / 'recipe.yaml'}: ").removeprefix("stages[0].entries.one: ")


def test_defaults(tmp_path):
    recipe = read(tmp_path)
    assert (recipe.partition_names("clips"), recipe.partition_names("backbone")) == (("train",), ("stills",))
    assert (recipe.sampler, recipe.asha) == ("auto", Asha(grace_epochs=10, reduction=3, min_epochs=100))
    stage, one = recipe.entry("centroid")
    assert (stage, one.family, one.input_specs()) == ("clips", "centroid", {"x": "vec"})
    assert one.effective_space() == CENTROID.space
    assert one.request() == CENTROID.resources
    assert recipe_of_data(recipe.as_data(), "again") == recipe


def test_folds_are_partitions(tmp_path):
    names = read(tmp_path, partitions=["swap", {"folds": 2}]).partition_names("clips")
    assert names == ("swap", "fold-0-of-2", "fold-1-of-2")


def test_exponents_are_numbers(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: x\nstages: [{stage: clips, entries: {centroid: {configurations: 1, space: {scale: {low: 1e-3}}}}}]"
    )
    assert read_recipe(path).entry("centroid")[1].effective_space()["scale"] == Float(0.001, 10.0, log=True)


def test_space_is_changed_by_the_recipe(tmp_path):
    one = entry(tmp_path, space={"scale": {"low": 2, "high": 50}, "n": [4, 16], "steps": [1, 3]}, fixed={"kind": "a"})
    assert one.effective_space() == {"scale": Float(2.0, 50.0, log=True), "steps": Choice((1, 3)), "n": Choice((4, 16))}
    point = one.complete({"scale": 2, "steps": 1, "n": 4})
    assert point == {"kind": "a", "n": 4, "scale": 2.0, "steps": 1}
    assert list(map(type, point.values())) == [str, int, float, int]


def test_published_points_follow_the_space(tmp_path):
    first, second = ({"scale": 1.0, "steps": 2, "kind": "a", "n": 4}, {"scale": 5.0, "steps": 2, "kind": "b", "n": 8})
    assert entry(tmp_path).published_points() == (first, second)
    assert entry(tmp_path, configurations=1).published_points() == (first,)
    assert entry(tmp_path, published=False).published_points() == ()
    clipped = entry(tmp_path, space={"scale": {"low": 2}, "steps": {"low": 3}})
    assert clipped.published_points() == ({**first, "scale": 2.0, "steps": 3}, {**second, "steps": 3})
    assert entry(tmp_path, space={"n": [8, 16]}).published_points() == (second,)
    fixed = entry(tmp_path, fixed={"kind": "a", "n": 2, "scale": 1})
    assert fixed.published_points() == ({"steps": 2},)


def test_recipes_of_earlier_releases_say_trials(tmp_path):
    today, earlier = ([{"stage": "clips", "entries": {"centroid": {w: 3}}}] for w in ("configurations", "trials"))
    assert read(tmp_path, stages=earlier) == (recipe := read(tmp_path, stages=today))
    assert Entry(name="one", family="centroid", trials=3) == Entry(name="one", family="centroid", configurations=3)
    assert recipe.as_data()["stages"][0]["entries"]["centroid"]["configurations"] == 3
    earlier[0]["entries"]["centroid"]["trials"] = 0
    told = "stages[0].entries.centroid.trials: expected a number greater than 0, but got 0."
    assert message(read, tmp_path, stages=earlier).endswith(told)


numbers, wholes = st.floats(0.01, 100), st.integers(1, 20)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(numbers, numbers), st.tuples(wholes, wholes), st.sets(wholes, min_size=1))
def test_published_points_lie_in_the_space(scale, steps, n):
    space = {
        "scale": {"low": min(scale), "high": max(scale)},
        "steps": {"low": min(steps), "high": max(steps)},
        "n": list(n),
    }
    one = Entry(name="one", family="centroid", configurations=5, space=space)
    for point in one.published_points():
        check_point(one.effective_space(), point, "one")
        assert one.complete(point) == point


def test_resources_of_the_recipe_come_first(tmp_path):
    assert entry(tmp_path, resources={"cpu": 2, "gpu": 0}).request() == Resources(cpu=2.0, gpu=0.0, memory_mb=1000)


def test_a_layer_of_an_earlier_backbone_is_an_input(tmp_path):
    small = {"stage": "backbone", "entries": {"small": {"family": "toy_cnn", "configurations": 1}}}
    for name in ("small", "toy_cnn"):
        clips = {"stage": "clips", "entries": {"pooled": {"configurations": 1, "inputs": {"frames": f"{name}.first"}}}}
        assert read(tmp_path, stages=[small, clips]).entry("pooled")[1].input_specs() == {"frames": f"{name}.first"}
    clips["entries"]["pooled"]["inputs"]["frames"] = "small.firts"
    assert message(read, tmp_path, stages=[small, clips]).endswith(
        "Unknown layer of backbone 'small' 'firts': known are first, flat. Did you mean 'first'?"
    )
    clips["entries"]["pooled"]["inputs"] = {}
    assert message(read, tmp_path, stages=[clips, small]).endswith(
        "stages[0].entries.pooled: Input 'frames': 'toy_cnn.flat' is a layer of backbone 'toy_cnn', but no earlier "
        "backbone stage has such an entry (there: none)."
    )


def test_imported_sets_are_known_by_the_store(tmp_path):
    corpus(tmp_path)
    info = next((tmp_path / "store" / "vec").glob("*/set.json"))
    write_json(info, {**read_json(info, ""), "name": "mine", "imported": True})
    path = recipe_file(tmp_path, stages=entries(inputs={"x": "mine"}))
    assert read_recipe(path, tmp_path / "store").entry("one")[1].input_specs() == {"x": "mine"}
    assert message(read_recipe, path).endswith("Unknown feature set 'mine': known are imgs, vec.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", ", line 1: expected a recipe in YAML, but expected the node content, but found '<stream end>'."),
        ("name: a\nseed: 1\nseed: 2", ", line 3: expected a recipe in YAML, but the key 'seed' is there twice."),
        ("", ": the file: expected a mapping of keys to values, but got None."),
        ("- 1", ": the file: expected a mapping of keys to values, but got [1]."),
        ("name: a", ": stages: this key is required, but it is missing."),
    ],
)
def test_broken_files_are_told(tmp_path, text, told):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    assert message(read_recipe, path, error=WrongUse) == f"{path}{told}"


def test_a_missing_file_is_told(tmp_path):
    told = f"{tmp_path / 'none.yaml'}: no such file, expected a recipe."
    assert message(read_recipe, tmp_path / "none.yaml", error=WrongUse) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"sead": 1},
            "Unknown key 'sead': known are allow_shared_groups, asha, budget, disk_budget_gb, fold_stopping, goal, "
            "keep, lag, metric, name, partitions, plugins, sampler, seed, seeds, shares, stages, stop_when, "
            "submissions, warm_start. Did you mean 'seed'?",
        ),
        ({"seed": "one"}, "seed: expected a valid integer, but got 'one'."),
        ({"seed": -1}, "seed: expected a number greater than or equal to 0, but got -1."),
        ({"sampler": "tpee"}, "sampler: expected 'auto', 'random' or 'tpe', but got 'tpee'."),
        (
            {"partitions": ["trian"]},
            "partitions[0]: expected train, swap or {folds: n} with n of at least 2, but got 'trian'.",
        ),
        (
            {"partitions": [{"folds": 1}]},
            "partitions[0]: expected train, swap or {folds: n} with n of at least 2, but got {'folds': 1}.",
        ),
        ({"partitions": ["train", "train"]}, "partitions: 'train' is there twice."),
        (
            {"stages": [{"stage": "clip", "entries": {}}]},
            "stages[0].stage: expected 'backbone', 'clips' or 'fusion', but got 'clip'.",
        ),
        (
            {"stages": [{"stage": "backbone", "entries": {"centroid": {"configurations": 1}}}]},
            "stages[0].entries.centroid: Family 'centroid' belongs to stage 'clips', but the entry's stage is "
            "'backbone'.",
        ),
        (
            {"stages": [{"stage": "clips", "entries": {"a/b": {"configurations": 1}}}]},
            "stages[0].entries.a/b: an entry's name is made of letters, digits, _ and -, as files are.",
        ),
        (
            {"stages": [{"stage": "clips", "entries": {"centroid": None}}]},
            "stages[0].entries.centroid: expected a mapping of keys to values, but got None.",
        ),
        (
            {"stages": entries() + entries()},
            "stages[1].entries.one: an earlier stage has an entry of this name; give one another name.",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, changes, told):
    assert refused(tmp_path, **changes) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"family": "centroit"},
            "Unknown family 'centroit': known are centroid, fused, pooled, toy_cnn. Did you mean 'centroid'?",
        ),
        ({"configurations": 0}, "stages[0].entries.one.configurations: expected a number greater than 0, but got 0."),
        (
            {"trails": 3},
            "Unknown key 'trails': known are budget, choose_on, clip_faces, configurations, family, fixed, inputs, "
            "max_epochs, metric, points, prior, published, resources, seeds, space, task, training, weights, "
            "weights_from. Did you mean 'configurations'?",
        ),
        (
            {"trials": 3},
            "`trials` is what `configurations` was called in earlier releases; keep `configurations` alone.",
        ),
        ({"name": "two"}, "an entry's name is its key; leave out name 'two'."),
        (
            {"training": {"clip": -1}},
            "stages[0].entries.one.training.clip: expected a number greater than or equal to 0, but got -1.",
        ),
        (
            {"clip_faces": "imgs"},
            "clip_faces: only a backbone's layers are computed of faces, but the stage is 'clips'.",
        ),
        ({"inputs": {"y": "vec"}}, "Unknown input of family 'centroid' 'y': known are x."),
        ({"inputs": {"x": "vac"}}, "Unknown feature set 'vac': known are imgs, vec. Did you mean 'vec'?"),
        (
            {"inputs": {"x": "vec:sise=3"}},
            "Unknown parameter of feature set 'vec' 'sise': known are size. Did you mean 'size'?",
        ),
        (
            {"inputs": {"x": "imgs"}},
            "Input 'x': expected a vector for each clip, but 'imgs' gives a grey image for each frame (shape (2, 2)).",
        ),
        (
            {"space": {"scael": [1.0]}},
            "Unknown hyperparameter of family 'centroid' 'scael': known are kind, n, scale, steps. "
            "Did you mean 'scale'?",
        ),
        (
            {"space": {"n": [2]}, "fixed": {"n": 2}},
            "Hyperparameter 'n' stands under both `space` and `fixed`; keep one.",
        ),
        (
            {"space": {"scale": {"low": 5, "high": 2}}},
            "Hyperparameter 'scale': expected low <= high, but got low 5.0 and high 2.0.",
        ),
        ({"space": {"scale": {"low": -1}}}, "Hyperparameter 'scale': expected a number above 0, but got -1."),
        (
            {"space": {"scale": {"lo": 1}}},
            "Hyperparameter 'scale': Unknown key of a range 'lo': known are high, log, low. Did you mean 'low'?",
        ),
        (
            {"space": {"scale": 1.0}},
            "Hyperparameter 'scale': expected {low: ..., high: ...} or a list of values, but "
            "got 1.0; one value alone goes under `fixed`.",
        ),
        ({"space": {"steps": {"low": 1.5}}}, "Hyperparameter 'steps': expected a whole number, but got 1.5."),
        ({"space": {"kind": ["a", "c"]}}, "Hyperparameter 'kind': expected one of ['a', 'b'], but got 'c'."),
        (
            {"space": {"kind": {"low": 1}}},
            "Hyperparameter 'kind': expected a list of values such as ['a', 'b'], but got {'low': 1}.",
        ),
        (
            {"fixed": {"n": 2.5}},
            "Hyperparameter 'n': expected one of [2, 4, 8] or another number of that type, but got 2.5.",
        ),
        ({"fixed": {"scale": True}}, "Hyperparameter 'scale': expected a number, but got True."),
    ],
)
def test_an_entrys_mistakes_are_told(tmp_path, change, told):
    assert refused(tmp_path, stages=entries(**change)) == told


def test_a_choice_of_numbers_and_words_takes_both(tmp_path, monkeypatch):
    mixed = replace(CENTROID, space={**CENTROID.space, "n": Choice(("scale", 0.1))}, published=())
    monkeypatch.setitem(FAMILIES, "centroid", mixed)
    assert entry(tmp_path, space={"n": ["scale", 1]}).effective_space()["n"] == Choice(("scale", 1.0))
    assert refused(tmp_path, stages=entries(fixed={"n": "auto"})) == (
        "Hyperparameter 'n': expected one of ['scale', 0.1] or another number of that type, but got 'auto'."
    )


def test_a_run_keeps_the_recipe_as_yaml(small_run):
    run = small_run(asha=None, partitions=["train", {"folds": 2}])
    assert read_recipe(run.path / "recipe.yaml") == run.recipe
    assert yaml.safe_load((run.path / "recipe.yaml").read_text())["asha"] is None


def test_int_ranges_stay_whole(tmp_path):
    assert entry(tmp_path, space={"steps": {"high": 9}}).effective_space()["steps"] == Int(1, 9)
