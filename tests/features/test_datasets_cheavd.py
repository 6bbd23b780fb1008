"""CHEAVD's layouts, as programs that read it expect them."""

import pytest

from features.clips import check_clips
from features.datasets import read_dataset
from features.errors import EmofuseError


def made(root, files, texts=None):
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    for name, text in (texts or {}).items():
        (root / name).write_text(text)
    return root


def test_files_of_labels(tmp_path, capsys):
    names = ["data/train/a.avi", "data/train/sub/b.avi", "data/train/c.avi", "data/val/a.avi", "data/test/z.avi"]
    labels = {"data/train/train_label.txt": "a.avi Angry\nb,happy\n\n", "data/val/val_label.txt": "x/a.wav\tHappy\n"}
    table = read_dataset("cheavd", made(tmp_path, names, labels))
    check_clips(table)
    assert {clip.clip_id: clip.label for clip in table.clips} == {
        "train/a": "angry",
        "train/b": "happy",
        "val/a": "happy",
        "test/z": None,
    }
    said = capsys.readouterr().err
    assert "1 clips are left out, they have no split or no label: data/train/c.avi, ..." in said
    assert "2 train, 1 val and 1 test clips are not the numbers of 2016 or 2017" in said


def test_a_folder_per_class_and_speakers(tmp_path, capsys):
    names = [
        "Train/Anxious/2_004_03_022_F003_e.avi",
        "Train/happy/2_004_03_023_M001_e.avi",
        "Val/happy/2_009_01_001_F003_e.avi",
        "Test/2_010_01_001_F009_e.avi",
    ]
    table = read_dataset("cheavd", made(tmp_path, names))
    groups = {clip.clip_id: (clip.label, clip.group_id) for clip in table.clips}
    assert groups["train/2_004_03_022_F003_e"] == ("anxious", "F003")
    assert groups["test/2_010_01_001_F009_e"] == (None, "F009")
    told = "1 group lies in more than one split, 'F003' with clip 'train/2_004_03_022_F003_e' in train and clip"
    assert told in capsys.readouterr().err
    alone = read_dataset("cheavd", tmp_path, speaker="")
    assert all(clip.group_id == clip.clip_id for clip in alone.clips)


def test_other_names(tmp_path):
    root = made(tmp_path, ["fit/a.avi", "dev/b.avi"], {"fit.lst": "a sad", "dev.lst": "b sad"})
    table = read_dataset("cheavd", root, train="fit", val="dev", labels="{split}.lst")
    assert [(clip.clip_id, clip.label) for clip in table.clips] == [("val/b", "sad"), ("train/a", "sad")]


@pytest.mark.parametrize(
    "files, texts, options, message",
    [
        (["a/1.avi"], {}, {}, "expected CHEAVD's folders train, val and test .* but found 'a/1.avi' and the like"),
        (
            ["train/1.avi"],
            {"train/train_label.txt": "1 very sad"},
            {},
            "line 1: expected a clip's name and label, but got",
        ),
        (
            ["train/sad/1.avi", "train/sad/1.wav"],
            {},
            {},
            r"train/1 is there twice: train/sad/1\.avi and train/sad/1\.wav",
        ),
        (
            ["train/sad/1.avi"],
            {},
            {"val": "Train"},
            "folders of train, val and test must differ, but got 'train', 'Train'",
        ),
        (["train/sad/1.avi"], {}, {"speaker": "("}, r"--speaker expects a regular expression, but '\(' is none"),
    ],
)
def test_mistakes_are_told(tmp_path, files, texts, options, message):
    with pytest.raises(EmofuseError, match=message):
        read_dataset("cheavd", made(tmp_path, files, texts), **options)
