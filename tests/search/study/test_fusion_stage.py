"""The stage `fusion`: encodings of the best trials of earlier entries, as features."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from small_world import corpus, message, recipe_file

from features.errors import EmofuseError, WrongUse
from features.store.store import StoredSet
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.folder import RunFolder
from search.run.partitions import make_partition
from search.run.predictions import prediction_files, read_footer, read_predictions
from search.run.remote import search_path
from search.runner import run_search
from search.study.best import best_trials
from search.study.plan import encoder_refits, entry_spec, refit_spec
from search.trial.trial import run_trial

STAGES = [
    {
        "stage": "clips",
        "entries": {
            "one": {"family": "centroid", "configurations": 3},
            "two": {"family": "centroid", "configurations": 1, "inputs": {"x": "vec|pca=2"}},
        },
    },
    {
        "stage": "fusion",
        "entries": {"both": {"family": "fused", "configurations": 2, "inputs": {"members": ["one", "two"]}}},
    },
]


def search(folder, failed=(), **changes):
    clips = corpus(folder, failed=failed)
    path = recipe_file(folder, **{"partitions": ["train", "swap"], "stages": STAGES, **changes})
    run_search(
        read_recipe(path), clips=clips, store=folder / "store", out=folder / "run", workers=Workers(in_process=True)
    )
    return RunFolder.open(folder / "run")


def trials(run, entry):
    return [f for f in map(read_footer, prediction_files(run.path)) if f.entry == entry]


@pytest.fixture(scope="module")
def run(tmp_path_factory, module_world):
    """A finished search, only to be looked at."""
    return search(tmp_path_factory.mktemp("finished"))


def test_it_reads_what_the_best_configurations_models_say_on_the_same_partition(run):
    found = trials(run, "both")
    assert sorted(f.partition for f in found) == ["swap", "swap", "train", "train"]
    by_key = {f.trial_key: f for entry in ("one", "two") for f in trials(run, entry)}
    means = {}
    for f in trials(run, "one"):
        means[f.config_key] = means.get(f.config_key, 0) + f.metrics["accuracy"] / 2
    for footer in found:
        assert footer.parents == tuple(footer.encoders.values())
        read = [by_key[key] for key in footer.parents]
        assert [(f.entry, f.partition) for f in read] == [("one", footer.partition), ("two", footer.partition)]
        assert means[read[0].config_key] == max(means.values())
        assert footer.feature_keys == {"members_1": read[0].config_key, "members_2": read[1].config_key}


def test_nothing_that_a_member_was_fitted_on_is_held_out_from_the_fusion(run):
    for footer in trials(run, "both"):
        sides = make_partition(run.table(), footer.partition, seed=run.recipe.seed)
        for slot, entry in (("members_1", "one"), ("members_2", "two")):
            parent = read_predictions(run.prediction(entry, footer.encoders[slot]))
            fit = {clip_id for clip_id, role in zip(parent.clip_id, parent.role, strict=True) if role == "fit"}
            assert fit == set(sides.fit_ids)
            stored = StoredSet(run.encodings(entry, footer.encoders[slot]))
            assert (stored.level, stored.shape, len(stored)) == ("clip", (2,), 20)


def test_only_the_best_models_are_kept(run):
    kept = {path.name for path in (run.path / "models").iterdir()}
    assert kept == {key for footer in trials(run, "both") for key in footer.parents}


def test_the_same_command_goes_on_with_what_is_there(tmp_path, world, capsys):
    run = search(tmp_path)
    before = {path: read_predictions(path).probabilities for path in prediction_files(run.path)}
    capsys.readouterr()
    search(tmp_path)
    assert set(prediction_files(run.path)) == set(before)
    assert "once more" not in capsys.readouterr().err

    for path in (run.path / "encodings").glob("*/*"):
        path.rename(path.with_name(f"gone-{path.name}"))
    stages = yaml.safe_load(yaml.safe_dump(STAGES))
    stages[0]["entries"]["one"]["configurations"] = 6
    stages[1]["entries"]["both"]["configurations"] = 3
    run = search(tmp_path, stages=stages)
    for path, probabilities in before.items():
        np.testing.assert_array_equal(read_predictions(path).probabilities, probabilities)
    base = entry_spec(run, "clips", run.recipe.entry("one")[1])
    best = best_trials(base, ("train", "swap"))["train"].trial_key
    assert len([f for f in trials(run, "both") if f.encoders["members_1"] == best]) == 3


def test_on_an_object_store_the_encodings_travel_too(tmp_path, world, monkeypatch):
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "mirrors"))
    monkeypatch.setattr("search.run.remote._open", {})
    clips = corpus(tmp_path)
    recipe = read_recipe(recipe_file(tmp_path, stages=STAGES))
    out = search_path(f"file://{tmp_path / 'far'}")
    status = run_search(recipe, clips=clips, store=tmp_path / "store", out=out, workers=Workers(in_process=True))
    assert [entry.finished for entry in status.entries] == [3, 1, 2]
    assert len(list((tmp_path / "far" / "encodings").glob("*/*/set.json"))) == 2


def test_a_clip_that_a_member_could_not_read_is_missing_here_too(tmp_path, world):
    run = search(tmp_path, failed=("clips-val-3",))
    for footer in trials(run, "both"):
        rows = read_predictions(run.prediction("both", footer.trial_key))
        assert [clip_id for clip_id, ok in zip(rows.clip_id, rows.valid, strict=True) if not ok] == ["clips-val-3"]
    stored = StoredSet(next((run.path / "encodings" / "one").iterdir()))
    assert (stored.status("clips-val-3"), stored.reason("clips-val-3")) == ("no_face", "no face in 3 frames")


def test_a_refit_reads_its_members_refits(run):
    pair = [f for f in trials(run, "both") if f.config_key == trials(run, "both")[0].config_key]
    encoders = encoder_refits(run, pair)
    spec = refit_spec(run, pair)
    assert spec.encoder_keys == {slot: encoder.trial_key for slot, encoder in encoders.items()}
    told = message(run_trial, spec)
    assert "expected the encodings of entry 'one'; run the same command again to make them." in told
    for encoder in encoders.values():
        assert encoder.partition == "full"
        run_trial(encoder)
    result = run_trial(spec)
    refit = read_footer(result.path)
    assert set(refit.parents) == {*(f.trial_key for f in pair), *(e.trial_key for e in encoders.values())}
    assert run.model_folder(result.trial_key).exists()
    assert spec.trial_key != replace(spec, encoders={}).trial_key


def test_without_a_finished_configuration_it_says_so(small_run):
    run = small_run(stages=STAGES)
    base = entry_spec(run, "clips", run.recipe.entry("one")[1])
    told = message(best_trials, base, ("train",), error=EmofuseError)
    assert told.startswith("Entry 'one': no configuration is finished on train, so its encodings can't be fused")


def told_of(folder, members=("one",), inputs=None):
    stages = [
        {"stage": "clips", "entries": {"one": {"family": "centroid", "configurations": 1, "inputs": inputs or {}}}},
        {
            "stage": "fusion",
            "entries": {
                "both": {
                    "family": "fused",
                    "configurations": 1,
                    "inputs": {"members": members if isinstance(members, str) else [*members]},
                }
            },
        },
    ]
    return message(read_recipe, recipe_file(folder, stages=stages), error=WrongUse)


def test_mistakes_in_a_recipe_are_told(tmp_path, world):
    told = told_of(tmp_path, ["one", "three"])
    assert "of entries of an earlier stage `clips`, but 'three' is none (there: one)" in told
    assert "entry 'one' is listed twice" in told_of(tmp_path, "one, one|pca=2")
    assert "expected one feature set, but got a list of 2" in told_of(tmp_path, inputs={"x": ["vec", "vec"]})
    told = told_of(tmp_path, inputs={"x": "vec|pca=0"})
    assert "expected pca=N or scaled_pca=N with N from 1 after the |, but got 'pca=0'" in told


def test_only_vectors_are_whitened(tmp_path, world):
    stages = [{"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1, "inputs": {"faces": "imgs|pca=2"}}}}]
    told = message(read_recipe, recipe_file(tmp_path, stages=stages), error=WrongUse)
    assert "expected a grey image for each frame, but 'imgs|pca=2' is whitened, as only vectors can be" in told


def test_whitening_is_part_of_the_key_and_of_the_footer(run):
    assert next(f.inputs for f in trials(run, "two")) == {"x": "vec|pca=2"}
    spec = entry_spec(run, "clips", run.recipe.entry("two")[1])
    assert spec.config_key != replace(spec, inputs={"x": "vec"}).config_key
