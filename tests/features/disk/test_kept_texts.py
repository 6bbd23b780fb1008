"""Texts that are kept for the next command."""

import pytest

from features.disk import own_folder
from features.disk.kept import find_text, kept_text


@pytest.fixture
def made(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = []
    return made


def _make(made):
    return lambda: made.append(1) or f"text {len(made)}\nof 2 lines, ü"


def test_a_text_is_made_once_and_again_of_something_else(made):
    assert find_text("a.js", "v1") is None
    assert {kept_text("a.js", "v1", _make(made)) for _ in range(3)} == {"text 1\nof 2 lines, ü"}
    assert kept_text("a.js", "v2", _make(made)) == "text 2\nof 2 lines, ü" == find_text("a.js", "v2")
    assert find_text("a.js", "v1") is None and find_text("b.js", "v2") is None


@pytest.mark.parametrize("damage", [b"", b"x" * 90, None])
def test_a_damaged_text_is_made_again(made, tmp_path, damage):
    kept_text("a.js", "v1", _make(made))
    path = tmp_path / "cache/emofuse/kept/a.js"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\xff" if damage is None else damage)
    assert kept_text("a.js", "v1", _make(made)).startswith("text 2")
    assert kept_text("a.js", "v1", _make(made)).startswith("text 2")


def test_a_text_is_kept_where_nobody_else_can_write(made, tmp_path, monkeypatch):
    monkeypatch.setattr(own_folder.tempfile, "gettempdir", lambda: "/proc/none")
    kept_text("a.js", "v1", _make(made))
    folder = tmp_path / "cache/emofuse/kept"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert find_text("a.js", "v1") is None
    assert kept_text("a.js", "v1", _make(made)).startswith("text 2")
    folder.chmod(0o700)
    assert find_text("a.js", "v1").startswith("text 1")
