"""`emofuse predict` over many clips, with a bundle that the tests stand in for."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from ensembles.bundle.results import ClipPrediction
from ensembles.cli.command import main

NAMES = ("00-svm", "01-cnn")


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Three sounds, two of one name, and a bundle that is interrupted by what lies in `stop`."""
    for name in ("a/x.wav", "b/x.wav", "y.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(800), 8000)
    ensemble = SimpleNamespace(over_time=None, classes=("sad", "[b]"), outputs=("sad", "[b]"))
    bundle = SimpleNamespace(
        folder=tmp_path / "bundle", digest="0" * 64, member_names=NAMES, imported={}, ensemble=ensemble
    )
    stop = []

    def predict_many(opened, left, **how):
        for clip in left:
            if clip.name in stop:
                raise KeyboardInterrupt
            if clip.media.path.exists():
                members = {"00-svm": {"sad": 0.4, "[b]": 0.6}}
                yield clip, ClipPrediction(clip.name, "[b]", {"sad": 0.25, "[b]": 0.75}, members=members)
            else:
                yield clip, ClipPrediction(clip.name, reason="missing: no such file")

    monkeypatch.setattr("ensembles.bundle.bundle.open_bundle", lambda folder: bundle)
    monkeypatch.setattr("ensembles.applying.many.predict_many", predict_many)
    monkeypatch.chdir(tmp_path)
    return stop


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(clips, capsys):
    clips.append("b/x.wav")
    command = ["predict", "bundle", ".", "-o", "p.csv"]
    assert main(command) == 130
    told = capsys.readouterr().err
    assert told.strip().endswith("interrupted after 1 of 3 clips, which lie in p.csv; the same command goes on.")
    clips.clear()
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "p.csv: 1 of 3 clips are there already" in told and "3 of 3 clips scored: p.csv" in told
    assert main(command) == 0
    assert "3 of 3 clips are there already" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_without_a_file_ctrl_c_shows_what_there_is(clips, capsys, words):
    clips.append("b/x.wav")
    assert main(["predict", "bundle", ".", *words]) == 130
    told = capsys.readouterr()
    assert "a/x.wav" in told.out and "0.75" in told.out and "[b]" in told.out
    assert told.err.strip().endswith("the same command begins again, with -o FILE.csv it goes on.")


def test_the_table_tells_two_files_of_one_name_apart(clips, capsys):
    assert main(["predict", "bundle", ".", "--details"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["clip", "a/x.wav", "00-svm", "b/x.wav", "00-svm", "y.wav", "00-svm"]
    assert lines[2].split()[1:3] == ["[b]", "0.60"]


def test_json_holds_members_with_details_alone(clips, capsys):
    assert main(["predict", "bundle", "y.wav", "gone.wav", "--json"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "members" not in first and (first["label"], second["reason"]) == ("[b]", "missing: no such file")
    assert main(["predict", "bundle", "y.wav", "--json", "--details"]) == 0
    assert json.loads(capsys.readouterr().out)["members"] == {"00-svm": {"sad": 0.4, "[b]": 0.6}}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["y.wav", "--device", "cuda"], "expected a CUDA device, but torch finds none here; use --device cpu"),
        (["y.wav", "--device", "tpu"], "--device tpu: expected cpu or cuda"),
        (["y.wav", "--step", "1"], "--step goes with --window"),
        (["y.wav", "--format", "csv"], "--format says how -o FILE is written"),
        ([], "Give either media files or --clips CLIPS"),
        (["y.wav", "-o", "p.txt"], "p.txt: expected --format"),
    ],
)
def test_wrong_use(clips, capsys, monkeypatch, words, told):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert main(["predict", "bundle", *words]) == 2
    assert told in capsys.readouterr().err


def test_windows_are_rows(clips, capsys):
    soundfile.write("long.wav", np.zeros(8000 * 3), 8000)
    assert main(["predict", "bundle", "long.wav", "--window", "2", "--step", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()[1:4]) for line in lines[1:]] == ["0 to 2", "1 to 3"]


def test_a_list_on_stdin(clips, capsys, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("y.wav\n"))
    assert main(["predict", "bundle", "-", "-o", "p.parquet"]) == 0
    assert "1 of 1 clips scored: p.parquet" in capsys.readouterr().err


def test_a_page_shows_windows_over_time(clips, tmp_path):
    soundfile.write("long.wav", np.zeros(8000 * 3), 8000)
    command = ["predict", "bundle", "long.wav", "y.wav", "gone.wav", "--window", "2", "--step", "1", "--html", "p.html"]
    assert main([*command, "-o", "p.csv"]) == 1
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    for text in ("Predictions of bundle", "Over time", "long.wav: sad, [b] over 2 seconds.", "missing: no such file"):
        assert text in page
    (tmp_path / "p.html").unlink()
    assert main(command) == 1 and "Over time" in (tmp_path / "p.html").read_text(encoding="utf-8")
