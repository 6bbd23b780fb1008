from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_world import message

from features.errors import EmofuseError
from search.recipe.recipe import recipe_of_data
from search.run.predictions import read_predictions
from search.study.activations import ensure_activations, ensure_entry_activations, image_spec, read_source
from search.study.best import best_backbone
from search.study.plan import entry_spec
from search.trial.trial import run_trial

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}
STAGES = [
    {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 2}}},
    {"stage": "clips", "entries": {"pooled": {"configurations": 1}}},
]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def run(small_run):
    """A run whose two backbone trials are finished."""
    run = small_run(stages=STAGES, stills=True, failed=("clips-val-1",))
    spec = entry_spec(run, *run.recipe.entry("toy_cnn"))
    for scale in (1.0, 0.1):
        run_trial(spec.at({**POINT, "scale": scale}, "stills"))
    return run


def test_the_best_backbone(run):
    best = best_backbone(run, "toy_cnn")
    assert best.clips_fingerprint == run.stills_fingerprint
    others = [read_predictions(p).footer for p in (run.path / "predictions" / "family=toy_cnn").glob("*.parquet")]
    assert best.metrics["accuracy"] == max(footer.metrics["accuracy"] for footer in others)
    assert best.metrics["log_loss"] == min(
        f.metrics["log_loss"] for f in others if f.metrics["accuracy"] == best.metrics["accuracy"]
    )
    assert message(best_backbone, run, "other").endswith(
        "no trial of backbone 'other' has finished, so its layers can't be read; see `emofuse search status` for what "
        "became of them."
    )


def test_the_clips_faces_that_a_backbone_reads():
    def spec(trained_on, **entry):
        recipe = recipe_of_data(
            {
                "name": "r",
                "stages": [
                    {
                        "stage": "backbone",
                        "entries": {
                            "cnn": {"family": "face_cnn", "configurations": 1, "inputs": {"faces": trained_on}, **entry}
                        },
                    }
                ],
            },
            "r",
        )
        return image_spec(recipe, SimpleNamespace(entry="cnn", family="face_cnn", inputs={"faces": trained_on}))

    assert spec("faces:fps=12") == "faces:fps=12"
    assert spec("fer2013") == "faces:size=48"
    assert spec("fer2013", clip_faces="faces:size=48,equalise=true") == "faces:equalise=true"


def test_activations_are_a_feature_set(run, tmp_path, monkeypatch):
    stored = ensure_activations(run, "toy_cnn.first")
    images = ensure_activations(run, "toy_cnn.flat")
    assert (stored.level, stored.shape, len(stored)) == ("frame", (1,), 20)
    np.testing.assert_array_equal(stored["clips-val-0"], images["clips-val-0"][:, :1])
    np.testing.assert_allclose(stored.times("clips-val-0"), [0, 0.04, 0.08], rtol=1e-6)
    assert stored.status("clips-val-1") == "no_face"
    assert (stored.info.columns, images.info.columns) == ((), ("a", "b", "c", "d"))
    source, columns = read_source(run, "toy_cnn.first", stored.key)
    assert columns == ()
    assert (source.backbone, source.layer, source.images) == (best_backbone(run, "toy_cnn").trial_key, "first", "imgs")
    monkeypatch.setattr("search.study.activations.get_family", None)
    assert ensure_activations(run, "toy_cnn.first").key == stored.key


def test_a_killed_computation_goes_on(run, monkeypatch):
    from small_world import Centroid

    seen, whole = [], Centroid.activations

    def killed(model, images, layer):
        seen.append(len(images))
        if len(seen) == 5:
            raise KeyboardInterrupt
        return whole(model, images, layer)

    monkeypatch.setattr(Centroid, "activations", killed)
    with pytest.raises(KeyboardInterrupt):
        ensure_activations(run, "toy_cnn.flat")
    stored = ensure_activations(run, "toy_cnn.flat")
    # One image first, to learn the layer's width: 19 clips, 3 of them done before the kill.
    assert len(seen) == 5 + 1 + 19 - 3
    assert sum(stored.has(i) for i in stored.ids) == 19


def test_trials_read_activations(run, monkeypatch):
    from small_world import FAMILIES, Centroid

    built = []
    family = replace(FAMILIES["pooled"], build=lambda point, context: built.append(context) or Centroid(point, context))
    monkeypatch.setitem(FAMILIES, "pooled", family)
    stage, entry = run.recipe.entry("pooled")
    with pytest.raises(EmofuseError, match=r"expected the activations of 'toy_cnn\.flat'"):
        entry_spec(run, stage, entry)
    ensure_entry_activations(run, entry)
    spec = entry_spec(run, stage, entry).at(POINT, "train")
    stored = read_predictions(run_trial(spec).path)
    assert stored.footer.inputs == {"frames": "toy_cnn.flat"}
    assert built[0].columns == {"frames": ("a", "b", "c", "d")}
    assert read_source(run, "toy_cnn.flat", stored.footer.feature_keys["frames"])[0].layer == "flat"
    assert stored.clip_id[int(np.flatnonzero(~stored.valid)[0])] == "clips-val-1"


def test_an_unknown_layer_is_told(run):
    assert message(ensure_activations, run, "toy_cnn.flad") == (
        "Unknown layer of backbone 'toy_cnn' 'flad': known are first, flat. Did you mean 'flat'?"
    )
