"""AVEC label files and prediction tables, and the command over them."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ensembles.cli.app import ensemble_app
from ensembles.continuous.avec import read_gold, read_labels, read_recordings
from features.errors import EmofuseError, WrongUse
from features.files import read_json

LENGTHS = {"Devel_DE_01": 30, "Devel_DE_02": 50, "Devel_DE_03": 40}


def _label_text(name, values, header=True):
    lines = [f"'{name}';{0.1 * t:.6f};" + ";".join(f"{v:.6f}" for v in row) for t, row in enumerate(values)]
    return "\n".join(["name;timestamp;arousal;valence;liking"] * header + lines) + "\n"


@pytest.fixture
def challenge(tmp_path):
    """Labels of three recordings and predictions of two systems; returns (predictions, labels, rows)."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "labels"
    folder.mkdir()
    rows = []
    for name, length in LENGTHS.items():
        values = np.cumsum(rng.normal(size=(length, 3)), axis=0) / 10
        (folder / f"{name}.csv").write_text(_label_text(name, values))
        for system, noise in (("audio", 0.1), ("video", 0.4)):
            for t, row in enumerate(values + noise * rng.normal(size=values.shape)):
                rows.append([name, 0.1 * t, system, *row.tolist()])
    rng.shuffle(rows)
    return tmp_path / "predictions.parquet", folder, rows


def _write(path, rows, **more):
    names = ("session", "time_s", "system", "arousal", "valence", "liking")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in {**columns, **more}.items()})
    pq.write_table(table.set_column(1, "time_s", table["time_s"].cast(pa.float32())), path)


