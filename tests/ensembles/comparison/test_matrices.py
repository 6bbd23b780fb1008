"""Confusion matrices of members and ensembles: in row percent, printed, written and drawn."""

import json

import numpy as np
import pyarrow.csv as pa_csv
import pytest

import emofuse
from ensembles.comparison.matrices import Matrix, matrix_of
from ensembles.report.pictures import draw_matrix
from features.errors import WrongUse


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A small run with an ensemble."""
    from small_world import corpus, put_in_place, recipe_file

    put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path)
    recipe_file(tmp_path)
    words = ["--clips", "clips.parquet", "--features", "store", "-o", "run", "--in-process"]
    assert emofuse.main(["search", "run", "recipe.yaml", *words]) == 0
    assert emofuse.main(["ensemble", "fit", "run", "--method", "uniform", "--name", "mean", "--all"]) == 0
    return tmp_path / "run"


def test_of_a_member_an_entry_and_an_ensemble(run, tmp_path, capsys):
    entry = matrix_of(run, "centroid")
    assert entry.classes == ("angry", "happy") and np.sum(entry.counts) == 8
    assert entry.rows == "8 held-out clips of train"
    assert matrix_of(run, entry.name) == entry, "the best configuration"
    capsys.readouterr()
    board = emofuse.main(["ensemble", "leaderboard", "run", "--json"])
    best = json.loads(capsys.readouterr().out)["members"][0]
    assert board == 0 and np.trace(np.array(entry.counts)) / 8 == best["accuracy"] and best["name"] == entry.name
    ensemble = matrix_of(run, "mean")
    assert ensemble.rows == "8 held-out clips, each by weights that its group had no part in"
    assert np.sum(matrix_of(run, "mean", True).counts) == 2, "test clips that have a label"
    assert np.sum(matrix_of(run, "centroid", True).counts) == 2
    (tmp_path / "later.csv").write_text("clip_id,label\nclips-test-2,angry\nclips-test-3,happy\n")
    words = ["ensemble", "confusion", "run", "mean", "--test", "--labels", "later.csv", "--csv", "m.csv"]
    assert emofuse.main([*words, "--picture", "m.svg"]) == 0
    assert "mean: 4 test clips; true classes down, predicted across, in row percent" in capsys.readouterr().out
    rows = pa_csv.read_csv(tmp_path / "m.csv").to_pylist()
    assert [row["clips"] for row in rows] == [2, 2]
    assert all(row["percent_angry"] + row["percent_happy"] == 100 for row in rows)
    assert (tmp_path / "m.svg").read_text().lstrip().startswith("<?xml")


def test_what_is_wrong_is_told(run, capsys):
    with pytest.raises(WrongUse, match="Did you mean 'centroid'"):
        matrix_of(run, "centroi")
    with pytest.raises(WrongUse, match="'mean' is an ensemble, which knows its partitions: leave out"):
        matrix_of(run, "mean", partitions=["train"])
    assert emofuse.main(["ensemble", "confusion", "run", "mean", "--picture", "m.bmp"]) == 2
    assert "a picture is written as .svg or .png, but got '.bmp'." in capsys.readouterr().err


def test_a_class_without_clips_has_no_shares(tmp_path):
    matrix = Matrix("one", "3 clips", ("$a", "b_"), ((1, 2), (0, 0)))
    np.testing.assert_allclose(matrix.percent, [[100 / 3, 200 / 3], [np.nan, np.nan]])
    draw_matrix(matrix, tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert matrix.table().to_pylist()[1]["percent_$a"] is None


def test_an_entrys_name_may_begin_anothers(tmp_path, write_trial):
    rows = [("x", "g", "val", "held_out", "a"), ("y", "h", "val", "held_out", "b")]
    write_trial(rows, [[0.2, 0.8], [0.8, 0.2]], entry="net")
    write_trial(rows, [[0.8, 0.2], [0.2, 0.8]], entry="net_swap")
    assert matrix_of(tmp_path, "net").name.startswith("net/") and matrix_of(tmp_path, "net").counts == ((0, 1), (1, 0))
