"""Files of predictions that grow row by row, and go on after an interruption."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ensembles.applying.asked import Asked
from ensembles.applying.files import RowFile
from ensembles.applying.rows import Columns
from ensembles.bundle.results import ClipPrediction, TracePrediction
from features.errors import WrongUse
from features.sets import Media

COLUMNS = Columns(("a", "=b"), (), (), "0123456789ab")
OVER_TIME = Columns((), ("arousal",), (), "0123456789ab")
FORMS = ["csv", "jsonl", "parquet"]


def clip(name):
    return Asked(name, name, Media(Path(name)))


def rows(name, columns=COLUMNS, reason=None):
    if columns.dimensions:
        return columns.rows(clip(name), TracePrediction(name, ("arousal",), np.arange(3) / 10, np.full((3, 1), -0.5)))
    probabilities = {} if reason else {"a": 0.25, "=b": 0.75}
    found = ClipPrediction(name, None if reason else "=b", probabilities, {"00-svm": "no_audio: x"}, reason)
    return columns.rows(clip(name), found)


def write(out, form, names, columns=COLUMNS, order=None, **how):
    file = RowFile(out, form, columns)
    file.begin({clip(name).key for name in order or names})
    for name in names:
        file.add(rows(name, columns, **how))
    if order is None:
        file.close()
    else:
        file.finish([clip(name).key for name in order])
    return file


@pytest.mark.parametrize("form", FORMS)
def test_what_was_interrupted_goes_on(tmp_path, form):
    out = tmp_path / f"p.{form}"
    write(out, form, ["=2.wav", "1.wav"])
    assert out.exists() == (form != "parquet")
    file = RowFile(out, form, COLUMNS)
    assert file.done == {("=2.wav", 0.0, None), ("1.wav", 0.0, None)}
    write(out, form, ["3.wav"], order=["1.wav", "=2.wav", "3.wav"])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    found = RowFile(out, form, COLUMNS).rows
    assert [row["clip_id"] for row in found] == ["1.wav", "=2.wav", "3.wav"]
    assert found[1] == rows("=2.wav")[0]


def test_a_parquet_is_read_by_others(tmp_path):
    write(tmp_path / "p.parquet", "parquet", ["1.wav"], order=["1.wav"])
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names[:6] == ["clip_id", "path", "start_s", "end_s", "label", "probability"]
    assert table["p_=b"].to_pylist() == [0.75] and table["end_s"].to_pylist() == [None]


def test_a_csv_runs_no_formula(tmp_path):
    write(tmp_path / "p.csv", "csv", ["=2.wav"], order=["=2.wav"])
    head, line = (tmp_path / "p.csv").read_text().splitlines()
    assert "p_=b" in head and line.startswith("'=2.wav,'=2.wav,0.0,,'=b,0.75,")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_row_that_was_cut_off_is_made_again(tmp_path, form, cut):
    out = tmp_path / f"p.{form}"
    write(out, form, ["1.wav", "2.wav"])
    out.write_bytes(out.read_bytes()[:-cut])
    assert RowFile(out, form, COLUMNS).done == {("1.wav", 0.0, None)}


@pytest.mark.parametrize("form", FORMS)
def test_clips_that_failed_are_tried_again(tmp_path, form):
    write(tmp_path / f"p.{form}", form, ["1.wav"], reason="missing: no such file", order=["1.wav"])
    assert RowFile(tmp_path / f"p.{form}", form, COLUMNS).done == set()


@pytest.mark.parametrize("form", FORMS)
def test_the_last_recording_is_made_again(tmp_path, form):
    out = tmp_path / f"p.{form}"
    write(out, form, ["1.wav", "2.wav"], OVER_TIME)
    again = RowFile(out, form, OVER_TIME)
    assert [row["time_s"] for row in again.rows] == [0.0, 0.1, 0.2] and again.done == {("1.wav", 0.0, None)}


@pytest.mark.parametrize("form", FORMS)
def test_other_predictions_are_never_added_to(tmp_path, form):
    out = tmp_path / f"p.{form}"
    write(out, form, ["1.wav"], order=["1.wav"])
    other = Columns(("a", "=b"), (), (), "ba9876543210")
    with pytest.raises(WrongUse, match=r"holds predictions of another bundle \(0123456789ab, not ba9876543210\)"):
        RowFile(out, form, other)
    with pytest.raises(WrongUse, match=r"exists with other columns than these predictions have \('p_a@00-svm'\)"):
        RowFile(out, form, Columns(("a", "=b"), (), ("00-svm",), "0123456789ab"))
    with pytest.raises(WrongUse, match=r"it holds other parts of 1\.wav \(windows\)"):
        RowFile(out, form, COLUMNS).begin({("1.wav", 0.0, 4.0)})


def test_a_file_of_something_else_is_not_touched(tmp_path):
    for name, text in (("p.csv", "a,b\n1,2\n"), ("p.jsonl", "{}\n"), ("p.parquet", "junk")):
        (tmp_path / name).write_text(text)
        with pytest.raises(WrongUse, match="choose another file"):
            RowFile(tmp_path / name, name.partition(".")[2], COLUMNS)
        assert (tmp_path / name).read_text() == text
    with pytest.raises(WrongUse, match=r"p\.txt: the form csv is written to a file that ends in \.csv"):
        RowFile(tmp_path / "p.txt", "csv", COLUMNS)


def test_details_are_columns_of_each_member():
    columns = Columns(("a", "b"), (), ("00-svm", "01-cnn"), "x")
    found = ClipPrediction("c", "a", {"a": 0.6, "b": 0.4}, members={"00-svm": {"a": 0.9, "b": 0.1}})
    (row,) = columns.rows(clip("c"), found)
    assert (row["p_a@00-svm"], row["p_b@01-cnn"], row["probability"]) == (0.9, None, 0.6)


def test_an_unlike_clip_has_no_label_where_the_bundle_abstains(tmp_path):
    found = ClipPrediction("1.wav", "a", {"a": 0.6, "=b": 0.4}, distance=3.21987, unlike={"faces:fps=12": 3.21987})
    (row,) = COLUMNS.rows(clip("1.wav"), found)
    assert (row["label"], row["distance"], row["unlike"]) == ("a", 3.22, "faces:fps=12 3.2 x")
    file = RowFile(tmp_path / "p.csv", "csv", COLUMNS)
    file.begin(set())
    file.add([row])
    file.finish([])
    silent = Columns(("a", "=b"), (), (), "0123456789ab", abstain=True)
    assert RowFile(tmp_path / "p.csv", "csv", silent).rows[0]["label"] is None
    assert silent.rows(clip("1.wav"), found)[0]["label"] is None
