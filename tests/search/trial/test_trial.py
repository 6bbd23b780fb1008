import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_world import CENTROID, FAMILIES, message

from features.clips import read_clips, write_clips
from models.metrics import held_out_metrics
from search.run.predictions import read_footer, read_predictions
from search.run.spec import TrialSpec
from search.study.plan import entry_spec, refit_spec
from search.trial.trial import finished_result, run_trial

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def spec_of(small_run):
    """Makes a run with one entry and gives its spec at POINT on `partition`."""

    def make(partition="train", **changes):
        run = small_run(**changes)
        stage, entry = run.recipe.entry("centroid")
        return entry_spec(run, stage, entry).at(POINT, partition)

    return make


def test_a_spec_travels_as_json(spec_of):
    spec = spec_of()
    assert TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert (spec.max_epochs, spec.gpu, spec.inputs, spec.epochs) == (6, 0.25, {"x": "vec"}, None)


def test_keys_name_the_work(spec_of):
    spec = spec_of()
    assert replace(spec, partition="swap").config_key == spec.config_key
    assert replace(spec, run="/elsewhere", cpu=4, gpu=1).trial_key == spec.trial_key
    same_config = [replace(spec, partition="swap"), replace(spec, epochs=3)]
    others = [
        replace(spec, hyperparameters={**POINT, "n": 2}),
        replace(spec, feature_keys={"x": "other"}),
        replace(spec, recipe_seed=4),
        replace(spec, clips_fingerprint="other"),
        replace(spec, family_version=2),
        replace(spec, max_epochs=5),
        replace(spec, entry="two"),
    ]
    assert {other.config_key for other in same_config} == {spec.config_key}
    assert len({s.config_key for s in [spec, *others]}) == 8
    assert len({s.trial_key for s in [spec, *same_config, *others]}) == 10
    assert len({s.seed for s in [spec, *others]}) == 8


def test_a_trial_predicts_every_clip(spec_of):
    spec, heard = spec_of(), []
    result = run_trial(spec, report=lambda epoch, metrics: heard.append((epoch, metrics["accuracy"])))
    stored = read_predictions(result.path)
    footer = stored.footer
    assert [epoch for epoch, _ in heard] == [1, 2, 3, 4, 5, 6]
    assert heard[-1][1] == result.value == result.metrics["accuracy"] == footer.metrics["accuracy"]
    assert [stored.role.count(role) for role in ("fit", "held_out", "test")] == [8, 8, 4]
    labels = [label for label, role in zip(stored.label, stored.role, strict=True) if role == "test"]
    assert labels == ["angry", "happy", None, None]
    assert stored.valid.all()
    held_out = np.array(stored.role) == "held_out"
    y = np.array([footer.classes.index(label) for label in np.array(stored.label)[held_out]])
    assert held_out_metrics(stored.probabilities[held_out], y).items() <= footer.metrics.items()
    assert (result.status, result.reused, footer.seed, footer.partition) == ("finished", False, spec.seed, "train")
    assert (footer.feature_keys, footer.gpu_s, footer.epochs) == (spec.feature_keys, 0.0, 6)
    assert {"torch", "numpy", "emofuse"} <= set(footer.versions)
    assert not list((result.path.parents[2] / "checkpoints").iterdir())


def test_a_finished_trial_is_not_trained_again(spec_of, monkeypatch):
    spec = spec_of()
    assert finished_result(spec) is None
    first = run_trial(spec)
    monkeypatch.setattr("search.trial.trial.read_data", None)
    assert run_trial(spec) == replace(first, reused=True) == finished_result(spec)


def test_the_same_spec_gives_the_same_predictions(spec_of):
    spec = spec_of()
    first = read_predictions(run_trial(spec).path)
    first_path = finished_result(spec).path
    first_path.unlink()
    np.random.seed(99)  # noqa: NPY002
    again = read_predictions(run_trial(spec).path)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)


def test_a_killed_trial_goes_on_from_its_checkpoint(spec_of):
    spec, heard = spec_of(), []

    def killed(epoch, metrics):
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(spec, report=killed)
    run_trial(spec, report=lambda epoch, metrics: heard.append(epoch))
    assert heard == [5, 6]


def test_clips_without_features_are_rows_that_count_as_wrong(spec_of):
    spec, heard = spec_of(failed=("clips-val-0", "clips-train-1", "clips-test-2")), []
    result = run_trial(spec, report=lambda epoch, metrics: heard.append(metrics["accuracy"]))
    stored = read_predictions(result.path)
    bad = [i for i, clip_id in zip(range(20), stored.clip_id, strict=True) if not stored.valid[i]]
    assert [stored.clip_id[i] for i in bad] == ["clips-train-1", "clips-val-0", "clips-test-2"]
    np.testing.assert_array_equal(stored.probabilities[bad], 0.5)
    right = sum(
        stored.label[i] == stored.footer.classes[stored.probabilities[i].argmax()]
        for i in range(20)
        if stored.role[i] == "held_out" and stored.valid[i]
    )
    assert result.value == heard[-1] == right / 8
    assert result.metrics["scored"] == 7 / 8


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (
            [f"clips-train-{i}" for i in (0, 2, 4, 5, 7)],
            "5 of 8 fit clips have no features, more than half; the first is 'clips-train-0': no_face in 'vec' (no "
            "face in 3 frames); choose other inputs or extract the features again.",
        ),
        (
            [f"clips-train-{i}" for i in (1, 3, 5, 7)],
            "no fit clip of class happy has features; the first is 'clips-train-1': no_face in 'vec' (no face in 3 "
            "frames); choose other inputs or extract the features again.",
        ),
        (
            [f"clips-val-{i}" for i in range(8)],
            "none of the 8 held-out clips has features; the first is 'clips-val-0': no_face in 'vec' (no face in 3 "
            "frames); choose other inputs or extract the features again.",
        ),
    ],
)
def test_too_few_features_are_told(spec_of, failed, told):
    spec = spec_of(failed=failed)
    assert message(run_trial, spec) == f"Entry 'centroid' on partition 'train': {told}"


