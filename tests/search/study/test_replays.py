"""One trial again: the same predictions, and a model where it was dropped."""

import json
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_world import CENTROID, FAMILIES, Centroid, message

import emofuse
from features.errors import EmofuseError, WrongUse
from search.cluster.workers import Workers
from search.run.folder import RunFolder
from search.run.predictions import prediction_files, read_footer, read_predictions, write_predictions
from search.runner import run_search
from search.study.plan import entry_spec, refit_spec
from search.study.replays import find_trial, replay
from search.trial.trial import run_trial

STAGES = [
    {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 2}}},
    {"stage": "clips", "entries": {"centroid": {"configurations": 1}, "pooled": {"configurations": 1}}},
]


@pytest.fixture
def run(small_run):
    """A finished run of a backbone and two families."""
    run = small_run(stills=True, stages=STAGES, failed=("clips-val-1",))
    run_search(
        run.recipe, clips=run.clips, store=run.store, out=run.path, stills=run.stills, workers=Workers(in_process=True)
    )
    return run


def test_every_trial_comes_to_the_same_and_leaves_the_run_as_it_was(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    for path in prediction_files(run.path):
        found = replay(run, path.stem[:8])
        assert (found.difference, found.agreement, found.written) == (0.0, 1.0, ())
        assert found.accuracy == found.stored_accuracy
        found.check(0.0)
    changed = {path for path in run.path.rglob("*") if before.get(path) != path.stat().st_mtime_ns}
    assert changed <= {run.path}


def test_what_was_dropped_is_made_again(run, capsys):
    model = next(path for path in sorted((run.path / "models").iterdir()))
    saved = (model / "model.json").read_bytes()
    run.drop_model(model.name)
    assert not model.exists()
    assert emofuse.main(["search", "replay", str(run.path), model.name[:10], "--write"]) == 0
    assert f"written: {model}" in capsys.readouterr().out
    assert (model / "model.json").read_bytes() == saved
    (path,) = (run.path / "predictions" / "family=pooled").glob("*.parquet")
    stored = read_predictions(path)
    path.unlink()
    found = replay(run, path.stem, write=True)
    assert found.difference is None and str(path) in found.written
    np.testing.assert_array_equal(read_predictions(path).probabilities, stored.probabilities)
    assert (run.model_folder(path.stem) / "model.json").exists()


def test_a_refit_is_replayed_too(run):
    footer = next(f for f in map(read_footer, prediction_files(run.path)) if f.entry == "centroid")
    refit = run_trial(refit_spec(run, [footer]))
    assert replay(run, refit.trial_key).difference == 0.0


def test_other_predictions_are_an_error_and_nothing_is_written(run, capsys):
    (path,) = (run.path / "predictions" / "family=centroid").glob("*.parquet")
    stored = read_predictions(path)
    footer = replace(stored.footer, versions={**stored.footer.versions, "torch": "1.0"})
    path.unlink()
    write_predictions(run.path, replace(stored, probabilities=stored.probabilities[:, ::-1].copy(), footer=footer))
    assert emofuse.main(["search", "replay", str(run.path), path.stem, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["agreement"] < 1
    assert "expected the stored predictions within 0.001, but the largest difference over 20 clips is" in told.err
    assert "(torch was 1.0, is " in told.err
    with pytest.raises(EmofuseError, match="nothing was written"):
        replay(run, path.stem, write=True)
    assert not run.model_folder(path.stem).exists()


def test_a_failed_trial_and_keys_that_are_none(run, monkeypatch):
    spec = entry_spec(run, *run.recipe.entry("centroid"))
    (path,) = (run.path / "predictions" / "family=centroid").glob("*.parquet")
    hyperparameters = read_footer(path).hyperparameters
    path.unlink()
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=lambda hp, context: 1 / 0))
    run_search(
        run.recipe, clips=run.clips, store=run.store, out=run.path, stills=run.stills, workers=Workers(in_process=True)
    )
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Centroid))
    found, footer = find_trial(run, path.stem)
    assert found.trial_key == path.stem == spec.at(hyperparameters, "train").trial_key and footer is None
    assert replay(run, path.stem).told().endswith("no stored predictions to compare with")
    assert "see emofuse search retry" in message(replay, run, path.stem, write=True, error=WrongUse)
    assert "first 6 characters or more, but got 'ab'" in message(replay, run, "ab", error=WrongUse)
    assert "expected the key of one of its trials" in message(replay, run, "0" * 12, error=WrongUse)
    shutil.copy(next((run.path / "predictions" / "family=pooled").glob("*.parquet")), path)
    twin = path.with_name(path.stem[:30] + "0" * 34 + ".parquet")
    shutil.copy(path, twin)
    assert "is the beginning of 2 trials' keys" in message(replay, run, path.stem[:20], error=WrongUse)


def _moved(run):
    """The same run after all that it read was moved."""
    there = run.clips.parent / "new place"
    there.mkdir()
    for place in (run.clips, run.store, run.stills):
        place.rename(there / place.name)
    return there


def test_a_moved_run_names_its_cure_and_the_cure_works(run, capsys):
    centroid = next(path for path in prediction_files(run.path) if "centroid" in str(path))
    other = message(run.relocate, run.stills)
    assert "this run belongs to clips with the fingerprint" in other
    there = _moved(run)
    told = message(replay, run, centroid.stem)
    assert told.startswith(
        f"{run.clips}, {run.store}, {run.stills}: no such file or folder, though the run was searched"
    )
    assert told.endswith(f"`emofuse search relocate {run.path} --clips CLIPS --store STORE --stills STILLS`.")
    assert message(refit_spec, run, [read_footer(centroid)]) == message(run.table) == told
    assert "no such folder, expected the feature store" in message(run.relocate, there / run.clips.name)
    new = {"CLIPS": run.clips, "STORE": run.store, "STILLS": run.stills}
    words = [str(there / new[word].name) if word in new else word for word in shlex.split(told.split("`")[1])]
    assert emofuse.main(words[1:]) == 0
    assert f"clips: {there / run.clips.name}" in capsys.readouterr().out
    for path in prediction_files(run.path):
        assert emofuse.main(["search", "replay", str(run.path), path.stem]) == 0
    moved = RunFolder.open(run.path)
    assert run_trial(refit_spec(moved, [read_footer(centroid)])).status == "finished"
    assert emofuse.main(["search", "relocate", str(run.path)]) == 2


def test_a_search_with_the_new_paths_is_a_cure_too(run):
    there = _moved(run)
    new = {name: there / getattr(run, name).name for name in ("clips", "store", "stills")}
    assert run_search(run.recipe, out=run.path, workers=Workers(in_process=True), **new).left == 0
    assert RunFolder.open(run.path).store == there / run.store.name
