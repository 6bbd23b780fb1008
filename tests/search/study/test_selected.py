"""Layers cut down to what a random forest on the stills finds important."""

import numpy as np
import pytest
from small_world import message

from features.errors import WrongUse
from search.recipe.recipe import recipe_of_data
from search.study.activations import ensure_activations, read_source
from search.study.plan import entry_spec
from search.study.selected import most_important
from search.trial.trial import run_trial

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}
STAGES = [
    {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1}}},
    {"stage": "clips", "entries": {"pooled": {"configurations": 1, "inputs": {"frames": "toy_cnn.flat:selected=2"}}}},
]


@pytest.fixture
def run(small_run):
    run = small_run(stages=STAGES, stills=True)
    run_trial(entry_spec(run, *run.recipe.entry("toy_cnn")).at(POINT, "stills"))
    return run


def test_the_columns_that_carry_the_label_are_found():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 3
    rows = rng.normal(size=(80, 12)).astype(np.float32)
    rows[:, 7] += 3 * y
    rows[:, 2] -= 3 * (y == 1)
    labels = np.array(["angry", "happy", "sad"])[y]
    assert most_important(rows, labels, 2, trees=50) == (2, 7)
    assert most_important(rows, labels, 12, trees=5) == tuple(range(12))


def test_a_cut_layer_is_a_set_of_its_own_with_its_columns_kept(run):
    whole, cut = ensure_activations(run, "toy_cnn.flat"), ensure_activations(run, "toy_cnn.flat:selected=2")
    source, columns = read_source(run, "toy_cnn.flat:selected=2", cut.key)
    assert (source.selected, len(columns), cut.shape) == (2, 2, (2,))
    assert whole.key != cut.key
    clip = whole.ids[0]
    np.testing.assert_array_equal(cut[clip], whole[clip][:, columns])
    assert cut.info.columns == tuple("abcd"[column] for column in columns)


def test_a_trial_reads_it(run):
    ensure_activations(run, "toy_cnn.flat:selected=2")
    stage, entry = run.recipe.entry("pooled")
    result = run_trial(entry_spec(run, stage, entry).at(POINT, "train"))
    assert result.status == "finished"


def test_only_the_stills_train_split_is_looked_at(run, monkeypatch):
    seen = []

    def spy(rows, y, n):
        seen.append((len(rows), len(y)))
        return (0, 3)

    monkeypatch.setattr("search.study.selected.most_important", spy)
    ensure_activations(run, "toy_cnn.flat:selected=2")
    assert seen == [(len(run.table("backbone").split("train")),) * 2]


def test_more_than_there_are_is_refused(run):
    told = message(ensure_activations, run, "toy_cnn.flat:selected=9", error=WrongUse)
    assert told == "Input 'toy_cnn.flat:selected=9': the layer has only 4 numbers."


def test_a_recipe_names_it_beside_a_whitening():
    entry = {"family": "cnn_irnn", "configurations": 1, "inputs": {"frames": "face_cnn.conv2:selected=100|pca=5"}}
    recipe = recipe_of_data({"name": "r", "stages": [{"stage": "clips", "entries": {"one": entry}}]}, "r")
    assert recipe.entry("one")[1].input_specs() == {"frames": "face_cnn.conv2:selected=100|pca=5"}
