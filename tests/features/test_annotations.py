"""Continuous labels beside the clip table."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.annotations import Annotations, load_annotations, read_annotations, write_annotations
from features.clips import Clip, ClipTable, check_clips, read_clips, write_clips
from features.datasets import read_dataset
from features.errors import EmofuseError


def series(n=5, value=0.5):
    return np.arange(n) / 10, np.full((n, 2), value)


def table(tmp_path, annotated=("a", "b"), labels=(None, None, None)):
    splits = ("train", "val", "test")
    clips = [Clip(name, None, *row, name) for name, *row in zip("abc", splits, labels, strict=True)]
    annotations = Annotations(("arousal", "valence"), {name: series() for name in annotated})
    return ClipTable(tuple(clips), tmp_path, annotations)


def test_they_travel_with_the_clips(tmp_path):
    written = table(tmp_path)
    check_clips(written)
    write_clips(written, tmp_path / "clips.parquet")
    read = read_clips(tmp_path / "clips.parquet").annotations
    assert read.dimensions == ("arousal", "valence") and set(read.series) == {"a", "b"}
    for got, expected in zip(read.series["a"], written.annotations.series["a"], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert read.fingerprint == written.annotations.fingerprint
    assert read.step_s == pytest.approx(0.1)
    assert pq.read_schema(tmp_path / "annotations.parquet").names == ["clip_id", "time_s", "arousal", "valence"]


def test_another_table_in_the_folder_has_none(tmp_path):
    write_clips(table(tmp_path), tmp_path / "clips.parquet")
    write_clips(ClipTable((Clip("still", None, "train", "sad", "s"),), tmp_path), tmp_path / "stills.parquet")
    assert read_clips(tmp_path / "stills.parquet").annotations is None
    assert read_clips(tmp_path / "clips.parquet").annotations is not None


@pytest.mark.parametrize("change", ["value", "time", "clip", "dimension"])
def test_every_change_changes_the_fingerprint(change):
    time_s, values = series()
    changed = {
        "value": Annotations(("arousal", "valence"), {"a": (time_s, values + 1e-6)}),
        "time": Annotations(("arousal", "valence"), {"a": (time_s + 1e-6, values)}),
        "clip": Annotations(("arousal", "valence"), {"b": (time_s, values)}),
        "dimension": Annotations(("arousal", "liking"), {"a": (time_s, values)}),
    }[change]
    assert changed.fingerprint != Annotations(("arousal", "valence"), {"a": (time_s, values)}).fingerprint


def test_what_can_not_be_learnt_is_refused(tmp_path):
    good = table(tmp_path)
    time_s, values = series()
    cases = [
        ({"a": series()}, "Clip 'b': clips of the splits train and val need a label"),
        ({**good.annotations.series, "z": series()}, "Clip 'z' is annotated, but the clip table has no such clip"),
        ({"a": (time_s[::-1], values), "b": series()}, "Clip 'a': its annotations should be .* 0.4 to 0 out of order"),
        ({"a": (time_s, values * np.inf), "b": series()}, "in order and 10 values are infinite"),
        ({"a": (time_s, values[:, :1]), "b": series()}, r"expected annotations of shape \(5, 2\)"),
    ]
    for wrong, message in cases:
        with pytest.raises(EmofuseError, match=message):
            check_clips(replace(good, annotations=Annotations(("arousal", "valence"), wrong)))


def test_labels_and_annotations_may_both_be_there(tmp_path):
    check_clips(table(tmp_path, annotated=("a",), labels=("sad", "sad", None)))


def test_a_table_of_ones_own(tmp_path):
    (tmp_path / "mine.csv").write_text("clip_id,split,path,group_id\n7,train,x,g\n8,val,y,h\n")
    (tmp_path / "over_time.csv").write_text("clip_id,time_s,tension\n8,0.5,1\n7,1,0.25\n7,0,\n7,2,3\n8,0,1\n")
    own = read_dataset("table", tmp_path / "mine.csv", no_media=True, annotations=str(tmp_path / "over_time.csv"))
    check_clips(own)
    np.testing.assert_array_equal(own.annotations.series["7"][0], [0, 1, 2])
    np.testing.assert_array_equal(own.annotations.series["7"][1], [[np.nan], [0.25], [3]])


def test_other_files_are_told(tmp_path):
    write_annotations(table(tmp_path).annotations, tmp_path / "good.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(EmofuseError, match="expected emofuse's annotations of version 1, but its footer says nothing"):
        read_annotations(tmp_path / "other.parquet")
    with pytest.raises(EmofuseError, match="expected rows with the columns clip_id, time_s and one for each dimension"):
        load_annotations(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "good.parquet").read_bytes()[:-9])
    with pytest.raises(EmofuseError, match=r"broken.parquet: expected annotations, but its bytes are not those"):
        read_annotations(tmp_path / "broken.parquet")
