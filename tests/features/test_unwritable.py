import errno
import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from features import unwritable as module
from features.unwritable import Unwritable, refused, unwritable

TABLE = pa.table({"a": [1]})


def told(work) -> str:
    with pytest.raises(OSError) as caught:
        work()
    return str(refused(caught.value))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


@pytest.mark.parametrize(
    ("work", "path", "sentence"),
    [
        (lambda p: (p / "folder").write_text(""), "folder", "expected a file, but this is a folder"),
        (lambda p: pq.write_table(TABLE, p / "folder"), "folder", "expected a file, but this is a folder"),
        (lambda p: (p / "file" / "a").mkdir(), "file", "expected a folder, but this is a file"),
        (lambda p: (p / "file" / "a" / "b").write_text(""), "file", "expected a folder, but this is a file"),
        (lambda p: (p / "file").mkdir(), "file", "something of this name is there already"),
        (lambda p: (p / "none").read_text(), "none", "no such file or folder"),
        (lambda p: pq.write_table(TABLE, p / "none" / "x"), "none/x", "no such file or folder"),
        (lambda p: pq.read_table(p / "none"), "none", "no such file or folder"),
        (lambda p: (p / "file").rename(p / "folder"), "folder", "expected a file, but this is a folder"),
        (lambda p: (p / "folder").rmdir(), "folder", "the folder is not empty"),
        (lambda p: (p / "circle" / "x").read_text(), "circle/x", "its links lead in a circle"),
        (lambda p: (p / ("x" * 300)).write_text(""), "x" * 300, "the name is longer than the file system takes"),
    ],
)
def test_the_path_the_matter_and_the_remedy(place, work, path, sentence):
    assert told(lambda: work(place)).startswith(f"{place / path}: {sentence}")


def test_no_permission_names_the_user(place):
    error = PermissionError(errno.EACCES, "Permission denied", str(place / "file"))
    assert str(refused(error)).startswith(f"{place / 'file'}: user ")
    assert "change the permissions" in str(refused(PermissionError(f"{place}/x")))


def test_what_is_not_foreseen_is_told_too():
    told = str(refused(OSError(errno.EIO, "Input/output error", "/x")))
    assert told == "/x: the system refuses it (Input/output error); see to that and run the same command."
    assert str(refused(OSError("odd"))) == "the system refuses it (odd); see to that and run the same command."


@pytest.mark.parametrize(
    "write",
    [
        lambda: Path("/dev/full").write_text("x" * 100_000, encoding="utf-8"),
        lambda: pa_csv.write_csv(TABLE, "/dev/full"),
        lambda: (_ for _ in ()).throw(shutil.Error([("/a", "/b/c", "[Errno 28] No space left on device: '/b/c'")])),
    ],
)
def test_a_full_disk(write):
    with pytest.raises(OSError) as caught:
        write()
    assert isinstance(refused(caught.value), Unwritable)
    assert "disk is full" in str(refused(caught.value))


def test_many_files_that_could_not_be_copied():
    error = shutil.Error([("/a", "/b/c", "[Errno 13] Permission denied: '/b/c'")])
    assert str(refused(error)).startswith("/b/c: user ")


def test_the_run_is_not_blamed_for_another_disk(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    elsewhere = OSError(errno.EROFS, "Read-only file system", "/elsewhere/x")
    assert str(unwritable(elsewhere, run)).startswith("/elsewhere: expected to write here, but the disk is read-only")
    own = OSError(errno.ENOSPC, "No space left on device", str(run / "deep" / "x"))
    assert str(unwritable(own, run)).startswith(f"{run}: expected")
    # A write that failed names no path: the disk that is full is found by looking.
    nameless = OSError(errno.ENOSPC, "No space left on device")
    assert str(unwritable(nameless, run)).startswith(f"{run}: expected")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/small")
    full = os.statvfs_result((4096, 4096, 1000, 0, 0, 100, 100, 100, 0, 255))
    roomy = os.statvfs_result((4096, 4096, 10**6, 10**6, 10**6, 100, 100, 100, 0, 255))
    monkeypatch.setattr(module.os, "statvfs", lambda place: full if str(place) == "/small" else roomy)
    assert str(unwritable(nameless, run)).startswith("/small: expected to write here, but the disk is full")


def test_another_error_is_none():
    assert unwritable(ValueError("x"), Path()) is None
