import shlex
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.app import features_app
from features.clips import Clip, ClipTable, read_clips, write_clips
from features.errors import ClipFailure, DamagedFile, EmofuseError, WrongUse
from features.files import read_json, write_json
from features.imports import arrays, import_arrays, tables
from features.sets import FeatureArray
from features.store import data_file
from features.store.set_writer import SetWriter
from features.store.store import StoredSet, open_set

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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,f\na,1\n", "expected a column clip_id, but its columns are id, f"),
        ("clip_id,f,who\na,1,x\n", "beside clip_id and time_s, but these hold none: who"),
        ("clip_id\na\n", "but there is no other"),
        ("clip_id,f\na,1\na,2\n", "clip 'a' has 2 time steps, but at level clip"),
        ("clip_id,f\na,\nb,1\n", "clip 'a': its features hold NaN"),
        ("", "can't be read as csv"),
    ],
)
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


def clip_by_clip(stored: StoredSet, store: Path, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> StoredSet:
    """The set as clips that are added one after the other make it."""
    info = stored.info
    writer = SetWriter(store, info.name, info.key, stored.ids, info.level, info.shape)
    for clip_id in stored.ids:
        if clip_id in found:
            writer.add(clip_id, FeatureArray(*found[clip_id]))
        else:
            writer.fail(clip_id, ClipFailure("missing", "the imported file has no array for it"))
    return writer.finish()


def same(one: StoredSet, other: StoredSet) -> bool:
    files = ("data.arrow", "clips.parquet")
    return all((one.folder / name).read_bytes() == (other.folder / name).read_bytes() for name in files)


@pytest.fixture
def small_batches(monkeypatch):
    for module in (data_file, arrays, tables):
        monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    monkeypatch.setattr(tables, "_PIECE_BYTES", 300)


def clips(count: int) -> ClipTable:
    return ClipTable(tuple(Clip(f"c{i * 7 % count}", None, "train", "x", "g") for i in range(count)), Path("/"))


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize("timed", [True, False])
def test_tables_become_what_they_become_clip_by_clip(tmp_path, small_batches, kind, timed):
    table, source = clips(100), tmp_path / f"rows{kind}"
    ids = [f"c{i}" for i in RNG.integers(0, 90, 700)]
    columns = {"clip_id": ids, **{f"f{i}": RNG.standard_normal(700) for i in range(3)}}
    if timed:
        columns["time_s"] = RNG.integers(0, 5, 700) / 10  # with ties
    columns["flag"], columns["count"] = RNG.random(700) < 0.5, RNG.integers(-9, 9, 700)
    write = pyarrow.csv.write_csv if kind == ".csv" else pq.write_table
    write(pa.table(columns), source)
    names = [name for name in columns if name not in ("clip_id", "time_s")]
    found = {}
    for clip_id in set(ids):
        rows = [i for i in range(700) if ids[i] == clip_id]
        if timed:
            rows.sort(key=lambda i: columns["time_s"][i])
        times = columns["time_s"][rows] if timed else np.arange(len(rows)) * 0.04
        found[clip_id] = np.array([[np.float32(columns[name][i]) for name in names] for i in rows]), times
    stored = import_arrays(table, "mine", source, "frame", tmp_path / "store", step_s=0.04)
    assert len(stored._batches) > 5
    assert same(stored, clip_by_clip(stored, tmp_path / "other", found))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8, np.float16, bool])
@pytest.mark.parametrize("level", ["clip", "frame"])
def test_arrays_become_what_they_become_clip_by_clip(tmp_path, small_batches, write, dtype, level):
    table, steps = clips(60), 1
    given = {}
    for i in range(50):
        steps = 1 if level == "clip" else 1 + i % 4
        values = (RNG.standard_normal((steps, 4, 3)) * 50).astype(dtype)
        given[f"c{i}"] = np.asfortranarray(values) if i % 2 else values
    write(tmp_path / "x.npz", **given)
    found = {clip_id: (values, np.arange(len(values)) * 0.04) for clip_id, values in given.items()}
    stored = import_arrays(table, "mine", tmp_path / "x.npz", level, tmp_path / "store", step_s=0.04)
    assert same(stored, clip_by_clip(stored, tmp_path / "other", found))
    if level == "clip":
        order = RNG.permutation(50)
        x = np.stack([given[f"c{i}"] for i in order])
        write(tmp_path / "y.npz", clip_id=np.array([f"c{i}" for i in order]), x=x)
        stacked = import_arrays(table, "stacked", tmp_path / "y.npz", level, tmp_path / "store", step_s=0.04)
        assert same(stacked, stored)


