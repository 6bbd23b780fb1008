"""The whole road on a very small corpus, by the commands that a user types."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import emofuse
from features.disk.sealed import seal_folder

RECIPE = {
    "name": "small",
    "seed": 1,
    "partitions": ["train", "swap"],
    "asha": None,
    "stages": [
        {
            "stage": "backbone",
            "entries": {"face_cnn": {"configurations": 1, "max_epochs": 3, "inputs": {"faces": "faces:fps=6"}}},
        },
        {
            "stage": "clips",
            "entries": {
                "audio_svm": {"configurations": 2, "inputs": {"audio": "functionals"}},
                "cnn_pool_svm": {"configurations": 1},
                "face_pooling": {
                    "family": "temporal_pooling",
                    "configurations": 1,
                    "inputs": {"frames": "face_cnn.conv3:selected=60|pca=20"},
                    "max_epochs": 8,
                },
            },
        },
        {
            "stage": "fusion",
            "entries": {
                "fusion_mlp": {
                    "configurations": 1,
                    "max_epochs": 8,
                    "inputs": {"members": ["cnn_pool_svm", "audio_svm|pca=5", "face_pooling"]},
                },
            },
        },
    ],
}


def run(*words) -> int:
    return emofuse.main([str(word) for word in words])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    clips, stills, store = folder / "clips.parquet", folder / "stills.parquet", folder / "store"
    corpus = ["--train-actors", 2, "--val-actors", 2, "--test-actors", 1, "--clips-per-actor", 14, "--seed", 3]
    assert run("clips", "synthetic", folder / "clips", "-o", clips, *corpus) == 0
    few = ["--train-actors", 2, "--val-actors", 1, "--stills-per-actor", 14, "--seed", 3]
    assert run("clips", "synthetic_stills", folder / "stills", "-o", stills, *few) == 0
    assert run("features", "extract", clips, "-s", "faces:fps=6", "-s", "functionals", "-o", store) == 0
    assert run("features", "extract", stills, "-s", "faces:fps=6", "-o", store) == 0
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    search = ["search", "run", folder / "recipe.yaml", "--clips", clips, "--features", store, "--stills", stills]
    assert run(*search, "-o", folder / "run", "--in-process") == 0
    method = ["--method", "decision", "--param", "draws=200", "--param", "sigma_min=0.1", "--all"]
    assert run("ensemble", "fit", folder / "run", *method, "--name", "best") == 0
    assert run("ensemble", "refit", folder / "run", "best", "--in-process", "--test") == 0
    assert run("ensemble", "export", folder / "run", "best", "--anyway", "-o", folder / "bundle") == 0
    return folder


def predict(bundle, *paths) -> tuple[int, list[dict], str]:
    command = [sys.executable, "-m", "emofuse", "predict", "--json", str(bundle), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_bundle_classifies_raw_files_in_a_new_process(world):
    clips = sorted((world / "clips").rglob("a05_*.mp4"))[:3]
    junk = world / "junk.mp4"
    junk.write_bytes(b"no film")
    code, results, errors = predict(world / "bundle", *clips, junk, world / "absent.mp4")
    assert code == 1
    assert "Traceback" not in errors
    for result in results[:3]:
        assert result["label"] in result["probabilities"]
        assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert [result["label"] for result in results[3:]] == [None, None]
    assert results[3]["reason"].startswith("unreadable")
    assert results[4]["reason"].startswith("missing")


def test_predict_agrees_with_the_stored_test_predictions(world):
    from ensembles.bundle.predict import Predictor
    from ensembles.predictions.sets import read_refits
    from ensembles.records.stored import open_ensemble

    ensemble = open_ensemble(world / "run", "best")
    test = read_refits(world / "run", ensemble.refits).test
    stored = dict(zip(test.ids, ensemble.predict_proba(test.P, test.valid), strict=True))
    predictor = Predictor(world / "bundle")
    for path in sorted((world / "clips").rglob("a05_*.mp4"))[:4]:
        now = predictor.predict(path).probabilities
        np.testing.assert_allclose([now[c] for c in ensemble.classes], stored[path.stem], atol=1e-4)


def test_members_are_chosen_under_a_limit_of_time_and_their_time_is_told(world, capfd):
    from ensembles.fitting.cost import costs_of
    from ensembles.records.stored import open_ensemble

    costs = costs_of(world / "run", open_ensemble(world / "run", "best"))
    assert all(0 < (cost.seconds or 0) < 5 and cost.device == "cpu" for cost in costs) and len(costs) > 1
    fit = ["ensemble", "fit", world / "run", "--all", "--method", "uniform", "--name", "quick", "--latency-ms"]
    assert run(*fit, "0.000001") == 2
    assert "No member takes 1e-06 ms per clip or less; the fastest, " in capfd.readouterr().err
    assert run("ensemble", "leaderboard", world / "run", "--json") == 0
    limit_s = 3 * min(member["predict_s"] for member in json.loads(capfd.readouterr().out)["members"])
    assert run(*fit, 1000 * limit_s) == 0
    quick = costs_of(world / "run", open_ensemble(world / "run", "quick"))
    assert sum(cost.seconds for cost in quick) <= limit_s
    assert run("ensemble", "refit", world / "run", "quick", "--in-process") == 0
    assert "From features to scores a clip takes " in capfd.readouterr().err


def test_a_fusion_takes_its_members_into_the_bundle(world):
    from ensembles.bundle.predict import Predictor

    name = ["--name", "fused"]
    assert run("ensemble", "fit", world / "run", "--method", "uniform", "--entry", "fusion_mlp", *name) == 0
    assert run("ensemble", "refit", world / "run", "fused", "--in-process") == 0
    assert run("ensemble", "export", world / "run", "fused", "--anyway", "-o", world / "fused") == 0
    assert len(list((world / "fused" / "encoders").iterdir())) == 3
    assert len(list((world / "fused" / "backbones").iterdir())) == 1
    assert not (world / "bundle" / "encoders").exists(), "in the whole ensemble, all of them are members themselves"
    path = next((world / "clips").rglob("a05_*.mp4"))
    alone = Predictor(world / "fused").predict(path).probabilities
    assert sum(alone.values()) == pytest.approx(1, abs=1e-5)
    assert stored_refit(world, "fusion_mlp", path.stem) == pytest.approx(list(alone.values()), abs=1e-4)


def stored_refit(world, entry, clip_id):
    """What the refitted member of that entry said of the clip when it was trained."""
    from ensembles.records.stored import open_ensemble
    from search.run.predictions import prediction_path, read_predictions

    (member,) = open_ensemble(world / "run", "fused").members
    refit = read_predictions(prediction_path(world / "run", entry, member.refit))
    return refit.probabilities[refit.clip_id.index(clip_id)]


def test_a_refit_has_no_held_out_rows_and_keeps_epochs(world):
    from ensembles.records.stored import open_ensemble
    from search.run.predictions import prediction_path, read_predictions

    for member in open_ensemble(world / "run", "best").members:
        refit = read_predictions(prediction_path(world / "run", member.entry, member.refit))
        parents = [
            read_predictions(prediction_path(world / "run", member.entry, key)).footer for key in member.trials.values()
        ]
        assert set(refit.role) == {"fit", "test"}
        assert refit.footer.hyperparameters == parents[0].hyperparameters
        assert refit.footer.epochs == int(np.mean([parent.best_epoch for parent in parents]) + 0.5)


@pytest.mark.parametrize("change", ["altered", "added", "removed"])
def test_a_tampered_bundle_is_refused(world, tmp_path, capsys, change):
    bundle = tmp_path / "bundle"
    shutil.copytree(world / "bundle", bundle)
    if change == "altered":
        path = next(bundle.rglob("*.safetensors"))
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    elif change == "added":
        (bundle / "extra.py").write_text("")
    else:
        (bundle / "MODEL_CARD.md").unlink()
    assert run("predict", bundle, world / "clips") == 1
    told = capsys.readouterr().err
    why = {"altered": "was changed after", "added": "does not belong", "removed": "lacks MODEL_CARD.md"}
    assert why[change] in told


def test_a_bundle_holds_no_pickle(world):
    suffixes = {path.suffix for path in (world / "bundle").rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".md", ".safetensors", ".skops"}


def test_the_report_shows_everything_in_one_file(world):
    assert run("report", world / "run", "-o", world / "report.html", "--test") == 0
    page = (world / "report.html").read_text()
    for text in ("Ensemble best", "Weights, model", "test clips, refitted", "Leaderboard", "audio_svm/"):
        assert text in page
    assert "default-src &#39;none&#39;" in page and 'src="http' not in page


def test_the_search_again_trains_nothing(world, capsys):
    files = {p: p.stat().st_mtime_ns for p in (world / "run" / "predictions").rglob("*.parquet")}
    words = ["--clips", world / "clips.parquet", "--features", world / "store", "--stills", world / "stills.parquet"]
    assert run("search", "run", world / "recipe.yaml", *words, "-o", world / "run", "--in-process") == 0
    assert {p: p.stat().st_mtime_ns for p in (world / "run" / "predictions").rglob("*.parquet")} == files
    assert "Next: emofuse ensemble export" in capsys.readouterr().out, "fused and refitted as it is"


def test_export_before_refit_says_what_to_run(world, capsys):
    run("ensemble", "fit", world / "run", "--method", "uniform", "--name", "plain")
    assert run("ensemble", "export", world / "run", "plain", "--anyway", "-o", world / "other") == 1
    assert "run: emofuse ensemble refit" in capsys.readouterr().err
    assert not (world / "other").exists()


@pytest.fixture
def refitted(world):
    """The saved pipeline of one refit, put back as it was afterwards."""
    members = json.loads((world / "run" / "ensembles" / "best" / "ensemble.json").read_text())["members"]
    key = next(member["refit"] for member in members if member["entry"] == "audio_svm")
    folder = world / "run" / "models" / key
    before = {path: path.read_bytes() for path in folder.iterdir()}
    yield folder / "pipeline.skops"
    for path, data in before.items():
        path.write_bytes(data)


def test_what_is_damaged_is_not_exported(world, refitted, capsys):
    refitted.write_bytes(b"")
    assert run("ensemble", "export", world / "run", "best", "--anyway", "-o", world / "other") == 1
    told = capsys.readouterr().err
    assert f"{refitted}: expected a file of a saved model, but it is empty; run `emofuse ensemble refit` again" in told
    assert not (world / "other").exists()


def test_what_can_not_be_loaded_is_not_exported(world, refitted, capsys):
    refitted.write_bytes(b"never a pipeline, although its digest holds")
    seal_folder(refitted.parent)
    assert run("ensemble", "export", world / "run", "best", "--anyway", "-o", world / "other") == 1
    told = capsys.readouterr().err
    assert f"{world}/other: nothing was exported, since it could not be loaded: {world}/other/members/" in told
    assert not (world / "other").exists()


@pytest.mark.real_data
def test_every_real_clip_gets_a_result_or_a_reason(world, real_data):
    clips = sorted((real_data / "clips").iterdir())
    code, results, errors = predict(world / "bundle", *clips)
    assert code in (0, 1)
    assert "Traceback" not in errors
    assert len(results) == len(clips)
    for result in results:
        assert (result["label"] is None) == bool(result["reason"])
        assert "\n" not in (result["reason"] or "")


@pytest.mark.real_data
@pytest.mark.slow
def test_an_ensemble_on_ravdess_beats_an_untuned_svm_on_speakers_it_never_heard(real_data, tmp_path):
    clips, store, folder = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "run"
    splits = ["--train", "1-8", "--val", "9-12", "--test", "13-16"]
    assert run("clips", "ravdess", real_data / "ravdess_audio", "-o", clips, "--modality", "audio", *splits) == 0
    sets = ["-s", "is10", "-s", "functionals", "-s", "short_term"]
    assert run("features", "extract", clips, *sets, "-o", store) == 0
    recipe = Path(__file__).parents[1] / "recipes" / "ravdess_audio.yaml"
    assert run("search", "run", recipe, "--clips", clips, "--features", store, "-o", folder) == 0
    assert run("ensemble", "fit", folder, "--name", "best") == 0
    assert run("ensemble", "refit", folder, "best", "--test") == 0
    assert run("ensemble", "export", folder, "best", "--anyway", "-o", tmp_path / "bundle") == 0
    actors = [real_data / "ravdess_audio" / f"Actor_{actor}" for actor in range(13, 17)]
    _, results, _ = predict(tmp_path / "bundle", *actors)
    names = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    right = [result["label"] == names[int(Path(result["path"]).stem.split("-")[2]) - 1] for result in results]
    assert np.mean(right) > 0.492
