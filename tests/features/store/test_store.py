from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.clips import Clip, ClipTable
from features.errors import ClipFailure, EmofuseError
from features.files import read_json, write_json
from features.sets import FeatureArray, FeatureSet, parse_spec
from features.store import data_file, set_parts, store
from features.store.store import SetWriter, StoredSet, open_set, stored_sets

SET = FeatureSet("fake", 1, "frame", "for tests", lambda media, params: None, lambda p: (int(p["size"]),), {"size": 3})


@pytest.fixture
def fake_set(monkeypatch):
    """A feature set `fake` that the registry knows."""
    monkeypatch.setattr("features.sets._MODULES", {"fake": __name__})


def frames(length: int, seed: int = 0, shape: tuple[int, ...] = (3,)) -> FeatureArray:
    values = np.random.default_rng(seed).standard_normal((length, *shape)).astype(np.float32)
    return FeatureArray(values, np.arange(length) / 25)


def writer(folder: Path, ids=("a", "b", "c"), **values) -> SetWriter:
    return SetWriter(folder, "fake", "k" * 64, tuple(ids), **{"level": "frame", "shape": (3,)} | values)


def filled(folder: Path) -> StoredSet:
    w = writer(folder)
    w.add("a", frames(4, 1))
    w.fail("b", ClipFailure("no_face", "no face in 40 frames"))
    w.add("c", frames(2, 2))
    return w.finish()


def table_of(ids, digest="0") -> ClipTable:
    return ClipTable(tuple(Clip(i, None, "train", "x", "g", media_sha256=digest + i) for i in ids), Path("/"))


def test_round_trip(tmp_path):
    stored = filled(tmp_path)
    np.testing.assert_array_equal(stored["a"], frames(4, 1).values)
    np.testing.assert_array_equal(stored["c"], frames(2, 2).values)
    np.testing.assert_allclose(stored.times("c"), [0, 0.04], rtol=1e-6)
    assert (stored.ids, stored.shape, stored.dtype, stored.level) == (("a", "b", "c"), (3,), np.float32, "frame")
    assert [stored.length(i) for i in "abc"] == [4, 0, 2]
    assert (stored.has("b"), stored.status("b"), stored.reason("b")) == (False, "no_face", "no face in 40 frames")
    assert stored.verify() == ()
    assert not list(tmp_path.rglob("*.parts"))
    with pytest.raises(EmofuseError, match=r"Clip 'b' has no 'fake' features: no_face \(no face in 40 frames\)"):
        stored["b"]
    with pytest.raises(EmofuseError, match="has no clip 'z'; it holds 3 clips"):
        stored["z"]


def test_arrays_are_views_of_the_file(tmp_path):
    stored = filled(tmp_path)
    assert not stored["a"].flags.writeable
    assert not stored["a"].flags.owndata
    assert stored["a"].base is not None and np.shares_memory(stored["a"], stored["a"])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_mix_of_clips_comes_back(data, tmp_path_factory):
    dtype = data.draw(st.sampled_from([np.uint8, np.float16, np.float32]))
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    finite = {} if dtype == np.uint8 else {"elements": {"allow_nan": False, "allow_infinity": False}}
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    w = writer(tmp_path_factory.mktemp("store"), [f"é{i}" for i in range(len(lengths))], shape=shape)
    expected = {}
    for clip_id, length in zip(w.clip_ids, lengths, strict=True):
        if length == 0:
            w.fail(clip_id, ClipFailure("unreadable", "zero"))
        else:
            expected[clip_id] = data.draw(hnp.arrays(dtype, (length, *shape), **finite))
            w.add(clip_id, FeatureArray(expected[clip_id], np.zeros(length)))
    stored = w.finish()
    for clip_id in w.clip_ids:
        assert stored.has(clip_id) == (clip_id in expected)
    for clip_id, values in expected.items():
        assert stored[clip_id].dtype == dtype
        np.testing.assert_array_equal(stored[clip_id], values)


def test_many_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(data_file, "BATCH_BYTES", 50)
    ids = [f"c{i}" for i in range(20)]
    w = writer(tmp_path, ids)
    for i, clip_id in enumerate(ids):
        w.add(clip_id, frames(1 + i % 7, i))
    stored = w.finish()
    for i, clip_id in enumerate(ids):
        np.testing.assert_array_equal(stored[clip_id], frames(1 + i % 7, i).values)
    assert stored.verify() == ()


def test_arrays_in_any_order_of_axes_and_failures_are_written_at_once(tmp_path):
    columns = FeatureArray(np.asfortranarray(frames(4, 1).values), np.arange(4) / 25)
    stored = writer(tmp_path).write([("a", columns), ("b", ClipFailure("no_face", "none")), ("c", frames(2, 2))])
    np.testing.assert_array_equal(stored["a"], columns.values)
    assert (stored.status("b"), stored.reason("b"), stored.length("c")) == ("no_face", "none", 2)


