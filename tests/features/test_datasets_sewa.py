"""SEWA in the AVEC challenges' layouts."""

import numpy as np
import pytest

from features.clips import check_clips
from features.datasets import read_dataset
from features.errors import EmofuseError, WrongUse


def challenge(root, train=3, devel=2, media="video", language="", header=False):
    (root / "labels").mkdir(parents=True)
    names = [
        f"{part}_{language}{n:02d}" for part, count in (("Train", train), ("Devel", devel)) for n in range(1, count + 1)
    ]
    for name in names:
        rows = ["name;timestamp;arousal;valence;liking"] * header
        rows += [f"'{name}';{t / 10:.6f};{t / 100:.6f};0.5;-0.25" for t in range(20)]
        (root / "labels" / f"{name}.csv").write_text("\n".join(rows))
    for name in [*names, f"Test_{language}01"] if media else []:
        (root / media).mkdir(exist_ok=True)
        (root / media / f"{name}.{'avi' if media == 'video' else 'wav'}").write_bytes(name.encode())
    return root


@pytest.mark.parametrize(("language", "header"), [("", False), ("DE_", True)])
def test_recordings_with_their_labels(tmp_path, language, header):
    table = read_dataset("sewa", challenge(tmp_path, language=language, header=header))
    check_clips(table)
    assert [len(table.split(split)) for split in ("train", "val", "test")] == [3, 2, 1]
    clip = table.by_id(f"Devel_{language}02")
    assert (clip.path, clip.split, clip.label) == (f"video/{clip.clip_id}.avi", "val", None)
    assert table.annotations.dimensions == ("arousal", "valence"), "the two of the papers"
    time_s, values = table.annotations.series[clip.clip_id]
    np.testing.assert_allclose(time_s, np.arange(20) / 10)
    np.testing.assert_allclose(values[7], [0.07, 0.5])
    assert f"Test_{language}01" not in table.annotations


def test_the_papers_own_split(tmp_path, capsys):
    table = read_dataset("sewa", challenge(tmp_path, train=34, devel=14), tune=8)
    check_clips(table)
    assert [len(table.split(split)) for split in ("train", "val", "test")] == [26, 8, 14]
    assert next(clip.clip_id for clip in table.split("val")) == "Train_27"
    assert "SEWA has 16 German recordings in Test, but here are 1" in capsys.readouterr().err
    with pytest.raises(WrongUse, match="expected tune from 1 to 33 of the DE recordings of Train, got 34"):
        read_dataset("sewa", tmp_path, tune=34)


def test_dimensions_are_chosen_and_put_in_order(tmp_path):
    chosen = read_dataset("sewa", challenge(tmp_path), dimensions="liking, arousal").annotations
    assert chosen.dimensions == ("liking", "arousal")
    np.testing.assert_allclose(chosen.series["Train_01"][1][7], [-0.25, 0.07])
    with pytest.raises(WrongUse, match=r"Unknown dimension of .*labels 'arousl'.* Did you mean 'arousal'"):
        read_dataset("sewa", tmp_path, dimensions="arousl")
    with pytest.raises(WrongUse, match="expected one or more dimensions, as arousal,valence, but got ' ,'"):
        read_dataset("sewa", tmp_path, dimensions=" ,")


def test_the_last_recordings_of_each_culture_are_for_tuning(tmp_path):
    for language in ("DE_", "HU_"):
        challenge(tmp_path / language, train=5, language=language)
    for path in sorted((tmp_path / "HU_").rglob("*.*")):
        (tmp_path / "DE_" / path.relative_to(tmp_path / "HU_")).write_bytes(path.read_bytes())

    def tuned(**options):
        return [clip.clip_id for clip in read_dataset("sewa", tmp_path / "DE_", tune=2, **options).split("val")]

    assert tuned() == ["Train_DE_04", "Train_DE_05", "Train_HU_04", "Train_HU_05"]
    assert tuned(culture="de") == ["Train_DE_04", "Train_DE_05"]
    with pytest.raises(WrongUse, match="Unknown culture of the Train recordings 'CN': known are DE, HU"):
        tuned(culture="CN")
    with pytest.raises(WrongUse, match="culture='DE' says whose recordings tune takes: say how many, as tune=8"):
        read_dataset("sewa", tmp_path / "DE_", culture="DE")


def test_what_the_recordings_are(tmp_path, capsys):
    audio = read_dataset("sewa", challenge(tmp_path / "a", media="audio"))
    assert audio.by_id("Train_01").path == "audio/Train_01.wav"
    without = challenge(tmp_path / "b", media="")
    (without / "audio_features").mkdir()
    (without / "audio_features" / "Test_01.csv").write_text("'Test_01';0.0;1\n")
    table = read_dataset("sewa", without)
    assert {clip.path for clip in table.clips} == {None} and table.by_id("Test_01").split == "test"
    assert "has neither video nor audio: import features" in capsys.readouterr().err
    with pytest.raises(EmofuseError, match=r"expected video files as video/Train_01"):
        read_dataset("sewa", without, media="video")


def test_other_folders_are_told(tmp_path):
    with pytest.raises(EmofuseError, match="expected an unpacked challenge with a folder 'labels'"):
        read_dataset("sewa", tmp_path)
    challenge(tmp_path)
    (tmp_path / "labels" / "x.csv").write_text("'speaker1';0.0;0;0;0\n")
    with pytest.raises(EmofuseError, match=r"expected recordings named as Train_01 or Devel_DE_01, .* of 'speaker1'"):
        read_dataset("sewa", tmp_path)


@pytest.mark.real_data
def test_real_labels(real_data):
    table = read_dataset("sewa", real_data / "sewa", media="none")
    assert {clip.split for clip in table.clips} == {"val"} and len(table) == 14
    assert sum(len(time_s) for time_s, _ in table.annotations.series.values()) == 22_727
    assert table.annotations.step_s == pytest.approx(0.1)
