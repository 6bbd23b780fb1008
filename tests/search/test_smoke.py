"""Recipes made small enough to be tried in minutes."""

import pytest
import yaml
from small_world import message

import emofuse
from features.errors import WrongUse
from models.registry import families
from search.recipe.limits import Budget
from search.smoke import read_smoke_recipe

RECIPE = {
    "name": "large",
    "partitions": ["train", {"folds": 9}],
    "stages": [
        {
            "stage": "backbone",
            "entries": {
                "vgg16": {"configurations": 9, "inputs": {"faces": "fer2013_224_colour"}, "weights": "vgg_face.pth"},
                "face_cnn": {"configurations": 2, "inputs": {"faces": "faces:fps=12"}},
                "equalised": {
                    "family": "face_cnn",
                    "configurations": 1,
                    "inputs": {"faces": "fer2013_equalised"},
                    "clip_faces": "faces:equalise=true",
                },
            },
        },
        {
            "stage": "clips",
            "entries": {
                "irnn": {
                    "family": "cnn_irnn",
                    "configurations": 30,
                    "space": {"hidden": [200, 400]},
                    "fixed": {"clip": 1.0},
                },
                "audio_svm": {"configurations": 5, "fixed": {"pca": 0.9}},
            },
        },
    ],
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def test_numbers_shrink_and_the_protocol_stays(path):
    recipe = read_smoke_recipe(path)
    assert recipe.partition_names("clips") == ("train", "fold-0-of-2", "fold-1-of-2")
    assert recipe.asha is None
    assert {entry.configurations for _, entry in recipe.all_entries()} == {1}
    assert {entry.max_epochs for _, entry in recipe.all_entries()} == {1, 2}
    _, irnn = recipe.entry("irnn")
    assert irnn.fixed == {"clip": 1.0, "hidden": 50}
    assert irnn.space == {}
    assert recipe.entry("audio_svm")[1].fixed == {"pca": 0.9}


def test_faces_are_extracted_where_stills_were_imported_and_no_weights_are_read(path):
    recipe = read_smoke_recipe(path)
    _, vgg = recipe.entry("vgg16")
    assert vgg.weights is None
    assert vgg.input_specs() == {"faces": "faces:colour=true,size=224"}
    assert recipe.entry("face_cnn")[1].input_specs() == {"faces": "faces:fps=12"}
    assert recipe.entry("equalised")[1].input_specs() == {"faces": "faces:equalise=true"}


def test_random_weights_stand_for_the_models_that_a_recipe_names(tmp_path):
    entries = {
        "layers": {"family": "layer_mix", "configurations": 3, "inputs": {"layers": "speech:model=big,layers=6-12"}},
        "one": {
            "family": "attention_pool",
            "configurations": 3,
            "inputs": {"frames": "vision:model=b,fps=2,of=frames"},
        },
        "some": {
            "family": "attention_pool",
            "configurations": 3,
            "inputs": {"frames": ["onnx:model=x.onnx,of=speech,rate=8000", "short_term", "onnx:model=y.onnx,fps=1"]},
        },
        "head": {"family": "embedding_head", "configurations": 3},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "stages": [{"stage": "clips", "entries": entries}]}))
    recipe = read_smoke_recipe(path)
    assert {name: list(recipe.entry(name)[1].input_specs().values()) for name in entries} == {
        "layers": ["speech:layers=6-12,model=random"],
        "one": ["vision:fps=2,model=random,of=frames"],
        "some": ["speech:model=random", "short_term", "vision:fps=1,model=random"],
        "head": ["speech:model=random,pool=mean"],
    }
    assert list(recipe.entry("some")[1].input_specs()) == ["frames_1", "frames_2", "frames_3"]


def test_mistakes_in_the_recipe_are_told(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nstages: [{stage: clips, entries: {audio_svn: {configurations: 1}}}]\n")
    assert "Unknown family 'audio_svn'" in message(read_smoke_recipe, path, error=WrongUse)


def test_every_smoke_point_stays_within_its_family():
    for family in families().values():
        assert set(family.smoke) <= set(family.space)


@pytest.mark.parametrize(
    "words, told",
    [
        (["--smoke", "--clips", "c.parquet"], "--smoke makes its own clips and stills: leave out --clips."),
        (["--clips", "c.parquet"], "A search needs --store and -o; to try the recipe on made-up clips instead"),
    ],
)
def test_data_is_given_or_made_up(path, capsys, words, told):
    assert emofuse.main(["search", "run", str(path), *words]) == 2
    assert told in capsys.readouterr().err


def test_nothing_ends_it_before_every_entry_was_tried(tmp_path):
    entries = {
        "first": {"family": "audio_svm", "configurations": 40, "budget": {"hours": 1}, "choose_on": "fold-8-of-9"},
        "second": {"family": "audio_svm", "configurations": 40, "choose_on": "train"},
    }
    limits = {"budget": {"trials": 20}, "stop_when": {"no_gain": 2}, "fold_stopping": {"rule": "median"}}
    recipe = {"name": "x", "partitions": RECIPE["partitions"], "goal": "ensemble", **limits}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "stages": [{"stage": "clips", "entries": entries}]}))
    small = read_smoke_recipe(path)
    assert (small.budget, small.stop_when, small.fold_stopping) == (Budget(), None, None) and small.goal == "ensemble"
    assert small.entry("first")[1].budget == Budget()
    assert [small.entry(name)[1].choose_on for name in entries] == ["train", "train"]
    assert small.partition_names("clips") == ("train", "fold-0-of-2", "fold-1-of-2")
