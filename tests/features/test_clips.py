import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clips import Clip, ClipTable, check_clips, hash_media, read_clips, write_clips
from features.errors import ClipFailure, EmofuseError


def make(root: Path, n: int = 6) -> ClipTable:
    """n clips of classes a and b; the last third is val."""
    (root / "media").mkdir(exist_ok=True)
    clips = []
    for i in range(n):
        (root / "media" / f"{i}.wav").write_bytes(b"sound %d" % i)
        clips.append(Clip(f"c{i}", f"media/{i}.wav", "train" if i < n * 2 / 3 else "val", "ab"[i % 2], f"actor{i % 3}"))
    return ClipTable(tuple(clips), root)


def changed(table: ClipTable, i: int, **values) -> ClipTable:
    clips = list(table.clips)
    clips[i] = replace(clips[i], **values)
    return ClipTable(tuple(clips), table.root)


def test_round_trip(tmp_path):
    table = hash_media(make(tmp_path))
    table = changed(table, 1, start_s=0.5, end_s=1.5, dataset="demo")
    write_clips(table, tmp_path / "clips.parquet")
    back = read_clips(tmp_path / "clips.parquet")
    assert back == table
    assert back.classes == ("a", "b")
    assert [clip.clip_id for clip in back.split("val")] == ["c4", "c5"]
    assert back.by_id("c1").end_s == 1.5
    assert back.media(back.by_id("c1")).path == tmp_path / "media" / "1.wav"


def test_media_follow_a_table_that_is_written_elsewhere(tmp_path):
    table = make(tmp_path)
    write_clips(table, tmp_path / "tables" / "clips.parquet")
    back = read_clips(tmp_path / "tables" / "clips.parquet")
    assert back.media(back.clips[0]).path == tmp_path / "media" / "0.wav"
    check_clips(back)


def test_a_folder_that_moves_as_a_whole_keeps_its_media(tmp_path):
    (tmp_path / "a").mkdir()
    write_clips(make(tmp_path / "a"), tmp_path / "a" / "clips.parquet")
    (tmp_path / "a").rename(tmp_path / "b")
    check_clips(read_clips(tmp_path / "b" / "clips.parquet"))


@pytest.mark.parametrize(
    ("i", "values", "message"),
    [
        (1, {"clip_id": "c0"}, r"Clip 'c0': a clip_id is unique, but got 2 rows of media/0.wav, media/1.wav\."),
        (1, {"clip_id": ""}, "every clip needs a clip_id"),
        (1, {"split": "training"}, "Clip 'c1': a split is one of train, val, test, but got training"),
        (1, {"group_id": None}, "Clip 'c1': every clip needs a group_id .* but got None"),
        (1, {"group_id": ""}, "every clip needs a group_id"),
        (1, {"label": None}, "Clip 'c1': clips of the splits train and val need a label"),
        (5, {"label": "joy"}, "every class needs a training clip, and the classes in train are a, b, but got joy"),
        (1, {"path": "media/none.wav"}, r"its media file must exist, but got .*media/none\.wav"),
        (1, {"start_s": 2.0, "end_s": 2.0}, r"end_s must be later than start_s .* but got \(2.0, 2.0\)"),
        (1, {"start_s": -1.0}, "start_s is in seconds and not negative, but got -1.0"),
        (1, {"start_s": float("nan")}, "start_s is in seconds"),
    ],
)
def test_bad_rows_are_named(tmp_path, i, values, message):
    table = make(tmp_path)
    check_clips(table)
    with pytest.raises(EmofuseError, match=message):
        check_clips(changed(table, i, **values))


def test_many_bad_rows_are_counted(tmp_path):
    table = make(tmp_path, 30)
    clips = tuple(replace(clip, split="dev") for clip in table.clips)
    with pytest.raises(EmofuseError, match=r"\(30 such clips: c0, c1, c2, \.\.\.\)"):
        check_clips(ClipTable(clips, tmp_path))


def test_empty_tables_and_splits(tmp_path):
    with pytest.raises(EmofuseError, match="The clip table is empty"):
        check_clips(ClipTable((), tmp_path))
    clips = tuple(replace(clip, split="test") for clip in make(tmp_path).clips)
    with pytest.raises(EmofuseError, match="The split 'train' is empty: all 6 clips are val or test"):
        check_clips(ClipTable(clips, tmp_path))


def test_training_from_stored_features_needs_no_media(tmp_path):
    check_clips(changed(make(tmp_path), 0, path="gone.wav"), media=False)
    check_clips(changed(make(tmp_path), 0, path=None))


def test_fingerprints(tmp_path):
    table = hash_media(make(tmp_path))
    relabelled = changed(table, 0, label="b")
    assert relabelled.fingerprint != table.fingerprint
    assert relabelled.media_fingerprint == table.media_fingerprint
    turned = ClipTable(table.clips[::-1], tmp_path)
    assert turned.media_fingerprint == table.media_fingerprint
    (tmp_path / "media" / "0.wav").write_bytes(b"another")
    assert hash_media(table).media_fingerprint != table.media_fingerprint
    assert changed(table, 0, end_s=1.0).media_fingerprint != table.media_fingerprint


@given(st.permutations(range(6)))
def test_media_fingerprint_knows_no_order(order):
    clips = tuple(Clip(f"c{i}", None, "train", "a", "g", end_s=None if i % 2 else 1.0) for i in range(6))
    expected = ClipTable(clips, Path("/x")).media_fingerprint
    assert ClipTable(tuple(clips[i] for i in order), Path("/y")).media_fingerprint == expected


def test_uris_are_not_read(tmp_path):
    table = hash_media(changed(make(tmp_path), 0, path="s3://bucket/0.wav"))
    assert table.clips[0].media_sha256 is None
    check_clips(table)
    write_clips(table, tmp_path / "clips.parquet")
    assert read_clips(tmp_path / "clips.parquet").clips[0].path == "s3://bucket/0.wav"
    with pytest.raises(ClipFailure, match="is no local file: copy it here"):
        table.media(table.clips[0])


def test_files_that_are_no_clip_table(tmp_path):
    path = tmp_path / "clips.parquet"
    with pytest.raises(EmofuseError, match=r"no such file, expected a clip table; make one with `emofuse clips"):
        read_clips(path)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(EmofuseError, match="can't be read as Parquet"):
        read_clips(path)
    pq.write_table(pa.table({"clip_id": ["a"]}), path)
    with pytest.raises(EmofuseError, match="expected a clip table of emofuse; turn your own into one"):
        read_clips(path)
    footer = json.dumps({"kind": "clips", "schema_version": 99}).encode()
    pq.write_table(pa.table({"clip_id": ["a"]}).replace_schema_metadata({b"emofuse": footer}), path)
    with pytest.raises(EmofuseError, match="schema version 99, but this emofuse reads version 1"):
        read_clips(path)


def test_unknown_clip(tmp_path):
    with pytest.raises(EmofuseError, match="no clip 'zz'; it holds 6 clips"):
        make(tmp_path).by_id("zz")
