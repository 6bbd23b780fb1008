"""Continuous emotion, the whole road on generated recordings: search, fit, refit, export, predict, report."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

import emofuse
from ensembles.bundle.bundle import open_bundle
from ensembles.bundle.predict import Predictor
from ensembles.records.stored import open_ensemble
from features.clips import read_clips
from features.errors import EmofuseError, WrongUse
from features.one_clip import extract_clip
from features.sets import Media, parse_spec
from features.store.store import open_set
from search.run.continuous_predictions import read_continuous_predictions
from search.run.layout import Layout

FACES = "faces:size=16,fps=10,detector=none"
SMALL = {"filters": 4, "hidden": 64, "dropout": 0.0, "lr": 0.003, "batch_size": 1, "loss": "mse"}
ENTRY = {"published": False, "inputs": {"faces": FACES}, "max_epochs": 2}
RECIPE = {
    "name": "long",
    "seed": 1,
    "asha": None,
    "partitions": ["train"],
    "stages": [
        {
            "stage": "clips",
            "entries": {
                "conv3d": {
                    **ENTRY,
                    "configurations": 2,
                    "fixed": {**SMALL, "pooling": "temporal_pooling"},
                    "space": {"window": [2, 4]},
                },
                "convlstm": {**ENTRY, "configurations": 1, "fixed": {**SMALL, "pooling": "original", "window": 2}},
            },
        }
    ],
    "submissions": [
        {"name": "s1", "partition": "train", "members": ["conv3d", "convlstm"], "method": "uniform"},
        {"name": "s2", "refit_of": "s1"},
        {"name": "s3", "partition": "train", "members": ["conv3d"]},
        {"name": "s4", "refit_of": "s3"},
        {"name": "s5", "over": ["s2", "s4"]},
    ],
}


def run(*words) -> int:
    return emofuse.main([str(word) for word in words])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    clips, store = folder / "clips.parquet", folder / "store"
    few = ["--train-actors", 2, "--val-actors", 3, "--test-actors", 1, "--seconds", 3, "--seed", 3]
    assert run("clips", "synthetic_recordings", folder / "clips", "-o", clips, *few) == 0
    assert run("features", "extract", clips, "-s", FACES, "-o", store, "--workers", 0) == 0
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    search = ["search", "run", folder / "recipe.yaml", "--clips", clips, "--features", store]
    assert run(*search, "-o", folder / "run", "--in-process") == 0
    assert run("ensemble", "fit", folder / "run", "--name", "best", "--method", "uniform", "--test") == 0
    assert run("ensemble", "refit", folder / "run", "best", "--in-process", "--test") == 0
    assert run("ensemble", "export", folder / "run", "best", "--anyway", "-o", folder / "bundle") == 0
    return folder


def test_it_is_refitted_on_train_and_tune(world):
    ensemble = open_ensemble(world / "run", "best")
    assert ensemble.refitted and {"fit", "nested", "test", "test_refit"} == set(ensemble.scores["ensemble"])
    entry, key = ensemble.refits[0]
    refit = read_continuous_predictions(Layout(world / "run").prediction(entry, key))
    assert [track.role for track in refit.tracks] == ["fit"] * 5 + ["test"]
    (parent,) = refit.footer.parents
    searched = read_continuous_predictions(Layout(world / "run").prediction(entry, parent))
    assert refit.footer.epochs == searched.footer.best_epoch


def test_the_bundle_predicts_the_test_recordings_as_the_refits_did(world, tmp_path):
    assert run("ensemble", "predictions", world / "run", "best", "-o", tmp_path / "stored.csv") == 0
    stored = _rows((tmp_path / "stored.csv").read_text())
    (name,) = {row["clip_id"] for row in stored}
    (media,) = (world / "clips").rglob(f"{name.rpartition('/')[2]}.mp4")
    assert run("predict", world / "bundle", media, "-o", tmp_path / "new.csv") == 0
    new = _rows((tmp_path / "new.csv").read_text())
    # Without labels the end of a recording is that of its frames: a step or so more or fewer.
    assert abs(len(stored) - len(new)) <= 2 and len(stored) > 25
    for one, other in zip(stored, new, strict=False):
        numbers = [[float(row[column]) for column in ("time_s", "arousal", "valence")] for row in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-5)


def test_the_bundle_is_measured_as_the_refits_were(world, tmp_path, capsys):
    """From the media alone: what `refit --test` reached on the features of the store, and a page of it."""
    capsys.readouterr()
    page = tmp_path / "e.html"
    assert run("evaluate", world / "bundle", world / "clips.parquet", "--json", "-o", page) == 0
    found = json.loads(capsys.readouterr().out)
    stored = open_ensemble(world / "run", "best").scores["ensemble"]["test_refit"].metrics
    assert found["scored"] == "1 of 6 recordings (split test)" and found["without"] == {}
    for name in ("arousal", "valence"):
        assert found["by_dimension"][name]["ccc"]["value"] == pytest.approx(stored[f"ccc_{name}"], abs=1e-4)
        assert found["by_dimension"][name]["ccc"]["interval"] is None, "one recording is one group"
    squares = [own["rmse"]["value"] ** 2 for own in found["by_dimension"].values()]
    assert np.mean(squares) == pytest.approx(stored["mse"], abs=1e-4)
    assert page.read_text().count('data-chart="trace-') == 2


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_is_printed_for_each_step(world, capsys, tmp_path):
    media = next((world / "clips").rglob("*.mp4"))
    capsys.readouterr()
    assert run("predict", world / "bundle", media) == 0
    rows = _rows(capsys.readouterr().out)
    times = [float(row["time_s"]) for row in rows]
    np.testing.assert_allclose(times, np.arange(len(times)) / 10, atol=1e-6)
    assert list(rows[0]) == ["recording", "time_s", "arousal", "valence"] and 25 < len(rows) < 36
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    assert run("predict", world / "bundle", "--json", media, broken) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(first["values"]) == len(first["time_s"]) == len(rows) and first["reason"] is None
    assert second["values"] == [] and second["reason"].startswith("unreadable")
    assert run("predict", world / "bundle", media, "--format", "avec2019", "-o", tmp_path / "avec") == 0
    lines = (tmp_path / "avec" / f"{media.stem}.csv").read_text().splitlines()
    assert lines[0] == "name;timestamp;arousal;valence" and len(lines) == len(rows) + 1
    assert run("predict", world / "bundle", media, "--format", "csv") == 2
    assert "--format says how -o FILE is written" in capsys.readouterr().err


def test_its_graphs_predict_what_the_bundle_predicts(world, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    ort.set_default_logger_severity(3)
    assert run("ensemble", "export", world / "run", "best", "--anyway", "--onnx", tmp_path / "graphs") == 0
    media = next((world / "clips").rglob("*.mp4"))
    faces = extract_clip(Media(media), parse_spec(FACES))
    name = str(parse_spec(FACES))
    np.savez(tmp_path / "clip.npz", **{name: faces.values, f"{name} time_s": faces.time_s})
    command = [sys.executable, "-I", str(tmp_path / "graphs" / "run.py"), str(tmp_path / "clip.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    found, expected = json.loads(done.stdout), Predictor(world / "bundle").trace(media)
    assert list(found) == ["time_s", "arousal", "valence"] and np.ptp(expected.values[:, 0]) > 0
    np.testing.assert_allclose(found["time_s"], expected.time_s)
    np.testing.assert_allclose(np.transpose([found["arousal"], found["valence"]]), expected.values, atol=1e-4)


def test_imported_features_are_predicted_from_a_store_and_from_a_file(world, tmp_path, capsys):
    table = read_clips(world / "clips.parquet")
    stored = open_set(world / "store", FACES, table)
    np.savez(tmp_path / "mine.npz", **{clip_id: stored[clip_id] for clip_id in stored.ids})
    given = [world / "clips.parquet", tmp_path / "mine.npz", "--name", "mine", "--level", "frame", "--step-s", 0.1]
    assert run("features", "import", *given, "-o", tmp_path / "store") == 0
    fixed = {**SMALL, "pooling": "original", "window": 2}
    entry = {**ENTRY, "inputs": {"faces": "mine"}, "configurations": 1, "fixed": fixed}
    stages = [{"stage": "clips", "entries": {"conv3d": entry}}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "stages": stages, "submissions": []}))
    read = ["--clips", world / "clips.parquet", "--features", tmp_path / "store"]
    assert run("search", "run", tmp_path / "recipe.yaml", *read, "-o", tmp_path / "run", "--in-process") == 0
    assert run("ensemble", "fit", tmp_path / "run", "--name", "one", "--method", "uniform") == 0
    assert run("ensemble", "refit", tmp_path / "run", "one", "--in-process") == 0
    assert run("ensemble", "export", tmp_path / "run", "one", "--anyway", "-o", tmp_path / "bundle") == 0
    clips, predict = ["--clips", world / "clips.parquet"], ["predict", tmp_path / "bundle"]
    assert run(*predict, *clips, "--features", tmp_path / "store", "-o", tmp_path / "a.csv") == 0
    assert run(*predict, *clips, "--features", tmp_path / "mine.npz", "-o", tmp_path / "b.csv") == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    rows = _rows((tmp_path / "a.csv").read_text())
    own = [row for row in rows if row["clip_id"] == table.clips[0].clip_id]
    assert len({row["clip_id"] for row in rows}) == len(table) == 6 and 25 < len(own) < 36
    assert len({row["arousal"] for row in own}) > 5
    capsys.readouterr()
    evaluate = ["evaluate", tmp_path / "bundle", world / "clips.parquet", "--split", "all"]
    assert run(*evaluate, "--features", tmp_path / "store") == 0
    assert "On 6 recordings, 6 groups" in capsys.readouterr().out
    assert run(*evaluate) == 2
    assert "can't be computed from media: give" in capsys.readouterr().err
    np.savez(tmp_path / "few.npz", **{table.clips[0].clip_id: stored[table.clips[0].clip_id]})
    capsys.readouterr()
    assert run(*predict, *clips, "--features", tmp_path / "few.npz", "--json") == 1
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["reason"] is None for one in results] == [True] + [False] * 5
    assert results[1]["reason"].startswith("missing")
    assert run(*predict, next((world / "clips").rglob("*.mp4"))) == 2
    assert "its models read the imported set 'mine', which can't be computed from media" in capsys.readouterr().err


def test_a_printed_path_is_no_formula(world, capsys, tmp_path, monkeypatch):
    media = next((world / "clips").rglob("*.mp4"))
    (tmp_path / "=now().mp4").write_bytes(media.read_bytes())
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run("predict", world / "bundle", "=now().mp4") == 0
    assert {row["recording"] for row in _rows(capsys.readouterr().out)} == {"'=now().mp4"}


def test_python_reads_the_bundle(world):
    bundle = emofuse.load(world / "bundle")
    assert (bundle.dimensions, bundle.classes) == (("arousal", "valence"), ())
    assert "2 members" in repr(bundle) or "3 members" in repr(bundle)
    table = bundle.predict([next((world / "clips").rglob("*.mp4")), "gone.mp4"])
    assert list(table.columns) == ["arousal", "valence", "reason", "left_out"]
    ensemble = emofuse.open_run(world / "run").ensemble("best")
    assert (ensemble.dimensions, list(ensemble.weights)) == (bundle.dimensions, ["arousal", "valence"])
    assert {"ccc", "ccc_arousal", "mse", "low"} <= set(ensemble.scores)
    assert "Mean CCC" in ensemble._repr_html_() and "honest estimate" in repr(ensemble)
    assert len(ensemble.predictions("test", refitted=True)) == len(ensemble.predictions("test"))
    with pytest.raises(WrongUse, match="predicts arousal, valence over time: use predict_steps"):
        ensemble.predict_proba(np.zeros((1, 1, 2)))
    with pytest.raises(WrongUse, match="predicts recordings of validation or test"):
        ensemble.predictions("train")
    assert table.loc["gone.mp4", "reason"].item().startswith("missing") and table["arousal"].isna().sum() == 1


def test_the_bundle_is_checked(world, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(world / "bundle", copy)
    assert "CCC" in (copy / "MODEL_CARD.md").read_text()
    text = (copy / "ensemble.json").read_text()
    (copy / "ensemble.json").write_text(text.replace('"step_s"', '"step_t"'))
    with pytest.raises(EmofuseError, match=r"ensemble.json was changed after the export"):
        open_bundle(copy)


def test_the_best_single_member_alone(world, tmp_path):
    assert run("ensemble", "export", world / "run", "best", "--single", "-o", tmp_path / "single") == 0
    single = open_bundle(tmp_path / "single").ensemble
    assert set(single.over_time.best_singles) == {member.name for member in single.members}
    assert set(single.weights.ravel()) <= {0.0, 1.0}


def test_submissions_are_built(world, capsys, tmp_path):
    assert run("ensemble", "submissions", world / "run", "--in-process", "--test", "--json") == 0
    made = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(made) == ["s1", "s2", "s3", "s4", "s5"]
    assert {one["entry"] for one in made["s1"]["members"]} == {"conv3d", "convlstm"} and len(made["s1"]["members"]) == 2
    assert made["s3"]["method"] == "concordance" and len(made["s3"]["members"]) == 1
    assert all(member["refit"] for member in made["s2"]["members"]) and "test_refit" in made["s2"]["scores"]["ensemble"]
    seventh = open_ensemble(world / "run", "s5")
    assert [member.entry for member in seventh.members] == ["conv3d", "convlstm", "conv3d"]
    np.testing.assert_allclose(seventh.weights.sum(axis=0), 1)
    assert {"fit", "test_refit"} == set(seventh.scores["ensemble"]) and "no estimate" in seventh.verdict
    assert run("ensemble", "submissions", world / "run", "--in-process") == 0
    assert "Submissions, mean CCC" in capsys.readouterr().out
