"""Continuous emotion through a search: trials, their files, the status."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from continuous_world import DIMENSIONS, ENTRY, make_table, write_recipe

from features.clips import read_clips, write_clips
from features.errors import EmofuseError, WrongUse
from models.concordance import concordance
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.continuous_predictions import (
    ContinuousPredictions,
    read_continuous_predictions,
    write_continuous_predictions,
)
from search.run.folder import RunFolder
from search.run.predictions import prediction_files, read_predictions
from search.runner import run_search
from search.study.plan import entry_spec, refit_spec, stored_spec
from search.study.replays import replay
from search.trial.continuous_data import ContinuousData, nearest
from search.trial.data import read_data
from search.trial.trial import run_trial
from search.watch.status_view import table


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run with three finished trials, of which one recording could not be scored."""
    folder = tmp_path_factory.mktemp("continuous")
    make_table(folder, without=("r5",))
    recipe = read_recipe(write_recipe(folder), folder / "store")
    recipe = recipe.model_copy(
        update={
            "stages": tuple(
                stage.model_copy(
                    update={
                        "entries": {
                            name: entry.model_copy(update={"max_epochs": 3}) for name, entry in stage.entries.items()
                        }
                    }
                )
                for stage in recipe.stages
            )
        }
    )
    status = run_search(
        recipe,
        clips=folder / "clips.parquet",
        store=folder / "store",
        out=folder / "run",
        workers=Workers(in_process=True),
    )
    return folder, status


def files(world):
    return [read_continuous_predictions(path) for path in prediction_files(world[0] / "run")]


def test_every_trial_writes_its_tracks(world):
    folder, status = world
    table = read_clips(folder / "clips.parquet")
    assert [(entry.finished, entry.failed) for entry in status.entries] == [(1, 0), (2, 0)]
    assert status.following("run") == "Next: emofuse ensemble fit run"
    for predictions in files(world):
        assert predictions.footer.dimensions == DIMENSIONS and predictions.footer.classes == ()
        assert predictions.footer.annotations == table.annotations.fingerprint
        assert {t.clip_id: (t.group_id, t.split, t.role, t.valid) for t in predictions.tracks} == {
            clip.clip_id: (
                clip.group_id,
                clip.split,
                {"train": "fit", "val": "held_out", "test": "test"}[clip.split],
                clip.clip_id != "r5",
            )
            for clip in table.clips
        }
        for track in predictions.tracks:
            if track.clip_id in table.annotations:
                time_s, y = table.annotations.series[track.clip_id]
                np.testing.assert_array_equal(track.time_s, time_s)
                np.testing.assert_allclose(track.y, y, atol=1e-6)
            else:
                assert np.isnan(track.y).all() and np.diff(track.time_s) == pytest.approx(0.1)


def test_the_columns_are_those_of_the_contract(world):
    path = prediction_files(world[0] / "run")[0]
    assert pq.read_schema(path).names == [
        "clip_id",
        "group_id",
        "split",
        "role",
        "valid",
        "time_s",
        "y_arousal",
        "y_valence",
        "p_arousal",
        "p_valence",
    ]
    with pytest.raises(EmofuseError, match="expected predictions of classes, but they are of continuous emotion"):
        read_predictions(path)


def test_the_value_is_the_mean_ccc_over_all_held_out_recordings(world):
    _, status = world
    values = {}
    for predictions in files(world):
        own = [track for track in predictions.tracks if track.role == "held_out"]
        y, p = (np.concatenate([getattr(track, name) for track in own]) for name in ("y", "p"))
        expected = [concordance(y[:, d], p[:, d]) for d in range(2)]
        metrics = predictions.footer.metrics
        assert [metrics["ccc_arousal"], metrics["ccc_valence"]] == pytest.approx(expected, abs=1e-6)
        assert metrics["ccc"] == pytest.approx(np.mean(expected), abs=1e-6) and metrics["scored"] == 2 / 3
        values.setdefault(predictions.footer.entry, []).append(metrics["ccc"])
    assert {entry.entry: entry.best for entry in status.entries} == {name: max(own) for name, own in values.items()}
    assert "best held out" in table(status)


def test_a_trial_is_found_again_by_its_footer(world):
    run = RunFolder.open(world[0] / "run")
    for predictions in files(world):
        assert stored_spec(run, predictions.footer, "refit").trial_key == predictions.footer.trial_key
        assert refit_spec(run, [predictions.footer]).annotations == predictions.footer.annotations
    with pytest.raises(WrongUse, match="a replay compares class probabilities, but this trial learnt continuous"):
        replay(run, predictions.footer.trial_key)


def test_what_could_not_be_scored_is_the_mean_label(world):
    (track,) = [track for track in files(world)[0].tracks if track.clip_id == "r5"]
    annotations = read_clips(world[0] / "clips.parquet").annotations
    fit = np.concatenate([annotations.series[f"r{n}"][1] for n in range(4)])
    np.testing.assert_allclose(track.p, np.broadcast_to(fit.mean(0), track.p.shape), rtol=1e-5)


