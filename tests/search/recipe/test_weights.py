from dataclasses import replace

import numpy as np
import pytest
import yaml
from small_world import CENTROID, CLASSES

from features.clips import Clip, ClipTable, write_clips
from features.errors import EmofuseError, WrongUse
from features.sets import FeatureArray
from features.store.store import SetWriter
from models import registry
from search.recipe.reading import read_recipe
from search.recipe.weights import parse_weights
from search.run.folder import RunFolder
from search.run.predictions import Footer
from search.run.spec import TrialSpec
from search.study import plan
from search.study.plan import entry_spec, refit_spec
from search.trial.data import trial_weights

FAMILIES = {
    "centroid": CENTROID,
    "cnn": replace(CENTROID, name="cnn", weights=True),
    "toy_cnn": replace(CENTROID, name="toy_cnn", stage="backbone"),
}


@pytest.fixture(autouse=True)
def _families(monkeypatch):
    monkeypatch.setattr(registry, "families", lambda: FAMILIES)


def recipe(folder, family="cnn", backbone=False, **entry):
    entry = {"family": family, "configurations": 1, "inputs": {"x": "mine"}, **entry}
    stages = [{"stage": "clips", "entries": {"net": entry}}]
    if backbone:
        vgg = {"family": "toy_cnn", "configurations": 1, "inputs": {"x": "mine"}}
        stages.insert(0, {"stage": "backbone", "entries": {"vgg": vgg}})
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "r", "stages": stages}))
    return path


def world(folder):
    clips = tuple(
        Clip(f"{split}{i}", None, split, CLASSES[i], split + str(i)) for split in ("train", "val") for i in (0, 1)
    )
    table = ClipTable(clips, folder)
    write_clips(table, folder / "clips.parquet")
    ids = tuple(clip.clip_id for clip in clips)
    writer = SetWriter(folder / "store", "mine", "k", ids, "clip", (2,), imported=True)
    writer.write((clip_id, FeatureArray(np.zeros((1, 2)), np.zeros(1))) for clip_id in ids)
    return folder


def planned(folder, path, weights=None):
    found = read_recipe(path, folder / "store", weights)
    run = RunFolder.prepare(folder / "run", found, folder / "clips.parquet", folder / "store", folder / "clips.parquet")
    return entry_spec(run, "clips", run.recipe.entry("net")[1]).at({}, "train")


def test_the_files_digest_is_part_of_the_key(tmp_path):
    world(tmp_path)
    (tmp_path / "w.pth").write_bytes(b"one")
    without = planned(tmp_path, recipe(tmp_path))
    one = planned(tmp_path, recipe(tmp_path, weights="w.pth"))
    assert without.weights == "" and one.weights == str(tmp_path / "w.pth"), "it starts at the recipe's folder"
    (tmp_path / "copy.pth").write_bytes(b"one")
    copy = planned(tmp_path, recipe(tmp_path, weights="w.pth"), {"net": tmp_path / "copy.pth"})
    assert copy.weights.endswith("copy.pth") and copy.trial_key == one.trial_key != without.trial_key
    (tmp_path / "w.pth").write_bytes(b"two")
    assert planned(tmp_path, recipe(tmp_path, weights="w.pth")).trial_key != one.trial_key
    assert trial_weights(TrialSpec.from_dict(copy.to_dict())) == tmp_path / "copy.pth"
    with pytest.raises(EmofuseError, match=r"weights that the trial was planned with \(sha256 \w{12}\), but the file"):
        trial_weights(one)
    (tmp_path / "w.pth").unlink()
    with pytest.raises(EmofuseError, match=r"Entry 'net': .*w.pth: no such file, expected pretrained weights"):
        planned(tmp_path, recipe(tmp_path, weights="w.pth"))


def test_families_that_take_no_weights(tmp_path):
    world(tmp_path)
    with pytest.raises(WrongUse, match="net: weights: family 'centroid' can't start from pretrained weights"):
        read_recipe(recipe(tmp_path, "centroid", weights="w.pth"), tmp_path / "store")


def test_files_on_the_command_line(tmp_path):
    world(tmp_path)
    assert str(parse_weights(["net=a=b.pth"])["net"]) == "a=b.pth"
    with pytest.raises(
        WrongUse,
        match=r"--weights expects ENTRY=FILE, such as vgg16=vgg_face\.pth, or ENTRY=RUN:ENTRY, .*, but got 'net'",
    ):
        parse_weights(["net"])
    with pytest.raises(WrongUse, match="Unknown entry 'nett': known are net"):
        read_recipe(recipe(tmp_path), tmp_path / "store", {"nett": tmp_path})


def footer(key, spec=None, **changes):
    spec = spec or TrialSpec("", "", "", "backbone", "vgg", "toy_cnn", 1, {}, {}, "", 0)
    return Footer(
        key,
        spec.config_key,
        spec.family,
        spec.entry,
        {},
        "train",
        CLASSES,
        1,
        5,
        3,
        {},
        dict(spec.inputs),
        dict(spec.feature_keys),
        spec.clips_fingerprint,
        weights_sha256=spec.weights_sha256,
        **changes,
    )


def test_an_entry_starts_from_the_best_trial_of_a_backbone(tmp_path, monkeypatch):
    world(tmp_path)
    asked = []
    monkeypatch.setattr(plan, "best_backbone", lambda run, name: asked.append(name) or footer("bestkey"))
    saved = tmp_path / "run" / "models" / "bestkey" / "model.safetensors"
    saved.parent.mkdir(parents=True)
    saved.write_bytes(b"one")
    path = recipe(tmp_path, backbone=True, weights_from="vgg")
    one = planned(tmp_path, path)
    assert one.weights == str(saved) and asked == ["vgg"] and trial_weights(one) == saved
    refit = refit_spec(RunFolder.open(tmp_path / "run"), [footer("parent", one)])
    assert (refit.weights, refit.weights_sha256) == (one.weights, one.weights_sha256)
    saved.write_bytes(b"two")
    assert planned(tmp_path, path).trial_key != one.trial_key
    with pytest.raises(EmofuseError, match=r"Entry 'net' was trained from pretrained weights of sha256 \w{12}, but"):
        refit_spec(RunFolder.open(tmp_path / "run"), [footer("parent", one)])
    (tmp_path / "w.pth").write_bytes(b"three")
    assert planned(tmp_path, path, {"net": tmp_path / "w.pth"}).weights.endswith("w.pth"), "a given file goes first"


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"weights_from": "vgg"}, r"weights_from: no earlier backbone stage has an entry 'vgg' \(there: none\)"),
        ({"weights_from": "vg", "backbone": True}, r"has an entry 'vg' \(there: toy_cnn, vgg\)"),
        ({"weights_from": "vgg", "backbone": True, "weights": "w.pth"}, "`weights_from` exclude each other; keep one"),
        (
            {"weights_from": "vgg", "backbone": True, "family": "centroid"},
            "family 'centroid' can't start from pretrained",
        ),
    ],
)
def test_backbones_that_give_no_weights(tmp_path, entry, message):
    world(tmp_path)
    with pytest.raises(WrongUse, match=message):
        read_recipe(recipe(tmp_path, **entry), tmp_path / "store")
