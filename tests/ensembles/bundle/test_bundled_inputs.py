"""Bundles whose members read encoders of the user's own, or sets that were imported."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from spoiling import digested, edited

from ensembles.cli.command import main
from features.clips import Clip, ClipTable, hash_media, write_clips

pytest.importorskip("transformers", reason="the extra `encoders` is not installed")
ROOT = Path(__file__).parents[3]
SPEECH, STEPS = "speech:model={folder}/tiny,layers=2,pool=mean", "speech:model={folder}/tiny"
HEAD = {"configurations": 1, "published": True, "max_epochs": 3}
MEMBERS = {
    "speech": {**HEAD, "family": "embedding_head", "inputs": {"embedding": SPEECH}},
    "frames": {**HEAD, "family": "attention_pool", "inputs": {"frames": [STEPS]}},
    "mine": {**HEAD, "family": "embedding_head", "inputs": {"embedding": "mine"}},
    "steps": {**HEAD, "family": "attention_pool", "inputs": {"frames": ["steps"]}},
}
SPEAKERS = {"train": ("ann", "bob"), "val": ("cat", "dan"), "test": ("eve",)}


def _clips(folder):
    rng, clips = np.random.default_rng(0), []
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            for label, level in (("angry", 0.5), ("calm", 0.05)):
                name = f"{speaker}-{label}"
                soundfile.write(folder / f"{name}.wav", rng.normal(0, level, 8000).clip(-1, 1), 16000)
                clips.append(Clip(name, f"{name}.wav", split, label, speaker))
    write_clips(hash_media(ClipTable(tuple(clips), folder)), folder / "clips.parquet")
    return [clip.clip_id for clip in clips]


def _arrays(path, ids, shape=()):
    rng = np.random.default_rng(1)
    np.savez(path, **{one: (rng.normal(size=(*shape, 5)) + ("angry" in one)).astype(np.float32) for one in ids})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Runs `weights` and `imported`, fitted and refitted, in a folder with what they were made of."""
    sys.path.insert(0, str(ROOT / "tests" / "features" / "encoders"))
    from tiny_checkpoints import save

    folder = tmp_path_factory.mktemp("inputs")
    save("wavlm", folder / "tiny")
    ids, store, table = _clips(folder), str(folder / "store"), str(folder / "clips.parquet")
    _arrays(folder / "mine.npz", ids)
    _arrays(folder / "steps.npz", ids, (4,))
    sets = [word for spec in (SPEECH, STEPS) for word in ("-s", spec.format(folder=folder))]
    assert main(["features", "extract", table, *sets, "-o", store, "--workers=0"]) == 0
    for name, level in (("mine", "clip"), ("steps", "frame")):
        given = [table, str(folder / f"{name}.npz"), "--name", name, "--level", level, "-o", store]
        assert main(["features", "import", *given]) == 0
    for run, members in (("weights", ("speech", "frames")), ("imported", ("mine", "steps"))):
        entries = json.loads(json.dumps({name: MEMBERS[name] for name in members}).replace("{folder}", str(folder)))
        recipe = {"name": run, "partitions": ["train", "swap"], "stages": [{"stage": "clips", "entries": entries}]}
        (folder / f"{run}.yaml").write_text(yaml.safe_dump(recipe))
        path, given = str(folder / run), ["--clips", table, "--features", store, "--in-process"]
        for command in (
            ["search", "run", str(folder / f"{run}.yaml"), *given, "-o", path],
            ["ensemble", "fit", path, "--name", "e", "--method", "uniform", "--all"],
            ["ensemble", "refit", path, "e", "--in-process"],
        ):
            assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def bundles(world):
    """`bare` names the weights, `whole` holds them, `asking` asks for features."""
    for run, name, options in (
        ("weights", "bare", []),
        ("weights", "whole", ["--with-encoders"]),
        ("imported", "asking", []),
    ):
        assert main(["ensemble", "export", str(world / run), "e", "-o", str(world / name), "--anyway", *options]) == 0
    return world


def _labels(capsys):
    return [json.loads(line)["probabilities"]["angry"] for line in capsys.readouterr().out.splitlines()]