def npy(shape: str, data: bytes, kind: str = "<f4") -> bytes:
    """A .npy file whose header says anything."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + (len(head) + 1).to_bytes(2, "little") + head + b"\n" + data


def zipped(folder: Path, **members: bytes) -> Path:
    with ZipFile(folder / "arrays.npz", "w", ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return folder / "arrays.npz"


IDS_NPY = npy("(1,)", "a".encode("utf-32-le"), "<U1")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"a": npy("(1000000000000, 4)", b"\0" * 16)},
            r"its header says \(1000000000000, 4\) of float32, but it holds 16",
        ),
        ({"a": npy("(-1,)", b"\0" * 16)}, r"its header says \(-1,\)"),
        ({"a": npy("()", b"\0" * 4)}, r"clip 'a': expected a vector \(F,\) of numbers, but got shape \(\)"),
        ({"a": b"nothing"}, "it is no array of numpy's"),
        ({"clip_id": IDS_NPY, "x": npy("()", b"\0" * 4)}, "got 0 rows and 1 ids"),
        ({"clip_id": npy("()", "a".encode("utf-32-le"), "<U1"), "x": npy("(1, 1)", b"\0" * 4)}, "a row of x for each"),
        ({"clip_id": IDS_NPY, "x": npy("(1000000000000, 4)", b"\0" * 16)}, "can't be read as npz .its header says"),
        ({"a": npy("(2,)", b"\0" * 8, "<i8")}, "but it holds 8 bytes"),
    ],
)
def test_headers_that_lie_are_told(tmp_path, members, message):
    with pytest.raises(EmofuseError, match=message):
        bring(zipped(tmp_path, **members), "clip")


def test_what_unpacks_into_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    source = zipped(tmp_path, a=npy("(2000000,)", b"\0" * 8_000_000))
    assert source.stat().st_size < 20_000
    monkeypatch.setattr("zlib.decompressobj", None)
    with pytest.raises(WrongUse, match=r"its arrays take 0.008 GB, but an import may take 0.001; .* give --max-gb 1\."):
        bring(source, "clip", max_gb=0.001)
    pq.write_table(pa.table({"clip_id": ["a"] * 9999, "f": [0.0] * 9999}), tmp_path / "x.parquet")
    with pytest.raises(WrongUse, match="an import may take 1e-05"):
        bring(tmp_path / "x.parquet", "frame", max_gb=1e-5)
    with pytest.raises(WrongUse, match="an import may take 1e-08"):
        bring(text(tmp_path, "clip_id,f\na,1\n"), "frame", max_gb=1e-8)


def test_a_changed_byte_in_an_array_is_told(tmp_path):
    path = npz(tmp_path, a=np.arange(100.0))
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(EmofuseError, match=r"the array of clip 'a' can't be read \(its checksum does not hold\)"):
        bring(path, "clip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (",clip_id,f\n0,a,1\n", r"its first column has no name, .*to_csv\(..., index=False"),
        ("Unnamed: 0,clip_id,f\n0,a,1\n", "its first column has no name"),
        ("clip_id,f,f\na,1,2\n", "two columns have the name 'f'"),
        ("clip_id,f\na,NA\n", "these hold none: f"),
        ("clip_id,f\na,\n", "these hold none: f"),
        ("clip_id,f\na,\nb,1\n", "clip 'a': its features hold NaN"),
        ("clip_id,f\n,1\n", "1 rows have no clip_id"),
        ("clip_id,time_s,f\na,soon,1\n", "can't be read as csv"),
    ],
)
def test_tables_that_can_not_be_meant_are_told(tmp_path, content, message):
    with pytest.raises(EmofuseError, match=message):
        bring(text(tmp_path, content), "frame")


def test_a_damaged_import_is_mended_by_the_printed_command(tmp_path):
    write_clips(TABLE, tmp_path / "clips.parquet")
    table, source = read_clips(tmp_path / "clips.parquet"), npz(tmp_path, a=np.arange(6.0), b=np.ones(6))
    stored = import_arrays(table, "mine", source, "clip", tmp_path / "store", step_s=0.5)
    path = stored.folder / "data.arrow"
    path.write_bytes(path.read_bytes().replace(np.float32(4).tobytes(), np.float32(5).tobytes()))
    with pytest.raises(DamagedFile, match=r"clip 'a' are not those that were written\); import it again: `.*`") as told:
        open_set(tmp_path / "store", "mine", table)["b"]
    words = shlex.split(str(told.value).split("`")[1])
    CliRunner().invoke(features_app, words[2:], catch_exceptions=False)
    assert open_set(tmp_path / "store", "mine", table)["a"].tolist() == [0, 1, 2, 3, 4, 5]


def test_ids_that_are_words_for_nothing_stay_ids(tmp_path):
    table = ClipTable(tuple(Clip(i, None, "train", "x", "g") for i in ("NA", "null", "nan", "None")), Path("/"))
    source = text(tmp_path, "clip_id,f\nNA,1\nnull,2\nnan,3\nNone,4\n")
    stored = import_arrays(table, "mine", source, "clip", tmp_path / "store")
    assert [stored[i][0] for i in table._rows] == [1, 2, 3, 4]


def test_pandas_row_numbers_are_no_feature(tmp_path):
    pq.write_table(pa.table({"clip_id": ["a"], "f": [1.0], "__index_level_0__": [7]}), tmp_path / "x.parquet")
    assert bring(tmp_path / "x.parquet", "clip").info.columns == ("f",)


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
