"""Which files below a folder are taken, by every reader of folders."""

import os
from pathlib import Path

import pytest

from ensembles.bundle.predict import media_files
from features.datasets import read_dataset
from features.errors import EmofuseError, WrongUse
from features.walk import is_system, walk

JUNK = (
    ".ipynb_checkpoints/a-checkpoint.{0}",
    "{1}/.ipynb_checkpoints/a.{0}",
    "{1}/@eaDir/a.{0}",
    "__MACOSX/{1}/._a.{0}",
    "{1}/._a.{0}",
    "{1}/Thumbs.db",
    "{1}/.DS_Store",
    "$RECYCLE.BIN/{1}/a.{0}",
    "lost+found/a.{0}",
    "System Volume Information/a.{0}",
    "{1}/desktop.ini",
    "#recycle/a.{0}",
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def link(path: Path, target: Path) -> None:
    path.symlink_to(target, target_is_directory=True)


RAVDESS = "03-01-01-01-01-01-01.wav"
READERS = {
    "afew": (("Train/Sad/000000001.avi", "Val/Sad/000000002.avi"), "avi", "Train/Sad"),
    "cheavd": (("train/sad/1.avi", "val/sad/2.avi"), "avi", "train/sad"),
    "images": (("train/sad/1.png", "val/sad/2.png"), "png", "train/sad"),
    "ravdess": ((f"Actor_01/{RAVDESS}",), "wav", "Actor_01"),
    "predict": (("new/1.mp4", "new/2.wav"), "mp4", "new"),
}


def read(reader: str, root: Path) -> list[str]:
    if reader == "predict":
        return [str(path.relative_to(root)) for path in media_files([root])]
    return sorted(str(clip.path) for clip in read_dataset(reader, root).clips)


@pytest.mark.parametrize("reader", READERS)
def test_systems_leavings_and_second_ways_to_a_folder_are_passed_over(tmp_path, capsys, reader):
    names, suffix, folder = READERS[reader]
    root = touch(tmp_path / "root", *names)
    assert read(reader, root) == sorted(names)
    touch(root, *(name.format(suffix, folder) for name in JUNK))
    link(root / folder / "up", root)
    link(root / folder / "above", tmp_path)
    link(root / "again", root / folder)
    link(root / "around", root / "around2")
    link(root / "around2", root / "around")
    capsys.readouterr()
    assert read(reader, root) == sorted(names)
    told = capsys.readouterr().err
    assert "12 hidden or system names (" in told and ".ipynb_checkpoints" in told
    assert "3 links to folders that are read already (" in told and "2 links that lead nowhere (" in told


def test_linked_folders_from_elsewhere_are_read_once(tmp_path):
    touch(tmp_path / "elsewhere", "sad/1.png")
    root = touch(tmp_path / "root", "train/happy/2.png")
    link(root / "train" / "b", tmp_path / "elsewhere")
    link(root / "a", tmp_path / "elsewhere")
    link(tmp_path / "elsewhere" / "back", root)
    found = walk(root, "clips")
    assert [str(path.relative_to(root)) for path in found.files] == ["a/sad/1.png", "train/happy/2.png"]
    assert sorted(path.name for path in found.again) == ["b", "back"]


def test_a_root_may_have_any_name_and_be_a_link(tmp_path):
    touch(tmp_path / ".cache", "x/1.png")
    link(tmp_path / "root", tmp_path / ".cache")
    assert [path.name for path in walk(tmp_path / "root", "clips").files] == ["1.png"]
    with pytest.raises(EmofuseError, match=r"none: no such folder; expected clips\."):
        walk(tmp_path / "none", "clips")


def test_names():
    assert all(map(is_system, ("@eaDir", "THUMBS.DB", ".git", "~$a.mp4", "Lost+Found")))
    assert not any(map(is_system, ("happy", "a.mp4", "lost", "thumbs.db.mp4", "eaDir")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "a").chmod(0)
    with pytest.raises(PermissionError):
        walk(tmp_path, "clips")
    (tmp_path / "a").chmod(0o700)


def test_label_files_of_systems_are_no_labels(tmp_path):
    line = "\n".join(f"'Train_01';{t / 10};0.1;0.2;0.3" for t in range(3))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/Train_01.csv").write_text(line)
    touch(tmp_path, "labels/._Train_01.csv", "video/._Train_01.mp4", "video/Train_01.mp4")
    assert [clip.path for clip in read_dataset("sewa", tmp_path).clips] == ["video/Train_01.mp4"]
    touch(tmp_path, "video/Train_01.avi")
    with pytest.raises(EmofuseError, match=r"Train_01 is there twice: .*Train_01\.avi and .*Train_01\.mp4"):
        read_dataset("sewa", tmp_path)


def test_nothing_to_predict(tmp_path):
    with pytest.raises(WrongUse, match="the folder holds no media files"):
        media_files([touch(tmp_path, "notes.txt", ".hidden/1.mp4")])