def spec(folder, **changes):
    recipe = read_recipe(write_recipe(folder, {"conv3d": ENTRY}), folder / "store")
    run = RunFolder.prepare(folder / "run", recipe, folder / "clips.parquet", folder / "store")
    _, entry = recipe.entry("conv3d")
    found = entry_spec(run, "clips", entry)
    return replace(found.at(entry.complete({"pooling": "original"}), "train"), max_epochs=1, **changes)


def test_other_annotations_are_other_trials(tmp_path):
    table = make_table(tmp_path)
    before = spec(tmp_path)
    assert run_trial(before).metrics["scored"] == 1
    series = {clip_id: (time_s, 2 * y) for clip_id, (time_s, y) in table.annotations.series.items()}
    write_clips(replace(table, annotations=replace(table.annotations, series=series)), tmp_path / "clips.parquet")
    assert spec(tmp_path).trial_key != before.trial_key and spec(tmp_path).metric == "ccc"
    with pytest.raises(EmofuseError, match="annotations beside this clip table have the fingerprint"):
        run_trial(replace(before, max_epochs=2))


def test_features_of_other_moments_are_those_of_the_nearest(tmp_path):
    given, wanted = np.array([0.0, 0.11, 0.4, 0.5]), np.arange(8) / 10
    np.testing.assert_array_equal(nearest(given, wanted), [0, 1, 1, 2, 2, 3, 3, 3])
    assert nearest(given[:1], wanted[:3]).tolist() == [0, 0, 0]
    assert nearest(wanted + 0.01, wanted[:5]) == slice(0, 5), "a view where nothing has to be copied"
    make_table(tmp_path)
    planned = spec(tmp_path)
    data = ContinuousData.of(read_data(planned), planned)
    examples = data.labelled(["r0"])
    assert np.shares_memory(examples.inputs["faces"][0], data.sets["faces"]["r0"])


def test_annotations_are_asked_for(tmp_path):
    make_table(tmp_path)
    (tmp_path / "annotations.parquet").unlink()
    with pytest.raises(EmofuseError, match="clips of the splits train and val need a label"):
        spec(tmp_path)
    table = make_table(tmp_path, labels=["a"] * 9)
    write_clips(replace(table, annotations=table.annotations.of(["r0", "r5"])), tmp_path / "clips.parquet")
    with pytest.raises(EmofuseError, match=r"need annotations, but 'r1' \(and 4 more\) has none"):
        spec(tmp_path)
    (tmp_path / "annotations.parquet").unlink()
    with pytest.raises(EmofuseError, match=r"there is no annotations.parquet of these clips beside the clip table"):
        spec(tmp_path)


def test_a_family_of_both_tasks_learns_classes_when_told(tmp_path):
    make_table(tmp_path, labels=list("abababaab"))
    entries = {"faces3d": {**ENTRY, "family": "conv3d", "task": "classification", "max_epochs": 1}, "conv3d": ENTRY}
    recipe = read_recipe(write_recipe(tmp_path, entries), tmp_path / "store")
    run = RunFolder.prepare(tmp_path / "run", recipe, tmp_path / "clips.parquet", tmp_path / "store")
    _, entry = recipe.entry("faces3d")
    found = entry_spec(run, "clips", entry)
    assert (found.annotations, found.metric) == ("", "accuracy")
    assert "accuracy" in run_trial(found.at(entry.complete({"pooling": "original"}), "train")).metrics
    wrong = {"pooled_svm": {"configurations": 1, "task": "regression"}}
    with pytest.raises(WrongUse, match="task: family 'pooled_svm' is for classification, but got 'regression'"):
        read_recipe(write_recipe(tmp_path, wrong), tmp_path / "store")


def test_folds_keep_recordings_whole(tmp_path):
    make_table(tmp_path)
    recipe = read_recipe(write_recipe(tmp_path, partitions=[{"folds": 3}]), tmp_path / "store")
    RunFolder.prepare(tmp_path / "run", recipe, tmp_path / "clips.parquet", tmp_path / "store")


def test_wrong_tracks_are_not_written(world):
    good = files(world)[0]
    track = good.tracks[0]
    cases = [
        (replace(track, p=track.p * np.nan), "expected finite predictions at rising times for clip 'r0'"),
        (replace(track, p=track.p[1:]), "expected labels and predictions of clip 'r0' of shape"),
        (replace(track, role="x"), "a role is one of fit, held_out, test, but got x"),
        (replace(track, clip_id="r1"), "a clip_id occurs twice"),
    ]
    for wrong, message in cases:
        with pytest.raises(EmofuseError, match=message):
            write_continuous_predictions(world[0] / "x", ContinuousPredictions(good.footer, (wrong, *good.tracks[1:])))
