from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clips import Clip, ClipTable
from features.errors import EmofuseError
from features.files import read_json, write_json
from features.imports import import_arrays
from features.store import open_set

IDS = ("a", "b", "c")
TABLE = ClipTable(tuple(Clip(i, None, "train", "x", "g") for i in IDS), Path("/"))
RNG = np.random.default_rng(0)


def npz(folder: Path, **arrays) -> Path:
    np.savez(folder / "arrays.npz", **arrays)
    return folder / "arrays.npz"


def text(folder: Path, content: str) -> Path:
    (folder / "rows.csv").write_text(content)
    return folder / "rows.csv"


def bring(source: Path, level: str, name: str = "mine", **options):
    return import_arrays(TABLE, name, source, level, source.parent / "store", **options)


def test_npz_with_a_vector_for_each_clip(tmp_path):
    arrays = {i: RNG.standard_normal(4).astype(np.float32) for i in IDS}
    bring(npz(tmp_path, **arrays), "clip")
    stored = open_set(tmp_path / "store", "mine", TABLE)
    assert (stored.level, stored.shape) == ("clip", (4,))
    np.testing.assert_array_equal(stored["b"], arrays["b"])


def test_npz_with_a_sequence_for_each_clip(tmp_path):
    arrays = {i: RNG.integers(0, 255, (3 + n, 8, 8), np.uint8) for n, i in enumerate(IDS)}
    stored = bring(npz(tmp_path, **arrays), "frame", step_s=0.04)
    assert (stored.dtype, stored.shape) == (np.uint8, (8, 8))
    np.testing.assert_array_equal(stored["c"], arrays["c"])
    np.testing.assert_allclose(stored.times("a"), [0, 0.04, 0.08])


@pytest.mark.parametrize(("level", "shape"), [("clip", (3, 5)), ("frame", (3, 7, 5))])
def test_npz_with_ids_and_x(tmp_path, level, shape):
    x = RNG.standard_normal(shape)
    stored = bring(npz(tmp_path, clip_id=np.array(["c", "a", "b"]), x=x), level)
    np.testing.assert_allclose(stored["a"], x[1].astype(np.float32))


def test_csv_by_clip(tmp_path):
    stored = bring(text(tmp_path, "clip_id,f1,f2\nb,1,2\na,3,4.5\n"), "clip")
    assert stored["a"].tolist() == [3, 4.5]
    assert stored.status("c") == "missing"
    assert stored.reason("c") == "the imported file has no array for it"


