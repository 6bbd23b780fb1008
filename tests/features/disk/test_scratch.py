"""Folders that others can't enter, and what killed processes left of them."""

import fcntl
import os
import re
import stat
from pathlib import Path

import pytest

from features.disk.scratch import clear_left_behind, private_folder, refuse_shared, session_folder, unfinished
from features.errors import EmofuseError

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")


def _left(root: Path, name: str, age_s: float = 3600.0, lock: bool = True) -> Path:
    folder = root / f"emofuse-{os.geteuid()}-{name}"
    folder.mkdir(mode=0o700)
    if lock:
        (folder / "lock").touch()
    then = folder.stat().st_mtime - age_s
    os.utime(folder, (then, then))
    return folder


def test_a_session_has_a_folder_that_others_cannot_enter(tmp_path):
    with session_folder(tmp_path) as folder, session_folder(tmp_path) as another:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.exists() and another != folder
    assert not list(tmp_path.iterdir())


def test_the_next_command_clears_what_a_killed_one_left(tmp_path):
    killed, old, young = _left(tmp_path, "killed"), _left(tmp_path, "old", lock=False), _left(tmp_path, "now", 0, False)
    living, smoke, half = _left(tmp_path, "living"), tmp_path / "emofuse-smoke-kept", tmp_path / "emofuse-smoke-killed"
    for folder in (smoke, half):
        folder.mkdir()
    with unfinished(smoke), (living / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (half / "lock").touch()
        assert set(clear_left_behind(tmp_path)) == {killed, old, half}
    assert set(tmp_path.iterdir()) == {smoke, living, young} and not list(smoke.iterdir())
    assert clear_left_behind(tmp_path) == [living]


@ROOT
def test_what_is_another_users_is_neither_used_nor_removed(tmp_path):
    theirs = _left(tmp_path, "theirs")
    os.chown(theirs, 65534, 65534)
    assert clear_left_behind(tmp_path) == []
    told = f"{theirs}: expected a folder of this user (uid 0) with mode 0700, but it is drwx------ of uid 65534, so oth"
    with pytest.raises(EmofuseError, match=re.escape(told)):
        private_folder(theirs)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(EmofuseError, match="but it is lrwxrwxrwx of uid 0"):
        private_folder(link)


def test_an_open_folder_of_ones_own_is_closed(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    with pytest.raises(EmofuseError, match="but it is drwxr-xr-x"):
        refuse_shared(folder)
    assert stat.S_IMODE(private_folder(folder).stat().st_mode) == 0o700


def test_a_root_where_others_may_rename_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with (
        pytest.raises(EmofuseError, match=r"expected root's folder with the sticky bit \(mode 1777\)"),
        session_folder(tmp_path),
    ):
        pass
    tmp_path.chmod(0o1777)
    with session_folder(tmp_path):
        pass
