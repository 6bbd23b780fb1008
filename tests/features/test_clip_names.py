"""One spelling for each name, whichever reader it comes through."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clips import Clip, ClipTable, check_clips
from features.datasets import read_dataset
from features.errors import EmofuseError
from features.imports import import_arrays
from features.tables.user_tables import read_csv

ROWS = [
    ("1", " Train", "Happy", "s1"),
    ("2", "train", "happy\u00a0", "zoe\u0308"),
    ("3", "val", "happy", "S1 "),
    ("4", "VAL", " ", "zo\u00eb"),
]
COLUMNS = ("clip_id", "split", "label", "group_id")


def written(folder, kind):
    path = folder / f"t{kind}"
    if kind == ".csv":
        path.write_text("\n".join([" clip_id,split, label ,group_id", *map(",".join, ROWS)]) + "\n")
    else:
        columns = dict(zip(COLUMNS, zip(*ROWS, strict=True), strict=True))
        pq.write_table(pa.table(columns).rename_columns([" clip_id", "split", " label ", "group_id"]), path)
    return path


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_table_has_one_spelling_for_each_name(tmp_path, capsys, kind):
    table = read_dataset("table", written(tmp_path, kind), no_media=True)
    assert [(c.clip_id, c.split, c.label, c.group_id) for c in table.clips] == [
        ("1", "train", "happy", "S1"),
        ("2", "train", "happy", "zo\u00eb"),
        ("3", "val", "happy", "S1"),
        ("4", "val", None, "zo\u00eb"),
    ]
    told = capsys.readouterr().err
    assert "accents composed: 1 of split, 2 of label, 2 of group_id changed" in told
    assert "each label has one spelling, whatever its case, blanks and Unicode form: 'Happy' is 'happy' (1 row" in told
    assert "2 groups lie in more than one split, 'S1' with clip '1' in train and clip '3' in val" in told


def test_ids_of_a_table_are_text_under_any_spelling_of_the_column(tmp_path):
    (tmp_path / "t.csv").write_text(" clip_id \n007\n")
    assert read_csv(tmp_path / "t.csv", {"clip_id": pa.string()}).column(0).to_pylist() == ["007"]


def test_two_clips_are_never_one_by_a_guess(tmp_path):
    (tmp_path / "t.csv").write_text("clip_id,split,label\na,train,x\nA,val,x\n")
    with pytest.raises(EmofuseError, match=r"t.csv: 'A' and 'a' are one clip but .*; give each clip an id of its own"):
        read_dataset("table", tmp_path / "t.csv", no_media=True)
    (tmp_path / "t.csv").write_text("clip_id,split,label\na,train,x\na ,val,x\n")
    with pytest.raises(EmofuseError, match="a clip_id is unique, but got 2 rows"):
        check_clips(read_dataset("table", tmp_path / "t.csv", no_media=True))


def test_tables_of_older_releases_are_refused(tmp_path):
    clips = [Clip("a", None, "train", "x", "s1"), Clip("b", None, "val", "x", "s1 ")]
    with pytest.raises(EmofuseError, match=r"'s1' and 's1 ' are one group_id but .*make the table again with `emofuse"):
        check_clips(ClipTable(tuple(clips), tmp_path))
    with pytest.raises(EmofuseError, match="'X' and 'x' are one label but for case"):
        check_clips(ClipTable((clips[0], replace(clips[1], group_id="s2", label="X")), tmp_path))


def test_paths_are_found_as_they_lie_there(tmp_path, capsys):
    for name in ("a.wav", "b.wav ", "zoe\u0308.wav"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "t.csv").write_text(
        "clip_id,split,label,path\n1,train,x,a.wav \n2,train,x,b.wav \n3,train,x,zo\u00eb.wav\n"
    )
    table = read_dataset("table", tmp_path / "t.csv")
    assert [clip.path for clip in table.clips] == ["a.wav", "b.wav ", "zoe\u0308.wav"]
    check_clips(table)


def test_folders_of_one_class_are_one_class(tmp_path, capsys):
    for n, (folder, speaker) in enumerate([("Happy", "S1"), ("happy ", "s1"), ("sad", "s2"), ("happy", "s1")]):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{speaker}_{n}.png").write_bytes(bytes([n]))
    table = read_dataset("images", tmp_path, group=r"(\w+)_", val_share=0.5)
    assert table.classes == ("happy", "sad") and {c.group_id for c in table.clips} == {"s1", "s2"}
    assert len({c.split for c in table.clips if c.group_id == "s1"}) == 1
    assert "each group_id has one spelling, whatever its case, blanks and Unicode form: 'S1' is 's1'" in (
        capsys.readouterr().err
    )


def test_annotations_and_features_find_their_clips(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("clip_id,split\nclip1,train\nclip2,val\n")
    (tmp_path / "a.csv").write_text("clip_id,time_s, valence\nClip1 ,0,1\nClip1,1,1\nclip2,0,0\n")
    options = {"no_media": True, "annotations": str(tmp_path / "a.csv")}
    table = read_dataset("table", tmp_path / "t.csv", **options)
    assert sorted(table.annotations.series) == ["clip1", "clip2"] and table.annotations.dimensions == ("valence",)
    assert "the clip_id 'Clip1' is taken for 'clip1': they differ in spelling alone" in capsys.readouterr().err
    (tmp_path / "a.csv").write_text("clip_id,time_s,Valence,valence\nclip1,0,1,1\n")
    with pytest.raises(EmofuseError, match=r"'Valence' and 'valence' are one column .*; give each dimension one"):
        read_dataset("table", tmp_path / "t.csv", **options)


def features(folder, kind, ids):
    path = folder / f"x{kind}"
    values = [[float(n), 1.0] for n in range(len(ids))]
    if kind == ".csv":
        path.write_text("\n".join([" clip_id ,f0,f1", *(f"{i},{n},1" for n, i in enumerate(ids))]) + "\n")
    elif kind == ".parquet":
        pq.write_table(pa.table({"clip_id ": ids, "f0": [a for a, _ in values], "f1": [b for _, b in values]}), path)
    elif kind == ".npz":
        np.savez(path, **{i: np.array(values[n]) for n, i in enumerate(ids)})
    else:
        path = folder / "stacked.npz"
        np.savez(path, clip_id=np.array(ids), x=np.array(values))
    return path


@pytest.mark.parametrize("kind", [".csv", ".parquet", ".npz", "stacked"])
def test_imported_features_find_their_clips(tmp_path, capsys, kind):
    clips = tuple(Clip(name, None, "train", "x", name) for name in ("007", "zo\u00eb", "clip2"))
    table = ClipTable(clips, tmp_path)
    source = features(tmp_path, kind, ["007", "zoe\u0308", " Clip2"])
    stored = import_arrays(table, "mine", source, "clip", tmp_path / "store")
    assert [stored[i][0] for i in stored.ids] == [0.0, 1.0, 2.0]
    assert ": they differ in spelling alone" in capsys.readouterr().err
    source = features(tmp_path, kind, ["clip2", "CLIP2", "007"])
    with pytest.raises(EmofuseError, match="'CLIP2' and 'clip2' are both the clip_id 'clip2'; spell it in one way"):
        import_arrays(table, "other", source, "clip", tmp_path / "store")


@pytest.mark.real_data
def test_a_published_leak_is_told(real_data, capsys):
    table = read_dataset("table", real_data / "cases" / "leak.csv", no_media=True)
    assert {clip.group_id for clip in table.clips} == {"s1"}
    told = capsys.readouterr().err
    assert "'S1' is 's1' (1 row changed)" in told
    assert "1 group lies in more than one split, 's1' with clip '1' in train and clip '3' in val" in told