def test_a_bundle_with_weights_predicts_as_the_one_that_is_given_them(bundles, capsys):
    clips = [str(path) for path in sorted(bundles.glob("*.wav"))]
    assert main(["predict", str(bundles / "whole"), *clips, "--json"]) == 0
    whole = _labels(capsys)
    assert main(["predict", str(bundles / "bare"), *clips, "--json", "--encoder", f"tiny={bundles / 'tiny'}"]) == 0
    assert whole == _labels(capsys) and len(set(whole)) > 1
    assert str(bundles) not in (bundles / "bare" / "bundle.json").read_text()


def test_weights_that_are_not_there_are_asked_for(bundles, capsys):
    assert main(["predict", str(bundles / "bare"), str(bundles / "eve-calm.wav")]) == 1
    told = "its models read the encoder 'tiny' (speech), whose weights it doesn't hold; give --encoder tiny=PLACE"
    assert told in capsys.readouterr().err


def test_other_weights_are_refused(bundles, tmp_path, capsys):
    from tiny_checkpoints import save

    save("wavlm", tmp_path / "other", seed=1)
    clip = str(bundles / "eve-calm.wav")
    for bundle in ("bare", "whole"):
        assert main(["predict", str(bundles / bundle), clip, "--encoder", f"tiny={tmp_path / 'other'}"]) == 1
        told = f"{tmp_path / 'other'}: expected the weights that {bundles / bundle} was made with"
        assert told in capsys.readouterr().err
    assert main(["predict", str(bundles / "whole"), clip, "--encoder", "tinny=x"]) == 2
    assert "Did you mean 'tiny'?" in capsys.readouterr().err


def test_other_weights_are_not_exported(bundles, tmp_path, capsys):
    from tiny_checkpoints import save

    shutil.move(bundles / "tiny", tmp_path / "tiny")
    try:
        save("wavlm", bundles / "tiny", seed=1)
        assert main(["ensemble", "export", str(bundles / "weights"), "e", "-o", str(tmp_path / "b"), "--anyway"]) == 1
        assert "but these have" in capsys.readouterr().err
    finally:
        shutil.rmtree(bundles / "tiny")
        shutil.move(tmp_path / "tiny", bundles / "tiny")


def test_changed_weights_in_a_bundle_are_noticed(bundles, tmp_path, capsys):
    shutil.copytree(bundles / "whole", tmp_path / "b")
    weights = next((tmp_path / "b" / "weights" / "tiny").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert main(["predict", str(tmp_path / "b"), str(bundles / "eve-calm.wav")]) == 1
    assert "weights/tiny/model.safetensors was changed after the export" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"files": ["../ensemble.json"]}, {"files": [".."]}, {"graph": "../x"}, {"set": "onnx"}]
)
def test_a_strangers_weights_lie_in_their_folder(bundles, tmp_path, change, capsys):
    shutil.copytree(bundles / "whole", tmp_path / "b")
    edited(tmp_path / "b" / "bundle.json", lambda data: data["weights"]["tiny"].update(change))
    digested(tmp_path / "b")
    assert main(["predict", str(tmp_path / "b"), str(bundles / "eve-calm.wav")]) == 1
    assert f"emofuse: {tmp_path / 'b'}" in capsys.readouterr().err


def test_imported_sets_are_given_by_a_store_or_by_arrays(bundles, capsys):
    table, bundle = str(bundles / "clips.parquet"), str(bundles / "asking")
    assert main(["predict", bundle, "--clips", table, "--features", str(bundles / "store"), "--json"]) == 0
    stored = _labels(capsys)
    arrays = [f"--features={name}={bundles / f'{name}.npz'}" for name in ("mine", "steps")]
    assert main(["predict", bundle, "--clips", table, *arrays, "--json"]) == 0
    assert stored == _labels(capsys) and len(set(stored)) > 1