def test_a_planned_trial_meets_other_data(spec_of, tmp_path, monkeypatch):
    spec = spec_of()
    other = replace(spec, feature_keys={"x": "f" * 64})
    assert "has key" in message(run_trial, other)
    assert message(run_trial, other).endswith("but the trial was planned with key ffffffffffff; run the search again.")
    assert message(run_trial, replace(spec, family_version=2)) == (
        "The trial was planned with version 2 of family 'centroid', but this worker has version 1: install the same "
        "emofuse everywhere."
    )
    table = read_clips(tmp_path / "clips.parquet")
    write_clips(replace(table, clips=table.clips[:-1]), tmp_path / "clips.parquet")
    assert "; use the table that the run was started with. Then run the same command" in message(run_trial, spec)


def test_features_that_were_not_extracted_are_told_when_planned(small_run):
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 1, "inputs": {"x": "vec:size=9"}}}}]
    run = small_run(stages=stages)
    text = message(entry_spec, run, *run.recipe.entry("centroid"))
    assert text.startswith("Feature set 'vec:size=9' has not been extracted into")


def test_a_refit_copies_its_parents(small_run):
    run = small_run(partitions=["train", "swap"])
    spec = entry_spec(run, *run.recipe.entry("centroid"))
    parents = [read_footer(run_trial(spec.at(POINT, name)).path) for name in ("train", "swap")]
    assert refit_spec(run, parents[:1]).epochs == 6
    uneven = [replace(parents[0], best_epoch=2), replace(parents[1], best_epoch=5)]
    refit = refit_spec(run, uneven)
    assert (refit.partition, refit.epochs, refit.hyperparameters, refit.keep_model) == ("full", 4, POINT, True)
    assert refit.config_key == parents[0].config_key == spec.at(POINT, "full").config_key
    assert refit.parents == tuple(sorted(parent.trial_key for parent in parents))
    result = run_trial(refit)
    stored = read_predictions(result.path)
    assert (result.value, result.epochs, stored.footer.parents) == (None, 4, refit.parents)
    assert [stored.role.count(role) for role in ("fit", "held_out", "test")] == [16, 0, 4]
    assert (run.model_folder(refit.trial_key) / "model.json").exists()


def test_a_refit_without_its_model_is_trained_again(small_run):
    run = small_run()
    parent = read_footer(run_trial(entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train")).path)
    refit = refit_spec(run, [parent])
    run_trial(refit)
    assert run_trial(refit).reused
    shutil.rmtree(run.model_folder(refit.trial_key))
    assert not run_trial(refit).reused


def test_a_damaged_refit_is_told_and_trained_again(small_run, capsys):
    run = small_run()
    parent = read_footer(run_trial(entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train")).path)
    refit = refit_spec(run, [parent])
    run_trial(refit)
    model = run.model_folder(refit.trial_key) / "model.json"
    good = model.read_bytes()
    model.write_bytes(b"")
    assert not run_trial(refit).reused and model.read_bytes() == good
    assert capsys.readouterr().err == (
        f"{refit}: {model}: expected a file of a saved model, but it is empty; it is trained again.\n"
    )


def test_what_can_not_be_refitted_is_told(small_run, monkeypatch):
    run = small_run()
    footer = read_footer(run_trial(entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train")).path)
    other = replace(footer, config_key="x")
    assert message(refit_spec, run, [footer, other]).startswith("A refit copies one configuration, but got 2 (")
    assert message(refit_spec, run, [replace(footer, stage="backbone")]) == (
        "Entry 'centroid' is a backbone: it is trained on stills once and never refitted."
    )
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, version=2))
    assert message(refit_spec, run, [footer]) == (
        "Entry 'centroid' was trained by version 1 of family 'centroid', but this emofuse has version 2: run the "
        "search again before the refit."
    )


def test_no_labels_of_test_clips_reach_the_model(spec_of, tmp_path, monkeypatch):
    seen, tested = [], []
    fit = CENTROID.build.fit

    def watched(model, train, held_out, **options):
        seen.extend((*train.ids, *held_out.ids))
        return fit(model, train, held_out, **options)

    def unlabelled(model, examples):
        tested.append("clips-test-0" in examples.ids)
        assert examples.y is None or not tested[-1]
        return predict(model, examples)

    predict = CENTROID.build.predict
    monkeypatch.setattr(CENTROID.build, "fit", watched)
    monkeypatch.setattr(CENTROID.build, "predict", unlabelled)
    run_trial(spec_of())
    assert seen and any(tested)
    assert not [clip_id for clip_id in seen if "test" in clip_id]


def test_threads_and_folders_are_left_as_they_were(spec_of):
    torch.set_num_threads(2)
    run_trial(replace(spec_of(), cpu=1))
    assert torch.get_num_threads() == 2


def test_stored_clips_are_views(spec_of):
    from search.trial.data import read_data

    data = read_data(spec_of())
    (x,) = data.unlabelled(["clips-train-0"]).inputs["x"]
    assert not x.flags.owndata
    assert not x.flags.writeable
