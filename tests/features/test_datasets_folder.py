import csv
from collections import Counter

import pytest
from clip_folders import split_groups, touch

from features.clips import check_clips, hash_media
from features.datasets import read_dataset
from features.errors import EmofuseError, WrongUse

WARNING = "no --groups (speaker, subject or film): clips of one person may fall on both sides"


def classes(root, count=10, prefix="", suffix="mp4"):
    return touch(
        root, *(f"{prefix}{label}/{i:02d}_{label}.{suffix}" for label in ("happy", "sad") for i in range(count))
    )


def places(table):
    return {clip.clip_id: (clip.split, clip.label) for clip in table.clips}


def table_of(path, header, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_class_folders_are_split_in_proportion(tmp_path, capsys):
    table = read_dataset("folder", classes(tmp_path, 20))
    check_clips(hash_media(table))
    assert Counter((c.label, c.split) for c in table.clips)["sad", "val"] == 3
    assert table.by_id("happy/03_happy").path == "happy/03_happy.mp4"
    assert len({clip.group_id for clip in table.clips}) == 40
    assert WARNING in capsys.readouterr().err


def test_a_pattern_or_a_level_names_groups(tmp_path, capsys):
    table = read_dataset("folder", classes(tmp_path / "a"), groups=r"(?P<group>\d+)_(happy|sad)")
    assert set.union(*split_groups(table).values()) == {f"{i:02d}" for i in range(10)}
    assert sum(map(len, split_groups(table).values())) == 10
    (
        classes(tmp_path / "b", prefix="ann/"),
        classes(tmp_path / "b", prefix="bob/"),
        classes(tmp_path / "b", prefix="cy/"),
    )
    table = read_dataset("folder", tmp_path / "b", groups="1")
    assert (table.classes, sorted(map(len, split_groups(table).values()))) == (("happy", "sad"), [1, 1, 1])
    touch(
        tmp_path / "c", *(f"train/{c}/{who}/1.wav" for c in "xy" for who in "pqr"), *(f"test/{c}/s/1.wav" for c in "xy")
    )
    table = read_dataset("folder", tmp_path / "c", groups="3")
    assert table.classes == ("x", "y") and split_groups(table)["test"] == {"s"}
    assert len(split_groups(table)["val"]) == 1
    assert "no --groups" not in capsys.readouterr().err


def test_split_folders_are_kept_and_val_is_drawn(tmp_path):
    root = classes(classes(tmp_path, 20, "Training/"), 5, "test/")
    sizes = Counter(clip.split for clip in read_dataset("folder", root, split="80/20/0").clips)
    assert sizes == {"train": 32, "val": 8, "test": 10}
    classes(tmp_path, 5, "dev/")
    assert Counter(clip.split for clip in read_dataset("folder", root).clips) == {"train": 40, "val": 10, "test": 10}
    with pytest.raises(WrongUse, match="its clips have splits already, so that no --folds can be drawn"):
        read_dataset("folder", root, folds=3)
    with pytest.raises(WrongUse, match=r"--groups 1: the first level of .* are the splits"):
        read_dataset("folder", root, groups="1")
    with pytest.raises(EmofuseError, match="but 'Training' names a split and 'other' none"):
        read_dataset("folder", classes(tmp_path, 1, "other/"))


def test_equal_files_and_names_are_one_group(tmp_path, capsys):
    root = classes(tmp_path)
    touch(root, "happy/1.mp4", "happy/1.avi")
    (root / "sad/again.mp4").write_bytes((root / "happy/03_happy.mp4").read_bytes())
    (root / "sad/again.avi").write_bytes((root / "sad/04_sad.mp4").read_bytes())
    groups = {clip.clip_id: clip.group_id for clip in read_dataset("folder", root).clips}
    assert groups["happy/1.avi"] == groups["happy/1.mp4"]
    joined = [groups[name] for name in ("sad/again.mp4", "happy/03_happy", "sad/again.avi", "sad/04_sad")]
    assert len(set(joined)) == 1 and len(set(groups.values())) == 24 - 4
    assert "4 clips share a name but for the suffix" in capsys.readouterr().err


def test_sound_beside_video_is_passed_over_and_told(tmp_path, capsys):
    root = classes(classes(tmp_path), suffix="wav")
    assert {clip.path[-4:] for clip in read_dataset("folder", root).clips} == {".mp4"}
    assert "20 of 40 files are passed over: those taken are video (--media)" in capsys.readouterr().err
    assert {clip.path[-4:] for clip in read_dataset("folder", root, media="audio").clips} == {".wav"}
    with pytest.raises(EmofuseError, match="but found no video, only other files"):
        read_dataset("folder", classes(tmp_path / "wavs", suffix="wav"), media="video")


def test_duplicates_of_test_clips_are_dropped(tmp_path, capsys):
    root = classes(classes(tmp_path, 5, "train/"), 5, "test/")
    (root / "train/sad/x.mp4").write_bytes((root / "test/sad/01_sad.mp4").read_bytes())
    assert "train/sad/x" in places(read_dataset("folder", root))
    assert "train/sad/x" not in places(read_dataset("folder", root, duplicates="drop"))
    assert "dropped 1 of" in capsys.readouterr().err


def test_a_table_of_paths_and_labels(tmp_path, capsys):
    classes(tmp_path)
    rows = [(path.relative_to(tmp_path), path.parent.name, f"s{path.name[:2]}") for path in tmp_path.rglob("*.mp4")]
    plain = read_dataset("folder", table_of(tmp_path / "a.csv", ("path", "label"), *(row[:2] for row in rows)))
    check_clips(hash_media(plain))
    assert places(plain).keys() == {str(row[0])[:-4] for row in rows} and WARNING in capsys.readouterr().err
    path = table_of(tmp_path / "b.csv", ("path", "label", "speaker"), *rows)
    table = read_dataset("folder", path, groups="speaker", folds=5, fold=2)
    assert sum(map(len, split_groups(table).values())) == 10 and len(split_groups(table)["test"]) == 2
    assert "no --groups" not in capsys.readouterr().err
    same = read_dataset("folder", tmp_path / "a.csv", groups=r"/(\d+)_", folds=5, fold=2)
    assert [clip.group_id for clip in same.clips] == [clip.group_id[1:] for clip in table.clips]


def test_a_table_with_splits_keeps_them(tmp_path):
    touch(tmp_path, "1.wav", "2.wav", "3.wav")
    path = table_of(
        tmp_path / "a.csv",
        ("path", "label", "split"),
        *((f"{i}.wav", "x", "Train") for i in (1, 2)),
        ("3.wav", "x", "test"),
    )
    assert [clip.split for clip in read_dataset("folder", path, split="70/0/30").clips] == ["train", "train", "test"]


def test_what_a_table_lacks_is_told(tmp_path):
    path = table_of(tmp_path / "a.csv", ("path", "label", "who"), ("1.wav", "x", ""))
    with pytest.raises(WrongUse, match=r"Unknown column in .*'who'"):
        read_dataset("folder", path)
    with pytest.raises(EmofuseError, match="1 rows have no who, which --groups names"):
        read_dataset("folder", path, groups="who")
    path = table_of(tmp_path / "a.csv", ("path", "label"), ("1.wav", "x"))
    with pytest.raises(WrongUse, match=r"--groups speaker: .*a\.csv has no column of that name"):
        read_dataset("folder", path, groups="speaker")
    with pytest.raises(EmofuseError, match=r"1\.wav: its name does not match the group pattern 'f\(x\)'"):
        read_dataset("folder", path, groups="f(x)")
    with pytest.raises(EmofuseError, match="expected the columns path, label, but there is no label"):
        read_dataset("folder", table_of(tmp_path / "b.csv", ("path",), ("1.wav",)))


def test_clips_in_no_class_folder_are_refused(tmp_path):
    with pytest.raises(EmofuseError, match=r"1\.mp4: expected clips in one folder per class, .* names its class"):
        read_dataset("folder", touch(tmp_path, "1.mp4", "happy/2.mp4"))
    with pytest.raises(WrongUse, match="needs a pair of parentheses"):
        read_dataset("folder", classes(tmp_path / "x"), groups=r"\d+_")
