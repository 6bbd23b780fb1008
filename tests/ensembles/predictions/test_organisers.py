"""The files for a challenge's organisers, byte by byte."""

import json
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

import emofuse
from ensembles.predictions.organisers import ClassPredictions, TracePredictions, write_form
from ensembles.predictions.sets import read_run
from ensembles.records.stored import open_ensemble
from features.datasets.avec_labels import read_labels
from features.errors import EmofuseError, WrongUse

CLIPS = ClassPredictions(
    ("test/000029320", "test/000143240"),
    ("Angry", "Happy"),
    np.array([[0.25, 0.75], [0.5, 0.5]]),
    np.array([True, True]),
)
MOMENTS = np.array([0.0, 0.1, 0.2])
TRACES = TracePredictions(
    ("arousal", "valence"),
    {"test/Test_DE_01": (MOMENTS, np.array([[0.1, -0.5], [0.2, -0.5], [0.25, 0.0]]))},
)


def test_emotiw(tmp_path):
    write_form(CLIPS, "emotiw", tmp_path / "team.zip")
    with zipfile.ZipFile(tmp_path / "team.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "000029320.txt": b"Happy",
            "000143240.txt": b"Angry",
        }
    first = (tmp_path / "team.zip").read_bytes()
    write_form(CLIPS, "emotiw", tmp_path / "team.zip")
    assert (tmp_path / "team.zip").read_bytes() == first, "the same at any time of day"


def test_avec2017(tmp_path):
    write_form(TRACES, "avec2017", tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*.csv")}
    assert files == {
        "arousal/Test_DE_01.csv": b"'Test_DE_01';0.000000;0.100000\n'Test_DE_01';0.100000;0.200000\n"
        b"'Test_DE_01';0.200000;0.250000\n",
        "valence/Test_DE_01.csv": b"'Test_DE_01';0.000000;-0.500000\n'Test_DE_01';0.100000;-0.500000\n"
        b"'Test_DE_01';0.200000;0.000000\n",
    }


def test_avec2019_is_read_as_labels_are(tmp_path):
    write_form(TRACES, "avec2019", tmp_path / "out")
    assert (tmp_path / "out" / "Test_DE_01.csv").read_bytes() == (
        b"name;timestamp;arousal;valence\n"
        b"'Test_DE_01';0.000000;0.100000;-0.500000\n"
        b"'Test_DE_01';0.100000;0.200000;-0.500000\n"
        b"'Test_DE_01';0.200000;0.250000;0.000000\n"
    )
    gold = read_labels(tmp_path / "out")["Test_DE_01"]
    assert gold.dimensions == TRACES.dimensions
    np.testing.assert_allclose(gold.values, TRACES.traces["test/Test_DE_01"][1], atol=1e-6)
    with pytest.raises(WrongUse, match="out exists: choose a new folder for the files of avec2019"):
        write_form(TRACES, "avec2019", tmp_path / "out")


def test_other_time_steps_are_brought_to_those_of_the_labels(tmp_path):
    slow = TracePredictions(("arousal",), {"a": (np.array([0.0, 0.2]), np.array([[0.0], [1.0]]))})
    write_form(slow, "avec2017", tmp_path / "out")
    assert (tmp_path / "out/arousal/a.csv").read_text().splitlines()[1] == "'a';0.100000;0.500000"


def test_tables(tmp_path):
    write_form(CLIPS, "csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (
        b'"clip_id","label","p_Angry","p_Happy"\n"test/000029320","Happy",0.25,0.75\n"test/000143240","Angry",0.5,0.5\n'
    )
    write_form(CLIPS, "jsonl", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text().splitlines()[0] == (
        '{"clip_id": "test/000029320", "label": "Happy", "p_Angry": 0.25, "p_Happy": 0.75}'
    )
    write_form(TRACES, "parquet", tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist()[1] == {
        "clip_id": "test/Test_DE_01",
        "time_s": 0.1,
        "arousal": 0.2,
        "valence": -0.5,
    }


def test_wrong_forms_are_told(tmp_path):
    with pytest.raises(WrongUse, match="The form avec2019 is for predictions of continuous emotion, but these are of"):
        write_form(CLIPS, "avec2019", tmp_path / "out")
    with pytest.raises(WrongUse, match="The form emotiw is for predictions of classes, but these are of continuous"):
        write_form(TRACES, "emotiw", tmp_path / "out.zip")
    twice = ClassPredictions(("a/1", "b/1"), CLIPS.classes, CLIPS.probabilities, CLIPS.scored)
    with pytest.raises(EmofuseError, match="Two clips have the id '1' of the organisers"):
        write_form(twice, "emotiw", tmp_path / "out.zip")


def run(*words):
    return emofuse.main([str(word) for word in words])


def test_an_ensemble_and_a_member_by_the_command(write_run, tmp_path, capsys):
    folder = write_run()
    assert run("ensemble", "fit", folder, "--method", "uniform", "--all") == 0
    assert run("ensemble", "predictions", folder, "uniform", "-o", tmp_path / "team.zip") == 0
    assert "uniform: by its members as searched" in capsys.readouterr().err
    test, ensemble = read_run(folder).test, open_ensemble(folder, "uniform")
    expected = [ensemble.classes[c] for c in ensemble.predict_proba(test.P, test.valid).argmax(axis=1)]
    with zipfile.ZipFile(tmp_path / "team.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            f"{clip}.txt": label for clip, label in zip(test.ids, expected, strict=True)
        }
    name = test.members[1].name
    assert run("ensemble", "predictions", folder, name, "--split", "val", "-o", tmp_path / "m.jsonl") == 0
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    held_out = read_run(folder).held_out
    assert [row["clip_id"] for row in rows] == list(held_out.ids)
    np.testing.assert_allclose([row["p_b"] for row in rows], held_out.P[1][:, 1], atol=1e-6)


def test_imported_predictions(tmp_path, capsys):
    (tmp_path / "p.csv").write_text(
        "sample_id,split,label,model,p_sad,p_happy\nv1,val,sad,m,0.9,0.1\nv2,val,happy,m,0.2,0.8\nt1,test,,m,0.3,0.7\n"
    )
    assert run("ensemble", "import", tmp_path / "p.csv", "-o", tmp_path / "run") == 0
    assert run("ensemble", "predictions", tmp_path / "run", "m", "-o", tmp_path / "t.csv") == 0
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith('"t1","happy",0.69')


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["unifrm", "-o", "a.csv"], 2, "Did you mean 'uniform'"),
        (["uniform", "-o", "a.csv", "--split", "train"], 2, "Predictions are written of clips that weren't fitted"),
        (["uniform", "-o", "a.txt"], 2, "expected --format (emotiw, avec2017, avec2019, csv, jsonl, parquet)"),
        (["uniform", "-o", "a.csv", "--format", "emotw"], 2, "Did you mean 'emotiw'"),
    ],
)
def test_wrong_commands_are_told(write_run, tmp_path, monkeypatch, capsys, words, code, told):
    folder = write_run(M=2, N=20)
    monkeypatch.chdir(tmp_path)
    assert run("ensemble", "fit", folder, "--method", "uniform", "--all") == 0
    assert run("ensemble", "predictions", folder, *words) == code
    assert told in capsys.readouterr().err
