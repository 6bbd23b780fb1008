from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.app import clips_app, features_app
from features.clips import read_clips
from features.errors import EmofuseError
from features.sets import FeatureArray, FeatureSet
from features.store.store import open_set

SET = FeatureSet(
    "size",
    1,
    "clip",
    "the length of the file",
    lambda media, params: FeatureArray(np.array([[media.path.stat().st_size]]), np.zeros(1)),
    lambda params: (1,),
    {"unit": 1},
    "research",
)


@pytest.fixture(autouse=True)
def size_set(monkeypatch):
    monkeypatch.setattr("features.sets._MODULES", {"size": __name__})


def run(app, *arguments: object):
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if isinstance(result.exception, EmofuseError):
        raise result.exception
    return result


@pytest.fixture
def clips(tmp_path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_text(name)
    (tmp_path / "my.csv").write_text("clip_id,split,path,label,group_id\na,train,a.wav,x,g\nb,val,b.wav,x,h\n")
    path = tmp_path / "out" / "clips.parquet"
    result = run(clips_app, "table", tmp_path / "my.csv", "-o", path)
    assert "2 clips (1 train, 1 val), 2 groups, 1 classes: x" in result.stderr
    return path


def test_clips_are_checked_and_hashed(clips, tmp_path):
    assert all(len(clip.media_sha256) == 64 for clip in read_clips(clips).clips)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(EmofuseError, match=r"Clip 'a': its media file must exist, but got .*a\.wav"):
        run(clips_app, "table", tmp_path / "my.csv", "-o", tmp_path / "bad.parquet")
    assert not (tmp_path / "bad.parquet").exists()


def test_every_dataset_is_a_command_with_its_options():
    text = run(clips_app, "ravdess", "--help").stdout
    assert "emofuse clips ravdess RAVDESS" in text and "--modality" in text and "--train" in text
    assert "--no-media" in run(clips_app, "table", "--help").stdout


def test_extract_import_and_list(clips, tmp_path):
    store = tmp_path / "store"
    extracted = run(features_app, "extract", clips, "-s", "size", "-o", store, "--workers", 0)
    assert "size: 2 clips ok in" in extracted.stderr
    np.savez(tmp_path / "mine.npz", a=np.ones((3, 2)))
    how = ("--name", "mine", "--level", "frame", "-o", store)
    imported = run(features_app, "import", clips, tmp_path / "mine.npz", *how)
    assert "mine: 1 clips, 1 without features, each time step (2,) float32" in imported.stderr
    listed = run(features_app, "ls", store).stdout
    assert "size" in listed and "mine" in listed
    assert open_set(store, "size", read_clips(clips))["a"].tolist() == [1]
    (data,) = store.glob("mine/*/data.arrow")
    data.write_bytes(b"")
    assert "damaged" in run(features_app, "ls", store).stdout


def test_sets_tell_what_they_need():
    listed = run(features_app, "sets").stdout
    assert "unit=1" in listed and "research" in listed


def test_a_set_without_any_clip_is_failed_work(clips, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_text("")
    with pytest.raises(EmofuseError, match=r"'size': none of the 2 clips gave features, the first is 'a': unreadable"):
        run(features_app, "extract", clips, "-s", "size", "-o", tmp_path / "store", "--workers", 0)


def test_wrong_use(clips, tmp_path):
    with pytest.raises(EmofuseError, match="Unknown feature set 'sise': known are size"):
        run(features_app, "extract", clips, "-s", "sise", "-o", tmp_path)
    with pytest.raises(EmofuseError, match="no such folder, expected a feature store"):
        run(features_app, "ls", tmp_path / "none")
    assert run(features_app, "extract", clips, "-o", tmp_path).exit_code == 2


def test_a_folder_is_read_and_merged_with_another(tmp_path):
    for label in ("happy", "calm"):
        for n in range(6):
            (tmp_path / "mine" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / label / f"{n}_x.wav").write_text(f"{label}{n}")
    groups = ("--groups", r"(?P<group>\d)_")
    for seed, name in enumerate(("a", "b")):
        made = run(clips_app, "folder", tmp_path / "mine", "-o", tmp_path / f"{name}.parquet", *groups, "--seed", seed)
        assert "12 clips (8 train, 2 val, 2 test), 6 groups, 2 classes: calm, happy" in made.output
    tables = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    (tmp_path / "labels.yaml").write_text("all: {calm: neutral}")
    options = ("-o", tmp_path / "c.parquet", "--labels", tmp_path / "labels.yaml", "--name", "a", "--name", "b")
    assert (
        "24 clips (16 train, 4 val, 4 test), 12 groups, 2 classes: happy, neutral"
        in run(clips_app, "merge", *tables, *options).output
    )
    merged = read_clips(tmp_path / "c.parquet")
    assert merged.by_id("b/calm/3_x").group_id == "b/3" and merged.media(merged.by_id("b/calm/3_x")).path.is_file()
