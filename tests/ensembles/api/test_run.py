"""A run in Python gives what the commands give."""

import json

import pandas as pd
import pytest
from small_world import message

import emofuse as ef
from features.errors import EmofuseError, WrongUse


@pytest.fixture(autouse=True)
def _inside(world, monkeypatch):
    monkeypatch.chdir(world.folder)


def _command(capsys, *words):
    assert ef.main([*words]) == 0
    return capsys.readouterr().out


def test_leaderboard_is_the_commands(world, capsys):
    board = world.run.leaderboard(test=True)
    told = json.loads(_command(capsys, "ensemble", "leaderboard", "runs/first", "--test", "--json"))["members"]
    assert board.index.tolist() == [row["name"] for row in told]
    for name in ("accuracy", "mean_accuracy", "log_loss", "coverage", "test_accuracy"):
        assert board[name].tolist() == [row[name] for row in told]
    assert board["low"].tolist() == [row["interval"]["low"] for row in told]
    assert world.run.leaderboard(intervals=0)["low"].isna().all()
    assert "test_accuracy" not in world.run.leaderboard()


def test_predictions_are_the_commands(world, tmp_path):
    table = world.run.predictions()
    assert ef.main(["ensemble", "dump", "runs/first", "-o", str(tmp_path / "all.parquet")]) == 0
    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "all.parquet"))
    for split, word in (("test", "test"), ("validation", "validation"), ("val", "validation"), ("train", "train")):
        rows = world.run.predictions(split)
        assert len(rows) and set(rows["split"]) == {word}
    assert "Did you mean 'test'?" in message(world.run.predictions, "tset", error=WrongUse)


def test_trials_have_their_hyperparameters(world):
    trials = world.run.trials().query("partition == 'train'")
    assert len(trials) == 2 and (trials["status"] == "finished").all()
    assert trials["params_scale"].between(0.1, 10).all() and trials["value"].between(0, 1).all()
    assert trials["ended"].dt.tz is not None


def test_a_fit_is_the_commands_and_stays_in_the_run(world, capsys):
    mine = world.run.fit("decision", name="mine", draws=50, top=1)
    _command(
        capsys,
        "ensemble",
        "fit",
        "runs/first",
        "--method",
        "decision",
        "-n",
        "its",
        "--param",
        "draws=50",
        "--top",
        "1",
    )
    its = world.run.ensemble("its")
    pd.testing.assert_frame_equal(mine.weights, its.weights)
    pd.testing.assert_frame_equal(mine.scores, its.scores)
    assert {"its", "mine"} <= set(world.run.ensembles())
    default = world.run.fit(name="default")
    assert (default.name, default.method) == ("default", "auto")
    assert default.choice["chosen"].sum() == 1 and default.choice.loc["uniform", "setting"] == ""


def test_mistakes_are_one_sentence(world, tmp_path):
    assert "Did you mean 'greedy'?" in message(world.run.fit, "gredy", error=WrongUse)
    assert "never fitted on" in message(world.run.fit, "greedy", split="test", error=WrongUse)
    assert "Did you mean 'best'?" in message(world.run.ensemble, "bset", error=WrongUse)
    assert "no such folder, expected a run" in message(ef.open_run, "runs/frist")
    assert "expected a run, with run.json or predictions/ in it" in message(ef.open_run, tmp_path)
    assert issubclass(ef.WrongUse, ef.EmofuseError) and ef.EmofuseError is EmofuseError


def test_a_run_on_an_object_store_is_read_and_written_back(world, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "cache"))
    uri = (world.folder / "runs" / "first").as_uri()
    run = ef.open_run(uri)
    assert repr(run) == f"Run({uri!r})" and run.path != world.run.path
    run.fit("uniform", name="afar")
    assert world.run.ensemble("afar").name == "afar"


def test_a_report_is_written(world, tmp_path):
    assert "best" in world.run.report(tmp_path / "r.html").read_text()
