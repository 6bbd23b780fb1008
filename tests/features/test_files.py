import json
import os
import time
from pathlib import Path

import pytest

from features.errors import DamagedFile, EmofuseError
from features.files import clear_half_written, read_json, replacing, replacing_folder, write_bytes, write_json


def damaged(path) -> str:
    with pytest.raises(DamagedFile) as caught:
        read_json(path, "a note", damaged="write it again")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.json"
    write_json(path, {"lr": 0.1, "steps": (1, 2), "name": "é", 3: None})
    return path


def test_json_is_read_as_it_was_written_and_without_its_digest(note):
    assert read_json(note, "a note") == {"lr": 0.1, "steps": [1, 2], "name": "é", "3": None}


def test_what_is_wrong_with_json_is_told_with_the_remedy(note):
    good = note.read_bytes()
    note.write_bytes(good.replace(b"0.1", b"0.3"))
    assert damaged(note) == (
        "expected a note, but its bytes are not those that were written (who changes it by hand takes its "
        "content_sha256 away); write it again."
    )
    for text in (b"", b"\n", bytes(len(good))):  # what a power cut leaves
        note.write_bytes(text)
        assert damaged(note) == "expected a note, but the file is empty; write it again."
    note.write_bytes(good[:-9])
    assert damaged(note).startswith("expected a note as JSON, but it can't be parsed (")
    note.write_bytes(good.replace(b"0.1", b"NaN"))
    assert "not those that were written" in damaged(note)
    note.unlink()
    with pytest.raises(EmofuseError, match=r"no such file, expected a note; take one\.$"):
        read_json(note, "a note", missing="take one")


def test_json_of_an_earlier_release_has_no_digest(note):
    note.write_text('{"lr": 0.3}')
    assert read_json(note, "a note") == {"lr": 0.3}


class Disk:
    """Hears what is put onto the disk, in order."""

    def __init__(self, monkeypatch):
        self.heard = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._hear)
        rename = os.replace
        monkeypatch.setattr("pathlib.os.replace", lambda a, b: (self.heard.append("renamed"), rename(a, b))[1])

    def _hear(self, number):
        self.heard.append(str(Path(f"/proc/self/fd/{number}").readlink()))

    def names(self, root):
        return [one.removeprefix(str(root)).split(".")[0] if one != "renamed" else one for one in self.heard]


def test_a_file_is_on_the_disk_before_its_name_and_its_folder_after(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    write_bytes(tmp_path / "a" / "b" / "c.json", b"{}")
    assert disk.names(tmp_path) == ["/a", "", "/a/b/", "renamed", "/a/b"]


def test_names_of_a_burst_are_on_the_disk_now_and_then(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    for n in range(3):
        write_bytes(tmp_path / f"p{n}", b"", names_every_s=3600)
    assert disk.names(tmp_path) == ["/", "renamed", "", "/", "renamed", "/", "renamed"]
    write_bytes(tmp_path / "p3", b"", names_every_s=1e-9)
    assert disk.names(tmp_path)[-1] == ""


def test_a_folder_is_on_the_disk_with_all_that_is_in_it(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    with replacing_folder(tmp_path / "model") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "x").touch()
        (folder / "y").touch()
    tails = [one.removeprefix(str(folder)) for one in disk.heard]
    assert tails == ["/inner/x", "/inner", "/y", "", str(tmp_path)]


def test_what_may_be_lost_is_not_synced(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    write_json(tmp_path / "beat.json", {}, sync=False)
    with replacing_folder(tmp_path / "cache", sync=False):
        pass
    assert disk.names(tmp_path) == ["renamed"]


def test_an_error_leaves_nothing_behind(tmp_path):
    for how in (replacing, replacing_folder):
        with pytest.raises(ZeroDivisionError), how(tmp_path / "x"):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path):
    def left(name, age_s, inside=None):
        path = tmp_path / "models" / name
        path.mkdir(parents=True)
        for one in (path / (inside or "x"), path):
            one.touch()
            os.utime(one, (time.time() - age_s,) * 2)
        return path

    old, whole = left(".key.123.0a1b2c3d", 700), left("key", 700)
    left(".fresh.123.0a1b2c3d", 0), left(".key.parquet.damaged", 700)
    file = whole / ".model.json.7.ffffffff"
    file.touch()
    os.utime(file, (0, 0))
    assert sorted(clear_half_written(tmp_path)) == sorted([old, file])
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names == {"key", ".fresh.123.0a1b2c3d", ".key.parquet.damaged"} and (whole / "x").exists()


def test_the_digest_is_of_the_rest(note):
    data = json.loads(note.read_text())
    del data["content_sha256"]
    note.write_text(json.dumps(data))
    assert read_json(note, "a note") == data