@pytest.mark.parametrize("header", [True, False])
def test_labels_with_and_without_header(tmp_path, header):
    path = tmp_path / "x.csv"
    path.write_text(_label_text("Train_01", [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], header))
    gold = read_gold(path)
    assert (gold.recording, gold.dimensions) == ("Train_01", ("arousal", "valence", "liking"))
    assert gold.time_s.tolist() == [0, 0.1]
    assert gold.values.tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("nonsense\n", "expected AVEC labels (name;time;arousal;valence;liking)"),
        ("", "expected AVEC labels"),
        ("'a';0.0;0.1;0.2;0.3\n'b';0.1;0.1;0.2;0.3\n", "labels of one recording"),
        ("'a';0.0;nan;0.2;0.3\n", "1 numbers are not finite"),
    ],
)
def test_broken_labels_are_told(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(EmofuseError, match=re.escape(message)):
        read_gold(tmp_path / "x.csv")


def test_sessions_and_systems_have_one_spelling(challenge, capsys):
    predictions, labels, rows = challenge
    second = [row[0].endswith("2") for row in rows]
    systems = [row[2].upper() if upper else f"{row[2]} " for row, upper in zip(rows, second, strict=True)]
    changed = [[row[0].lower(), row[1], name, *row[3:]] for row, name in zip(rows, systems, strict=True)]
    _write(predictions, rows)
    expected = read_recordings(predictions, labels)
    _write(predictions, changed)
    found = read_recordings(predictions, labels)
    assert found.recording.tolist() == expected.recording.tolist()
    assert sorted(name.lower() for name in found.members) == sorted(expected.members)
    np.testing.assert_array_equal(found.P, expected.P)
    assert "(and so 2 more): they differ in spelling alone" in capsys.readouterr().err


def test_a_label_folder_has_each_recording_once(tmp_path):
    with pytest.raises(WrongUse, match="holds none"):
        read_labels(tmp_path)
    for name in ("x", "y"):
        (tmp_path / f"{name}.csv").write_text("'a';0.0;0.1;0.2;0.3\n")
    with pytest.raises(EmofuseError, match="a has labels in another file already"):
        read_labels(tmp_path)
    (tmp_path / "y.csv").write_text("name;timestamp;valence\n'b';0.0;0.1\n")
    with pytest.raises(EmofuseError, match="dimensions are valence, those of other files arousal, valence, liking"):
        read_labels(tmp_path)


def test_rows_in_any_order_line_up_with_labels(challenge):
    predictions, labels, rows = challenge
    # One system's recording is absent, one is short, one is long, one row has NaN, one recording has no labels.
    rows = [row for row in rows if not (row[0] == "Devel_DE_01" and row[2] == "video")]
    rows = [row for row in rows if not (row[0] == "Devel_DE_02" and row[2] == "audio" and row[1] > 2.95)]
    rows += [["Devel_DE_03", 0.1 * t, "audio", 9.0, 9.0, 9.0] for t in range(40, 45)]
    rows.append(["Test_DE_01", 0.0, "audio", 1.0, 1.0, 1.0])
    hole = next(row for row in rows if row[0] == "Devel_DE_03" and row[2] == "video" and row[1] == 0)
    hole[4] = None
    _write(predictions, rows)
    both = read_recordings(predictions, labels)
    assert (both.members, both.dimensions) == (("audio", "video"), ("arousal", "valence", "liking"))
    assert both.P.shape == (2, 120, 3)
    assert both.recording.tolist() == [name for name, length in LENGTHS.items() for _ in range(length)]
    assert (both.group == both.recording).all()
    assert not both.valid[1, :30].any() and both.valid[0].all()
    assert both.valid[1, 80].tolist() == [True, False, True]
    assert (both.P[0, 59:80] == both.P[0, 59]).all() and (both.P[0, 58] != both.P[0, 59]).all()
    assert np.abs(both.P[0, 80:] - both.Y[80:]).max() < 1


def test_group_ids_join_recordings(challenge):
    predictions, labels, rows = challenge
    pair = {"Devel_DE_01": "talk1", "Devel_DE_02": "talk2", "Devel_DE_03": "talk1"}
    _write(predictions, rows, group_id=[pair[row[0]] for row in rows])
    assert set(read_recordings(predictions, labels).group) == {"talk1", "talk2"}
    _write(predictions, rows, group_id=[str(n) for n in range(len(rows))])
    with pytest.raises(EmofuseError, match=r"recording Devel_DE_0\d has the group_id"):
        read_recordings(predictions, labels)


def test_broken_predictions_are_told(challenge, tmp_path):
    predictions, labels, rows = challenge
    with pytest.raises(EmofuseError, match="no such file"):
        read_recordings(predictions, labels)
    _write(predictions, [[name, 2 * t, *rest] for name, t, *rest in rows])
    with pytest.raises(EmofuseError, match=r"audio on Devel_DE_01: prediction 1 is of 0.2 s, but label 1 of 0.1 s"):
        read_recordings(predictions, labels)
    _write(predictions, [*rows, rows[0]])
    with pytest.raises(EmofuseError, match=r"expected one prediction every 0\.1 s"):
        read_recordings(predictions, labels)
    pq.write_table(pa.table({"session": ["a"], "time_s": [0.0], "model": ["m"]}), predictions)
    with pytest.raises(EmofuseError, match="session, time_s, system"):
        read_recordings(predictions, labels)
    pq.write_table(pa.table({"session": ["a"], "time_s": [0.0], "system": ["m"], "joy": [0.0]}), predictions)
    with pytest.raises(EmofuseError, match="one of the labels' dimensions arousal, valence, liking"):
        read_recordings(predictions, labels)


def test_the_command_prints_tables_and_json(challenge):
    predictions, labels, rows = challenge
    _write(predictions, rows)
    ask = ["continuous", str(predictions), "--labels", str(labels), "--folds", "3"]
    shown = CliRunner().invoke(ensemble_app, ask)
    assert shown.exit_code == 0, shown.output
    for text in ("best single (audio)", "plain average", "fusion", "3 recordings (120 samples", "video", "valence:"):
        assert text in shown.output
    result = json.loads(CliRunner().invoke(ensemble_app, [*ask, "--json"]).output)
    assert [one["dimension"] for one in result["dimensions"]] == ["arousal", "valence", "liking"]
    for one in result["dimensions"]:
        assert one["best_single"] == "audio"
        assert one["scores"]["fusion"]["interval"]["low"] < one["scores"]["fusion"]["nested"]
        assert set(one["weights"]) == {"audio", "video"}
    kept = predictions.with_name("fusion.json")
    options = ["--recalibrate", "--bagged", "3", "--shrunk", "-o", str(kept)]
    mended = CliRunner().invoke(ensemble_app, [*ask, *options])
    assert "offset" in mended.output and "offset" not in shown.output and str(kept) in mended.stderr
    stored = read_json(kept, "")
    assert stored["params"] == {"recalibrate": True, "bagged": 3, "shrunk": True}
    assert json.loads(CliRunner().invoke(ensemble_app, [*ask, *options, "--json"]).stdout) == stored


@pytest.mark.real_data
def test_sewa(real_data):
    from ensembles.continuous.evaluate import evaluate

    together = read_recordings(real_data / "sewa" / "predictions.parquet", real_data / "sewa" / "labels")
    assert together.P.shape == (10, 22727, 3)
    result = evaluate(together)
    by_name = {one.dimension: one for one in result.dimensions}
    assert result.n_recordings == 14
    assert by_name["valence"].best_single == "svr"
    assert by_name["valence"].scores["best_single"].fit == pytest.approx(0.684, abs=0.002)
    for one in result.dimensions:
        assert one.scores["fusion"].fit > one.scores["best_single"].fit
        assert one.scores["fusion"].nested < one.scores["fusion"].fit