def test_features_that_are_needed_are_asked_for(bundles, capsys):
    table, bundle = str(bundles / "clips.parquet"), str(bundles / "asking")
    assert main(["predict", bundle, str(bundles / "eve-calm.wav")]) == 2
    assert "its models read the imported sets 'mine', 'steps', which can't be computed" in capsys.readouterr().err
    assert main(["predict", bundle, "--clips", table, f"--features=mine={bundles / 'mine.npz'}"]) == 1
    assert "its models read the imported set 'steps'; give it by --features" in capsys.readouterr().err
    assert main(["predict", bundle, "--clips", table, f"--features=mine={bundles / 'steps.npz'}"]) == 1
    assert main(["predict", bundle, "--clips", table, f"--features={bundles / 'steps.npz'}"]) == 2
    assert "expected NAME=FILE, as the bundle reads" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bundle_with_weights_works_in_a_new_process_without_a_network(bundles, tmp_path):
    shutil.move(bundles / "tiny", tmp_path / "tiny")
    cut = _cut()
    try:
        command = [*cut, sys.executable, "-m", "emofuse", "predict", str(bundles / "whole"), str(bundles), "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
    finally:
        shutil.move(tmp_path / "tiny", bundles / "tiny")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == sum(map(len, SPEAKERS.values())) * 2


def test_the_command_writes_graphs_without_a_bundle_too(bundles, tmp_path, capsys):
    pytest.importorskip("onnx")
    words = ["ensemble", "export", str(bundles / "weights"), "e", "--anyway"]
    assert main(words) == 2
    assert "Say where to: -o BUNDLE, --onnx FOLDER, or both." in capsys.readouterr().err
    assert main([*words, "--onnx", str(tmp_path / "graphs")]) == 0
    written = {path.name for path in (tmp_path / "graphs").iterdir()}
    assert written == {"manifest.json", "run.py", "fusion.onnx", "member-00.onnx", "member-01.onnx"}
    assert str(bundles) not in (tmp_path / "graphs" / "manifest.json").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").touch()
    assert main([*words, "--onnx", str(tmp_path / "mine")]) == 2
    assert "exists and holds no ONNX export" in capsys.readouterr().err


def _cut():
    """What goes before a command to cut the network off, where that is allowed."""
    tried = shutil.which("unshare") and subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0
    return ["unshare", "-n"] if tried else []


@pytest.mark.slow
@pytest.mark.real_data
def test_real_speech_through_an_encoder_to_a_bundle_without_a_network(real_data, tmp_path):
    """Each command is a process of its own."""
    sys.path.insert(0, str(ROOT / "tests" / "features" / "encoders"))
    from tiny_checkpoints import save

    from features.datasets import read_dataset

    save("wavlm", tmp_path / "tiny")
    actors = {"modality": "audio", "train": "1", "val": "13", "test": "14"}
    found = read_dataset("ravdess", real_data / "ravdess_audio", **actors)
    some = tuple(clip for n, clip in enumerate(found.clips) if n % 2 == 0)
    table, store, run = (str(tmp_path / name) for name in ("clips.parquet", "store", "run"))
    write_clips(hash_media(ClipTable(some, found.root)), tmp_path / "clips.parquet")
    spec = f"speech:model={tmp_path}/tiny,pool=mean"
    entries = {"speech": {**HEAD, "family": "embedding_head", "inputs": {"embedding": spec}}}
    recipe = {"name": "real", "stages": [{"stage": "clips", "entries": entries}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    given = ["--clips", table, "--features", store, "-o", run, "--in-process"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def emofuse(*words):
        command = [*_cut(), sys.executable, "-m", "emofuse", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for command in (
        ["features", "extract", table, "-s", spec, "-o", store, "--workers=0"],
        ["search", "run", str(tmp_path / "recipe.yaml"), *given],
        ["ensemble", "fit", run, "--name", "e", "--method", "uniform"],
        ["ensemble", "refit", run, "e", "--in-process"],
        ["ensemble", "export", run, "e", "-o", str(tmp_path / "bundle"), "--with-encoders", "--anyway"],
    ):
        emofuse(*command)
    shutil.rmtree(tmp_path / "tiny")
    clips = sorted((real_data / "ravdess_audio" / "Actor_14").glob("*.flac"))[:3]
    told = [json.loads(line) for line in emofuse("predict", tmp_path / "bundle", *clips, "--json").splitlines()]
    assert len(told) == 3 and all(one["reason"] is None for one in told)
