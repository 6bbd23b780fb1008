"""A flipped bit, a cut or an empty file of a feature set is noticed in one sentence, or without effect on anything."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from features.disk import intact
from features.errors import ClipFailure, DamagedFile, EmofuseError
from features.sets import FeatureArray
from features.store import stored_set
from features.store.set_writer import SetWriter
from features.store.stored_set import StoredSet

KEY = "k" * 64
IDS = ("a", "b", "c")


def writer(store: Path) -> SetWriter:
    return SetWriter(store, "mine", KEY, IDS, "frame", (3,), spec="mine", params={"size": 3}, columns=("x", "y", "z"))


def fill(w: SetWriter) -> None:
    rng = np.random.default_rng(0)
    for clip_id, length in (("a", 40), ("c", 20)):
        w.add(clip_id, FeatureArray(rng.standard_normal((length, 3)).astype(np.float32), np.arange(length) / 25))
    w.fail("b", ClipFailure("no_face", "none in 40 frames"))


def content(stored: StoredSet) -> list:
    rows = [(i, stored.status(i), stored.reason(i), stored.length(i)) for i in stored.ids]
    there = [i for i in stored.ids if stored.has(i)]
    arrays = [(*map(bytes, stored.steps(i)), stored[i].shape, str(stored[i].dtype)) for i in there]
    return [rows, arrays, stored.info]


def damages(whole: bytes, seed: int):
    """100 flipped bits and 100 cuts, the empty file among them."""
    rng = random.Random(seed)
    for at in rng.sample(range(8 * len(whole)), 100):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        yield bytes(flipped)
    for length in (0, *rng.choices(range(len(whole)), k=99)):
        yield whole[:length]


@pytest.mark.parametrize("name", ["data.arrow", "clips.parquet", "set.json"])
def test_no_damage_of_a_finished_set_changes_a_number(tmp_path, name):
    fill(writer(tmp_path))
    expected = content(writer(tmp_path).finish())
    path = tmp_path / "mine" / KEY / name
    whole, noticed, cases = path.read_bytes(), 0, 0
    for damaged in damages(whole, 1):
        path.write_bytes(damaged)
        cases += 1
        try:
            found = content(StoredSet(path.parent))
        except EmofuseError as error:
            assert "\n" not in str(error) and str(path.parent) in str(error)
            noticed += 1
        else:
            assert found == expected
    assert cases == 200 and noticed > 150


@pytest.mark.parametrize("clip_id", ["a", "b"])
def test_no_damaged_part_is_taken(tmp_path, clip_id):
    w = writer(tmp_path / "whole")
    fill(w)
    expected = content(w.finish())
    fill(w)
    (path,) = [p for p in (tmp_path / "whole").rglob("*.parts/*") if p.stem == w._parts._path(clip_id, "").name]
    whole, noticed = path.read_bytes(), 0
    for damaged in damages(whole, 2):
        path.write_bytes(damaged)
        w.folder.exists() and shutil.rmtree(w.folder)
        done = w.done_ids()
        assert done >= set(IDS) - {clip_id}
        if clip_id in done:
            assert content(w.finish()) == expected
            fill(w)
        else:
            assert not path.exists()
            noticed += 1
    assert noticed > 150


def big(store: Path, monkeypatch) -> StoredSet:
    """A set whose checks are remembered, though it is small."""
    monkeypatch.setattr(stored_set, "_SMALL", 0)
    monkeypatch.setattr(intact, "_TICK_NS", 0)
    monkeypatch.setattr(intact, "_seen", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(store / "cache"))
    fill(writer(store))
    return writer(store).finish()


def checks(monkeypatch) -> list[StoredSet]:
    """The sets whose every byte is read from now on; other processes know nothing of this one's memory."""
    read, real = [], StoredSet._damaged_ids
    monkeypatch.setattr(StoredSet, "_damaged_ids", lambda stored, *given: read.append(stored) or real(stored, *given))
    return read


def flip(path: Path, what: bytes) -> None:
    at = path.read_bytes().index(what)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([what[0] ^ 1]))


def test_a_set_is_checked_once_and_again_when_it_changes(tmp_path, monkeypatch):
    stored = big(tmp_path, monkeypatch)
    read = checks(monkeypatch)
    for _ in range(3):
        intact._seen.clear()  # as in another process
        assert StoredSet(stored.folder)["a"].shape == (40, 3)
    assert len(read) == 1
    intact._seen.clear()
    flip(stored.folder / "data.arrow", bytes(stored["c"]))
    for _ in range(2):
        with pytest.raises(DamagedFile, match=r"clip 'c' are not those that were written\); remove .* and run the"):
            StoredSet(stored.folder)["a"]
    assert len(read) == 3


def test_without_a_place_for_notes_every_process_checks(tmp_path, monkeypatch):
    stored = big(tmp_path, monkeypatch)
    monkeypatch.setattr(intact, "_folder", lambda: None)
    read = checks(monkeypatch)
    for _ in range(2):
        StoredSet(stored.folder)["a"]
    assert len(read) == 1
    intact._seen.clear()
    StoredSet(stored.folder)["a"]
    assert len(read) == 2


def test_only_a_folder_of_ones_own_holds_notes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/proc/none")
    assert intact._folder() == tmp_path / "cache" / "emofuse" / "intact"
    assert intact._folder().stat().st_mode & 0o777 == 0o700
    intact._folder().chmod(0o777)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    place = intact._folder()
    assert place is not None and place.parent == tmp_path
    place.rmdir()
    place.symlink_to(tmp_path / "cache")
    assert intact._folder() is None
