import os

import pytest
from damage import flips

import search.run.ended
from search.run.ended import Ended, note_ended, read_ended, read_ended_and_damaged, set_damaged_aside
from search.run.layout import Layout, Outcome
from search.run.predictions import Footer, Predictions, prediction_files, write_predictions


def _finish(run, key, value=0.5, partition="train"):
    footer = Footer(key, "c", "svm", "svm", {}, partition, ("a", "b"), 0, 3, 2, {"accuracy": value}, wall_s=1.5)
    none = ((),) * 5
    return write_predictions(run, Predictions(footer, *none, *_no_rows()))


def _no_rows():
    import numpy as np

    return np.zeros(0, bool), np.zeros((0, 2), np.float32)


def _fail(run, key, reason="broken"):
    Layout(run).write_outcome(Outcome(key, "c", "failed", reason, "svm", "svm", "train"))


@pytest.fixture
def opened(monkeypatch):
    """The files that were really opened."""
    real, names = search.run.ended._read, []

    def read(run, name, stamp):
        names.append(name.rsplit("/")[-1])
        return real(run, name, stamp)

    monkeypatch.setattr(search.run.ended, "_read", read)
    return names


def test_each_file_is_read_once(tmp_path, opened):
    _finish(tmp_path, "k1")
    _fail(tmp_path, "k2")
    first = read_ended(tmp_path)
    assert [(e.trial_key, e.status, e.value, e.wall_s, e.reason) for e in first] == [
        ("k1", "finished", 0.5, 1.5, ""),
        ("k2", "failed", None, 0.0, "broken"),
    ]
    assert read_ended(tmp_path) == first and opened == ["k1.parquet", "k2.json"]


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(tmp_path, opened):
    _finish(tmp_path, "k1", 0.5)
    _fail(tmp_path, "k2")
    read_ended(tmp_path)
    os.utime(_finish(tmp_path, "k1", 0.75), ns=(1, 1))
    Layout(tmp_path).clear_outcome("k2")
    (ended,) = read_ended(tmp_path)
    assert (ended.value, ended.at_s) == (0.75, 1e-9) and opened.count("k1.parquet") == 2


def test_a_noted_trial_is_never_opened(tmp_path, opened):
    _finish(tmp_path, "k1")
    note_ended(tmp_path, Ended("k1", "c", "svm", "train", "finished", 0.5, 3, 1.5, ""))
    note_ended(tmp_path, Ended("k2", "c", "svm", "train", "failed", None, 0, 0.0, "its file isn't there yet"))
    assert [e.value for e in read_ended(tmp_path)] == [0.5] and not opened


def test_half_lines_and_a_lost_file_cost_a_reading(tmp_path, opened):
    for n in range(3):
        _finish(tmp_path, f"k{n}")
    whole = read_ended(tmp_path)
    lines = tmp_path / ".ended.3.jsonl"
    lines.write_bytes(lines.read_bytes()[:-20])
    assert read_ended(tmp_path) == whole and len(opened) == 4
    assert read_ended(tmp_path) == whole and len(opened) == 4
    lines.write_bytes(b"\xff")
    assert read_ended(tmp_path) == whole and len(opened) == 7


def test_a_line_that_is_not_what_was_written_is_not_believed(tmp_path, opened):
    _finish(tmp_path, "k1", 0.5)
    whole = read_ended(tmp_path)
    lines = tmp_path / ".ended.3.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b",0.5,", b",0.9,"))
    assert read_ended(tmp_path) == whole and len(opened) == 2


def test_the_lines_of_an_earlier_release_go(tmp_path):
    (tmp_path / ".ended.2.jsonl").touch()
    assert read_ended(tmp_path) == [] and not (tmp_path / ".ended.2.jsonl").exists()


def test_lines_that_are_mostly_outdated_are_written_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(search.run.ended, "_FEW", 1)
    for _ in range(4):
        _fail(tmp_path, "k", "again")
        os.utime(tmp_path / "trials" / "k.json", ns=(_, _))
        read_ended(tmp_path)
    for key in "abc":
        _fail(tmp_path, key)
    read_ended(tmp_path)
    for key in "abc":
        Layout(tmp_path).clear_outcome(key)
    read_ended(tmp_path)
    assert len((tmp_path / ".ended.3.jsonl").read_text().split()) == 1


def test_a_trial_that_failed_first_and_finished_later_is_finished(tmp_path):
    _fail(tmp_path, "k1")
    _finish(tmp_path, "k1")
    assert [e.status for e in read_ended(tmp_path)] == ["finished"]


def test_a_folder_that_cannot_be_written_is_still_read(tmp_path, monkeypatch):
    _finish(tmp_path, "k1")
    (tmp_path / ".ended.3.jsonl").mkdir()
    assert len(read_ended(tmp_path)) == 1 and len(read_ended(tmp_path)) == 1


def test_a_damaged_file_is_told_and_its_trial_has_not_ended(tmp_path):
    path = _finish(tmp_path, "k1")
    _finish(tmp_path, "k2")
    assert len(read_ended(tmp_path)) == 2
    path.write_bytes(b"half")
    ended, (error,) = read_ended_and_damaged(tmp_path)
    assert [trial.trial_key for trial in ended] == ["k2"]
    assert str(error).startswith(f"{path}: expected a prediction file, but it can't be read as Parquet (")
    assert str(error).endswith("or remove the file.")


def test_damaged_files_are_set_aside(tmp_path, capsys):
    for key in ("k1", "k2", "k3"):
        _finish(tmp_path, key)
    paths = prediction_files(tmp_path)
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    paths[2].write_bytes(b"")
    set_damaged_aside(tmp_path)
    assert prediction_files(tmp_path) == [paths[1]] and [e.trial_key for e in read_ended(tmp_path)] == ["k2"]
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: expected a prediction file, but {what}; it is now .{path.name}.damaged, and its trial is trained "
        "again."
        for path, what in (
            (paths[0], "its bytes are not those that were written"),
            (paths[2], "it is empty"),
        )
    ]


def test_a_line_that_was_damaged_changes_no_number(tmp_path, opened):
    for key in ("k1", "k2", "k3"):
        _finish(tmp_path, key, 0.25)
    first = read_ended(tmp_path)
    lines = tmp_path / ".ended.3.jsonl"
    for _, data in flips(lines.read_bytes()):
        lines.write_bytes(data)
        assert read_ended(tmp_path) == first