def test_clip_level_sets_give_vectors(tmp_path):
    w = writer(tmp_path, ["a"], level="clip")
    with pytest.raises(ClipFailure, match="expected one time step for the whole clip, but got 2"):
        w.add("a", frames(2))
    w.add("a", frames(1))
    assert w.finish()["a"].shape == (3,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((0, 3)), "too_short: no time step"),
        (np.zeros((2, 4)), r"expected time steps of shape \(3,\), but got values \(2, 4\) with times \(2,\)"),
        (np.full((2, 3), np.nan), "hold NaN or infinity"),
        (np.full((2, 3), 1e300), "hold NaN or infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_bad_arrays_fail_their_clip(tmp_path, values, message):
    with pytest.raises(ClipFailure, match=message):
        writer(tmp_path).add("a", FeatureArray(values, np.zeros(len(values))))
    assert writer(tmp_path).done_ids() == set()


def test_resume_after_a_kill(tmp_path):
    writer(tmp_path).add("a", frames(4, 1))
    writer(tmp_path).fail("b", ClipFailure("no_face", ""))
    again = writer(tmp_path)
    assert again.done_ids() == {"a", "b"}
    assert again.done_ids(failed=False) == {"a"}
    assert again.finished() is None
    with pytest.raises(EmofuseError, match="nothing of clip 'c', or what there was is damaged; run"):
        again.finish()
    assert [p.name for p in (tmp_path / "fake").iterdir() if not p.name.endswith(".parts")] == []
    again.add("c", frames(2, 2))
    assert again.finish().ids == ("a", "b", "c")
    assert writer(tmp_path).done_ids() == {"a", "b", "c"}


def test_a_retried_failure_takes_its_place_in_the_finished_set(tmp_path):
    filled(tmp_path)
    w = writer(tmp_path)
    assert w.done_ids(failed=False) == {"a", "c"}
    w.add("b", frames(3, 9))
    stored = w.finish()
    np.testing.assert_array_equal(stored["b"], frames(3, 9).values)
    np.testing.assert_array_equal(stored["a"], frames(4, 1).values)


def test_two_writers_of_one_key(tmp_path):
    first, second = writer(tmp_path), writer(tmp_path)
    for w in (first, second):
        for i, clip_id in enumerate("abc"):
            w.add(clip_id, frames(2, i))
    before = first.finish()
    after = second.finish()
    np.testing.assert_array_equal(after["c"], before["c"])


def test_a_folder_that_another_writer_takes_away(tmp_path, monkeypatch):
    real, calls = set_parts.replacing, []

    def vanishing(path, **given):
        calls.append(path)
        if len(calls) == 1:
            raise FileNotFoundError(2, "No such file or directory")
        return real(path, **given)

    monkeypatch.setattr(set_parts, "replacing", vanishing)
    writer(tmp_path).add("a", frames(4))
    assert writer(tmp_path).done_ids() == {"a"}


def test_damage_is_found(tmp_path):
    stored = filled(tmp_path)
    path = stored.folder / "data.arrow"
    data = bytearray(path.read_bytes())
    at = data.find(frames(2, 2).values.tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert StoredSet(stored.folder).verify() == ("c",)
    assert writer(tmp_path).done_ids() == {"a", "b"}
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(EmofuseError, match=r"'fake' is damaged \(.*\); remove .*/fake/k+ and run the command again"):
        StoredSet(stored.folder)
    assert writer(tmp_path).done_ids() == set()


def test_a_data_file_of_other_clips_is_found(tmp_path):
    stored = filled(tmp_path)
    clips = pq.read_table(stored.folder / "clips.parquet")
    pq.write_table(clips.slice(0, 2).replace_schema_metadata(None), stored.folder / "clips.parquet")
    with pytest.raises(EmofuseError, match="disagree on the number of rows"):
        StoredSet(stored.folder)


def test_another_schema_version(tmp_path):
    stored = filled(tmp_path)
    info = read_json(stored.folder / "set.json", "")
    write_json(stored.folder / "set.json", info | {"schema_version": 7})
    with pytest.raises(EmofuseError, match="schema version 7, but this emofuse reads version 1"):
        StoredSet(stored.folder)


def test_open_set_by_spec(tmp_path, fake_set):
    table = table_of("abc")
    with pytest.raises(EmofuseError, match=r"not been extracted into .* `emofuse features extract CLIPS -s fake -o"):
        open_set(tmp_path, "fake", table)
    w = store.set_writer(tmp_path, parse_spec("fake"), table)
    for clip_id in w.clip_ids:
        w.add(clip_id, frames(2))
    w.finish()
    assert open_set(tmp_path, "fake:size=3", table)["a"].shape == (2, 3)
    assert [info.spec for info in stored_sets(tmp_path)] == ["fake"]
    with pytest.raises(EmofuseError, match=r"'fake:size=5' has not been extracted into .* \(there is fake\); run"):
        open_set(tmp_path, "fake:size=5", table)
    with pytest.raises(EmofuseError, match=r"from another clip table \(media \w{12}, this table's are \w{12}\)"):
        open_set(tmp_path, "fake", table_of("abc", digest="1"))
    with pytest.raises(EmofuseError, match="Unknown feature set 'fkae': known are fake"):
        open_set(tmp_path, "fkae", table)


def test_a_new_extractor_version_is_told(tmp_path, fake_set, monkeypatch):
    table = table_of("a")
    w = store.set_writer(tmp_path, parse_spec("fake"), table)
    w.add("a", frames(2))
    w.finish()
    monkeypatch.setattr(f"{__name__}.SET", replace(SET, version=2))
    with pytest.raises(EmofuseError, match="made by another version of its extractor"):
        open_set(tmp_path, "fake", table)
