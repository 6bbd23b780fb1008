from dataclasses import replace

import numpy as np
import pytest
import yaml
from small_world import CENTROID, CLASSES

from features.clips import Clip, ClipTable, write_clips
from features.errors import EmofuseError, WrongUse
from features.sets import FeatureArray
from features.store import SetWriter
from models import registry
from search.recipe import read_recipe
from search.runfolder import RunFolder
from search.trial import TrialSpec, entry_spec
from search.weights import parse_weights, trial_weights

FAMILIES = {"centroid": CENTROID, "cnn": replace(CENTROID, name="cnn", weights=True)}


@pytest.fixture(autouse=True)
def _families(monkeypatch):
    monkeypatch.setattr(registry, "families", lambda: FAMILIES)


def recipe(folder, family="cnn", **entry):
    entry = {"family": family, "trials": 1, "inputs": {"x": "mine"}, **entry}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "r", "stages": [{"stage": "clips", "entries": {"net": entry}}]}))
    return path


def world(folder):
    clips = tuple(Clip(f"{split}{i}", None, split, CLASSES[i], split + str(i)) for split in ("train", "val")
                  for i in (0, 1))
    table = ClipTable(clips, folder)
    write_clips(table, folder / "clips.parquet")
    ids = tuple(clip.clip_id for clip in clips)
    writer = SetWriter(folder / "store", "mine", "k", ids, "clip", (2,), imported=True)
    writer.write((clip_id, FeatureArray(np.zeros((1, 2)), np.zeros(1))) for clip_id in ids)
    return folder


def planned(folder, path, weights=None):
    found = read_recipe(path, folder / "store", weights)
    run = RunFolder.prepare(folder / "run", found, folder / "clips.parquet", folder / "store")
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
    with pytest.raises(WrongUse, match=r"--weights expects ENTRY=FILE, such as vgg16=vgg_face\.pth, but got 'net'"):
        parse_weights(["net"])
    with pytest.raises(WrongUse, match="Unknown entry 'nett': known are net"):
        read_recipe(recipe(tmp_path), tmp_path / "store", {"nett": tmp_path})