def test_rows_are_put_in_the_order_of_time(tmp_path):
    stored = bring(text(tmp_path, "clip_id,time_s,f\na,0.2,3\nb,0,9\na,0.0,1\na,0.1,2\n"), "frame")
    assert stored["a"][:, 0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(stored.times("a"), [0, 0.1, 0.2])


def test_parquet_of_vectors(tmp_path):
    path = tmp_path / "x.parquet"
    vectors = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    pq.write_table(pa.table({"clip_id": list(IDS), "vector": vectors, "more": [7, 8, 9]}), path)
    assert bring(path, "clip")["b"].tolist() == [3, 4, 8]


def test_ids_that_look_like_numbers_stay_text(tmp_path):
    table = ClipTable((Clip("007", None, "train", "x", "g"),), Path("/"))
    source = text(tmp_path, "clip_id,f\n007,1\n")
    assert import_arrays(table, "mine", source, "clip", tmp_path / "store").ids == ("007",)


def test_the_same_import_twice_is_one(tmp_path):
    source = npz(tmp_path, a=np.ones(2))
    assert bring(source, "clip").key == bring(source, "clip").key
    npz(tmp_path, a=np.zeros(2))
    with pytest.raises(EmofuseError, match="already has another set 'mine' for these clips; give the new one"):
        bring(source, "clip")
    assert open_set(tmp_path / "store", "mine", TABLE)["a"].tolist() == [1, 1]


def test_another_clip_table_is_told(tmp_path):
    bring(npz(tmp_path, a=np.ones(2)), "clip")
    other = ClipTable(TABLE.clips[:2], Path("/"))
    with pytest.raises(EmofuseError, match=r"'mine' in .* was imported for another clip table \(clip ids \w{12}, this"):
        open_set(tmp_path / "store", "mine", other)


BAD = [
    ("clip", {"z": np.ones(2)}, "1 of its 1 clip ids are not in the clip table, the first is 'z'"),
    ("clip", {"a": np.ones(2), "b": np.ones(3)}, r"clip 'a' has \(2,\) and clip 'b' has \(3,\)"),
    ("clip", {"a": np.ones((4, 2))}, "clip 'a' has 4 time steps, but at level clip each has one"),
    ("frame", {"a": np.ones(4)}, r"clip 'a': expected an array \(T, ...\) of time steps, but got shape \(4,\)"),
    ("frame", {"a": np.ones((0, 4))}, "clip 'a': no time step"),
    ("clip", {"a": np.array([1, np.nan])}, "clip 'a': its features hold NaN or infinity"),
    ("clip", {"a": np.array(["x", "y"])}, "clip 'a' holds values of type <U1, expected numbers"),
    ("clip", {"a": np.array([{}], dtype=object)}, "the array of clip 'a' can't be read"),
    ("clip", {}, "expected at least one clip, but the file is empty"),
    ("clip", {"clip_id": np.array(["a", "a"]), "x": np.ones((2, 3))}, "the clip_id 'a' occurs twice"),
    ("clip", {"clip_id": np.array(["a"]), "x": np.ones((2, 3))}, "but got 2 rows and 1 ids"),
    ("row", {"a": np.ones(2)}, "level is clip or frame, but got 'row'"),
]


@pytest.mark.parametrize(("level", "arrays", "message"), BAD, ids=[message[:20] for _, _, message in BAD])
def test_bad_arrays_are_refused(tmp_path, level, arrays, message):
    with pytest.raises(EmofuseError, match=message):
        bring(npz(tmp_path, **arrays), level)
    assert not list((tmp_path / "store").rglob("*.*"))


@pytest.mark.parametrize(("content", "message"), [
    ("id,f\na,1\n", "expected a column clip_id, but its columns are id, f"),
    ("clip_id,f,who\na,1,x\n", "beside clip_id and time_s, but these hold none: who"),
    ("clip_id\na\n", "but there is no other"),
    ("clip_id,f\na,1\na,2\n", "clip 'a' has 2 time steps, but at level clip"),
    ("clip_id,f\na,\nb,1\n", "clip 'a': its features hold NaN"),
    ("", "can't be read as csv"),
])
def test_bad_rows_are_refused(tmp_path, content, message):
    with pytest.raises(EmofuseError, match=message):
        bring(text(tmp_path, content), "clip")


def test_bad_names_and_files(tmp_path):
    source = npz(tmp_path, a=np.ones(2))
    with pytest.raises(EmofuseError, match="'faces' is a feature set of emofuse itself"):
        bring(source, "clip", name="faces")
    with pytest.raises(EmofuseError, match="made of letters, digits and _, but got 'a/b'"):
        bring(source, "clip", name="a/b")
    with pytest.raises(EmofuseError, match=r"ends in \.npz, \.csv or \.parquet"):
        bring(source.rename(tmp_path / "arrays.zip"), "clip")
    with pytest.raises(EmofuseError, match="no such file, expected arrays"):
        bring(tmp_path / "none.npz", "clip")
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    with pytest.raises(EmofuseError, match="can't be read as npz"):
        bring(tmp_path / "bad.npz", "clip")
    ragged = pa.table({"clip_id": ["a", "b"], "v": [[1.0], [1.0, 2.0]]})
    pq.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(EmofuseError, match=r"column 'v' have different lengths, such as \[1, 2\]"):
        bring(tmp_path / "ragged.parquet", "clip")


def test_columns_of_numbers_keep_their_names(tmp_path):
    source = text(tmp_path, "clip_id,time_s,p_sad,p_happy\na,0,1,0\nb,0,0,1\n")
    assert bring(source, "frame").info.columns == ("p_sad", "p_happy")
    assert open_set(tmp_path / "store", "mine", TABLE).info.columns == ("p_sad", "p_happy")
    pq.write_table(pa.table({"clip_id": ["a"], "vector": [[1.0, 2.0]]}), tmp_path / "x.parquet")
    assert bring(tmp_path / "x.parquet", "clip", "vectors").info.columns == ()


@pytest.mark.parametrize("said", [{"columns": []}, {}])
def test_a_set_stored_without_names_gets_them(tmp_path, said):
    source = text(tmp_path, "clip_id,p_sad,p_happy\na,1,0\n")
    info = bring(source, "clip").folder / "set.json"
    plain = {key: value for key, value in read_json(info, "").items() if key != "columns"}
    write_json(info, {**plain, **said})
    assert open_set(tmp_path / "store", "mine", TABLE).info.columns == ()
    assert bring(source, "clip").info.columns == ("p_sad", "p_happy")


@pytest.mark.real_data
def test_real_frames_of_a_convnet(tmp_path, real_data):
    frames = pq.read_table(real_data / "features" / "afew2013_train_frames.parquet")
    kept = [name for name in frames.column_names if name.startswith("convnet_")]
    table = frames.select(["sample_id", *kept]).rename_columns(["clip_id", *kept])
    pq.write_table(table, tmp_path / "frames.parquet")
    ids = sorted(set(table["clip_id"].to_pylist()))
    clips = ClipTable(tuple(Clip(i, None, "train", "x", i) for i in ids), tmp_path)
    stored = import_arrays(clips, "convnet", tmp_path / "frames.parquet", "frame", tmp_path / "store", step_s=0.04)
    assert (len(stored), stored.shape, stored.info.columns) == (367, (7,), tuple(kept))
    assert sum(stored.length(i) for i in ids) == len(table)
    np.testing.assert_allclose(stored[ids[0]].sum(1), 1, atol=1e-3)
