"""Encoders through the store: keys, resuming, bad clips, processes, and checkpoints that are refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoints import save

from features import extract as extraction
from features.clips import Clip, ClipTable, hash_media
from features.encoders import speech, vision
from features.errors import AbsentModel, ClipFailure, EmofuseError, WrongUse
from features.extract import extract
from features.faces import crops
from features.sets import parse_spec as parsed
from features.store.store import feature_key, open_set, set_writer

LENGTHS_S = (0.9, 2.3, 1.4, 1.1)


@pytest.fixture
def table(speech, tmp_path):
    names = [f"c{n}" for n in range(len(LENGTHS_S))]
    for name, seconds in zip(names, LENGTHS_S, strict=True):
        shutil.copy(speech(seconds), tmp_path / f"{name}.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    clips = tuple(Clip(name, f"{name}.wav", "train", "x", "g") for name in (*names, "bad", "gone"))
    return hash_media(ClipTable(clips, tmp_path))


def test_a_bad_clip_is_a_row_and_the_rest_is_there(table, checkpoint, tmp_path, capsys):
    spec = f"speech:model={checkpoint('hubert')},layers=1-2"
    (summary,) = extract(table, [spec], tmp_path / "store", workers=0)
    assert summary.statuses == {"ok": 4, "unreadable": 1, "missing": 1}
    assert "clips/s" in capsys.readouterr().err
    stored = open_set(tmp_path / "store", spec, table)
    assert stored.shape == (2, 16) and stored.level == "frame" and stored.length("c1") == (2.3 * 16000 - 400) // 320 + 1
    assert "transformers" in stored.info.library_versions
    (again,) = extract(table, [spec], tmp_path / "store", workers=0)
    assert again.skipped


def test_what_was_done_before_a_kill_is_not_done_again(table, checkpoint, tmp_path, monkeypatch):
    spec, seen = f"speech:model={checkpoint('hubert')},pool=mean", []
    many = speech.extract_many

    def killed(media, params):
        for n, done in enumerate(many(media, params)):
            if n == 3 and not seen:
                raise KeyboardInterrupt
            yield done
        seen.extend(one.path.stem for one in media)

    monkeypatch.setattr(speech, "SET", replace(speech.SET, extract_many=killed))
    with pytest.raises(KeyboardInterrupt):
        extract(table, [spec], tmp_path / "store", workers=0)
    seen.append("second run")
    (summary,) = extract(table, [spec], tmp_path / "store", workers=0)
    assert len(seen) == 3 and summary.ok == 4, "three of the five files were kept"


@pytest.mark.slow
def test_processes_give_what_one_gives(table, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("features.together.TOGETHER", 2)
    spec = f"speech:model={checkpoint('wavlm')},pool=mean+std"
    for workers in (0, 1):
        extract(table, [spec], tmp_path / f"store{workers}", workers=workers)
    one, other = (open_set(tmp_path / f"store{workers}", spec, table) for workers in (0, 1))
    for clip_id in ("c0", "c1", "c2", "c3"):
        np.testing.assert_allclose(one[clip_id], other[clip_id], atol=1e-5)


def test_the_model_is_loaded_once_per_process(table, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("features.together.TOGETHER", 1)
    speech._loaded.cache_clear()
    extract(table, [f"speech:model={checkpoint('hubert')}"], tmp_path / "store", workers=0)
    assert speech._loaded.cache_info().misses == 1 and speech._loaded.cache_info().hits >= 3


def test_a_key_is_of_weights_and_parameters_not_of_a_place(table, checkpoint, tmp_path):
    def key(folder, tail=""):
        return feature_key(parsed(f"speech:model={folder}{tail}"), table)

    moved = shutil.copytree(checkpoint("hubert"), tmp_path / "moved")
    assert key(moved) == key(checkpoint("hubert")) == key(moved, ",layers=3")
    others = [save("hubert", tmp_path / "other", seed=1), checkpoint("hubert-large")]
    assert len({key(moved), *map(key, others), key(moved, ",layers=2"), key(moved, ",pool=mean")}) == 5
    reader = moved / "preprocessor_config.json"
    reader.write_text(json.dumps({**json.loads(reader.read_text()), "do_normalize": False}))
    assert key(moved) != key(checkpoint("hubert"))


def test_faces_of_another_version_are_another_set(table, checkpoint, tmp_path, monkeypatch):
    spec = f"vision:model={checkpoint('vit')},detector=none"
    keys = {text: feature_key(parsed(text), table) for text in (spec, f"{spec},of=frames")}
    monkeypatch.setattr(vision, "concrete_pictures", dict)  # as an earlier release knew it
    set_writer(tmp_path, parsed(spec), table).write((clip.clip_id, ClipFailure("no_face", "x")) for clip in table.clips)
    monkeypatch.undo()
    with pytest.raises(
        EmofuseError, match=r"Feature set 'vision:.*' in .* was made by another version of its extractor"
    ):
        open_set(tmp_path, spec, table)
    monkeypatch.setattr(crops, "SET", replace(crops.SET, version=crops.SET.version + 1))
    assert [feature_key(parsed(text), table) == key for text, key in keys.items()] == [False, True]


def test_other_weights_on_another_machine_end_the_run(table, checkpoint, tmp_path):
    there, here = (parsed(f"speech:model={checkpoint(kind)}") for kind in ("wavlm", "hubert"))
    job = extraction._Job(here, set_writer(tmp_path, there, table))
    with pytest.raises(
        EmofuseError, match=r"expected model=[0-9a-f]{64} on every machine, but .* has model=[0-9a-f]{64}"
    ):
        job.run((("c0", table.media(table.by_id("c0"))),))


def test_stored_features_are_read_without_the_model(table, checkpoint, tmp_path):
    moved = shutil.copytree(checkpoint("hubert"), tmp_path / "moved")
    extract(table, [f"speech:model={moved}"], tmp_path / "store", workers=0)
    shutil.rmtree(moved)
    assert open_set(tmp_path / "store", f"speech:model={moved}", table).shape == (16,)
    with pytest.raises(AbsentModel, match=r"expected a folder with config.json and .* but there is no folder .*/moved"):
        open_set(tmp_path / "store", f"speech:model={moved},layers=2", table)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda f: (f / "config.json").unlink(),
            "expected a checkpoint in Hugging Face layout, but it has no config.json",
        ),
        (
            lambda f: (f / "config.json").write_text("[]"),
            "config.json: expected the configuration of a model, but it can't",
        ),
        (lambda f: (f / "preprocessor_config.json").unlink(), "expected preprocessor_config.json, which says how"),
        (
            lambda f: (f / "model.safetensors").rename(f / "x"),
            r"expected weights in \*.safetensors, but it has none; save",
        ),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "but only pytorch_model.bin, which could run code when it is read; save the model again",
        ),
    ],
)
def test_folders_that_are_no_checkpoint(spoil, told, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("hubert"), tmp_path / "model")
    spoil(folder)
    with pytest.raises(WrongUse, match=told):
        speech.SET.shape(parsed(f"speech:model={folder}").params)


def _without(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda f: (f / "model.safetensors").write_bytes(b"x" * 99),
            "expected a model that transformers can load, but got",
        ),
        (
            lambda f: _without(f, "encoder.layer_norm.weight"),
            "expected all weights of a hubert model, but 1 are missing, the first is 'encoder.layer_norm.weight'",
        ),
    ],
)
def test_damaged_weights_end_the_run(spoil, told, table, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("hubert"), tmp_path / "model")
    spoil(folder)
    with pytest.raises(EmofuseError, match=told):
        extract(table, [f"speech:model={folder}"], tmp_path / "store", workers=0)


def test_code_of_a_checkpoint_never_runs(table, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("hubert"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    extract(table, [f"speech:model={folder}"], tmp_path / "store", workers=0)
    assert not (tmp_path / "ran").exists()


def test_looking_at_sets_loads_neither_torch_nor_transformers(checkpoint):
    code = (
        "import sys; from features.app import features_app; from features.sets import get_set, parse_spec;"
        f"spec = parse_spec('speech:model={checkpoint('hubert')},layers=all');"
        "print(get_set('speech').shape(spec.params), get_set('vision').name, get_set('onnx').name);"
        "print([name for name in ('torch', 'transformers', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(4, 16) vision onnx", "[]"]
