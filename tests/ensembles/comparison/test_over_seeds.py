"""Members that were trained with several seeds: mean and spread of all, while an ensemble takes the first's models."""

import json

import numpy as np
import pytest
from tracks import small_run, write
from typer.testing import CliRunner

from ensembles.cli.app import ensemble_app
from ensembles.comparison.leaderboard import board_table, leaderboard
from ensembles.continuous.run import read_continuous_run
from ensembles.evaluation.metrics import score
from ensembles.papers.beside import beside_table, tables_beside, texts
from ensembles.papers.published import Paper
from ensembles.predictions.exchange import long_table
from ensembles.predictions.sets import read_run
from ensembles.report.page import write_report

N = 12
LABELS = ["a", "b"] * (N // 2)
PAPER = {
    "paper": "p",
    "title": "A paper",
    "corpus": "none",
    "recipe": "none",
    "tables": [
        {
            "name": "Table 1",
            "title": "all",
            "columns": [{"name": "validation", "split": "val"}],
            "rows": [{"name": "svm", "paper": [50.0], "ours": {"entry": "svm"}}],
        }
    ],
}


@pytest.fixture
def run(tmp_path, write_trial):
    """Members `svm` with three seeds and `mlp` with one; seed n of svm is right on all but n + 2 clips."""
    rows = [(f"c{n}", f"g{n // 2}", "val", "held_out", label) for n, label in enumerate(LABELS)]
    rows += [(f"t{n}", f"t{n}", "test", "test", label) for n, label in enumerate(LABELS)]

    def scores(wrong):
        P = np.array([[0.9, 0.1] if label == "a" else [0.1, 0.9] for label in LABELS])
        P[:wrong] = P[:wrong, ::-1]
        return np.concatenate([P, P])

    for repeat in range(3):
        write_trial(rows, scores(repeat + 2), seed=repeat, repeat=repeat)
    write_trial(rows, scores(2), entry="mlp")
    return tmp_path


def test_the_leaderboard_tells_mean_and_spread_and_orders_by_the_mean(run):
    board = leaderboard(run, test=True)
    assert [row.entry for row in board.members] == ["mlp", "svm"]
    row = next(row for row in board.members if row.entry == "svm")
    shares = np.array([10, 9, 8]) / 12
    assert row.accuracy == pytest.approx(10 / 12)
    for spreads in (row.over_seeds, row.test_over_seeds):
        assert (spreads["accuracy"].n, spreads["accuracy"].mean) == (3, pytest.approx(shares.mean()))
        assert spreads["accuracy"].sd == pytest.approx(shares.std(ddof=1))
    assert row.reached("accuracy") == pytest.approx(9 / 12)
    assert row.over_seeds["log_loss"].mean == pytest.approx(
        np.mean([-np.log(0.9) * (1 - w / 12) - np.log(0.1) * w / 12 for w in (2, 3, 4)]), abs=1e-5
    )
    assert not next(row for row in board.members if row.entry == "mlp").over_seeds
    line = next(line for line in board_table(board).to_pylist() if line["entry"] == "svm")
    assert (line["accuracy_seeds"], line["test_accuracy_mean"]) == (3, pytest.approx(9 / 12))


def test_the_command_prints_them(run):
    shown = CliRunner().invoke(ensemble_app, ["leaderboard", str(run), "--test"]).output
    assert "Over several seeds" in shown and "75.0 ± 8.3" in shown
    assert json.loads(CliRunner().invoke(ensemble_app, ["leaderboard", str(run), "--json"]).output)["members"]


def test_a_fusion_takes_the_first_seeds_models(run):
    predictions = read_run(run)
    assert [member.entry for member in predictions.held_out.members] == ["mlp", "svm"]
    svm = predictions.held_out.P[1]
    assert score(predictions.held_out.y, svm).accuracy == pytest.approx(10 / 12)
    assert len(predictions.repeats) == 2
    assert long_table(run)[1].models == 2


def test_a_papers_number_is_the_mean_over_seeds(run):
    paper = Paper.model_validate(PAPER)
    tables = tables_beside(paper, run)
    ((cell,),) = tables[0].rows
    assert (cell.ours, cell.seeds, cell.sd) == (pytest.approx(75.0), 3, pytest.approx(100 / 12))
    assert texts(cell, 1)[1].startswith("75.0 ± 8.3 [")
    (row,) = beside_table(paper, tables).to_pylist()
    assert (row["seeds"], row["sd"]) == (3, pytest.approx(100 / 12))


def test_continuous_emotion_has_them_too(tmp_path):
    run = small_run(tmp_path)
    before = read_continuous_run(run, test=True)
    for repeat in (1, 2):
        for fold, held_out in ((0, (0, 1, 2)), (1, (3, 4, 5))):
            write(run, "a", f"fold-{fold}-of-2", held_out, 0.2, seed=repeat * 10 + fold, repeat=repeat)
    found = read_continuous_run(run, test=True)
    old, new = (next(m for m in own.members if m.footer.entry == "a") for own in (before, found))
    assert new.metrics == old.metrics and not old.over_seeds
    assert new.over_seeds["ccc"].n == 3 and new.over_seeds["ccc"].sd > 0
    assert new.worth == new.over_seeds["ccc"].mean != new.metrics["ccc"]
    assert set(new.test_over_seeds) >= {"ccc", "ccc_arousal"}
    assert found.recordings.P.shape == before.recordings.P.shape
    shown = CliRunner().invoke(ensemble_app, ["leaderboard", str(run), "--test"]).output
    assert "CCC over several seeds" in shown and new.over_seeds["ccc"].told() in shown


def test_the_report_has_a_table_of_them(run, tmp_path):
    page = write_report(run, tmp_path / "r.html", test=True).read_text()
    assert "Over several seeds" in page and "75.0 ± 8.3" in page
