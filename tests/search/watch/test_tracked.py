import sys

import pandas as pd
import pytest
from small_world import message
from typer.testing import CliRunner

from features.errors import MachineFault, WrongUse
from search.cli.app import search_app
from search.cluster.workers import Workers
from search.run.layout import Outcome
from search.runner import run_search
from search.watch.tracked_mlflow import write_mlflow
from search.watch.tracked_trials import TrackedTrial, tracked_trials


def trial(number, status="finished", **changes):
    told = {
        "hyperparameters": {"lr": 10.0**-number, "kind": "a"},
        "metrics": {"accuracy": 0.5},
        "curve": ({"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}),
    }
    if status != "finished":
        told |= {"metrics": {}, "curve": ()}
    reason = "it broke" if status == "failed" else ""
    keys = (f"key{number}", f"config{number}", "entry", "family", "train", status, reason)
    return TrackedTrial(*keys, **{**told, "started_s": 1e9, "ended_s": 1e9 + 4, "wall_s": 4.0, **changes})


TRIALS = [trial(1), trial(2, "failed"), trial(3, "pruned")]


@pytest.fixture
def searched(small_run):
    run = small_run(partitions=["train"])
    run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    run.write_outcome(
        Outcome("f" * 64, "c" * 64, "failed", "=it broke", "centroid", "centroid", "train", {"scale": 2.0})
    )
    return run.path


def export(*words):
    done = CliRunner().invoke(search_app, ["export", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_what_ended_is_told(searched):
    *finished, failed = sorted(tracked_trials(searched), key=lambda trial: trial.status == "failed")
    assert len(finished) == 2
    for one in finished:
        assert one.entry == one.family == "centroid" and one.partition == "train" and one.status == "finished"
        assert [row["epoch"] for row in one.curve] == [1, 2, 3, 4, 5, 6] and one.facts["epochs"] == 6
        assert 0 <= one.metrics["accuracy"] <= 1 and one.ended_s >= one.started_s
    assert (failed.reason, failed.hyperparameters) == ("=it broke", {"scale": 2.0})


def test_csv_files_hold_every_trial_and_epoch(searched, tmp_path):
    told = export(searched, "--to", "csv", "-o", tmp_path / "out")
    assert told == f"3 trials: {tmp_path / 'out/trials.csv'}, {tmp_path / 'out/curves.csv'}\n"
    table = pd.read_csv(tmp_path / "out/trials.csv")
    assert sorted(table.status) == ["failed", "finished", "finished"]
    assert table["params.scale"].notna().all() and table["metrics.accuracy"].notna().sum() == 2
    assert set(table.reason.dropna()) == {"'=it broke"}  # no formula in a spreadsheet
    assert len(pd.read_csv(tmp_path / "out/curves.csv")) == 12


def test_mlflow_gets_a_parent_and_a_child_for_each_trial_once(tmp_path):
    client = pytest.importorskip("mlflow.tracking").MlflowClient
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert write_mlflow(TRIALS[:2], "first", uri) == 2
    assert write_mlflow(TRIALS, "first", uri) == 1
    assert write_mlflow(TRIALS, "first", uri) == 0
    runs = client(uri).search_runs([client(uri).get_experiment_by_name("emofuse").experiment_id])
    by_key = {run.data.tags.get("emofuse.trial_key"): run for run in runs}
    assert len(runs) == 4 and by_key[None].data.metrics == {"finished": 1, "failed": 1, "pruned": 1}
    parent, child = by_key[None], by_key["key1"]
    assert [by_key[f"key{n}"].info.status for n in (1, 2, 3)] == ["FINISHED", "FAILED", "KILLED"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id and child.info.end_time == 1_000_000_004_000
    assert child.data.params == {"entry": "entry", "family": "family", "partition": "train", "lr": "0.1", "kind": "a"}
    assert child.data.metrics == {"loss": 1.0, "final/accuracy": 0.5, "wall_s": 4.0}
    losses = client(uri).get_metric_history(child.info.run_id, "loss")
    assert [(m.step, m.value, m.timestamp) for m in losses] == [(1, 2.0, 1000000002000), (2, 1.0, 1000000004000)]
    assert by_key["key2"].data.tags["reason"] == "it broke"
    # An export that was cut off and a trial that was retried are made anew.
    client(uri).update_run(child.info.run_id, status="RUNNING")
    assert write_mlflow([trial(1), trial(2), TRIALS[2]], "first", uri) == 2
    runs = client(uri).search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED", "KILLED"]


def test_wandb_gets_a_group_of_runs_once(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from search.watch.tracked_wandb import write_wandb

    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    assert write_wandb(TRIALS[:1], "first", tmp_path, "emofuse") == 1
    with (tmp_path / "emofuse_exported.jsonl").open("a") as ledger:
        ledger.write('{"cut o')
    assert write_wandb(TRIALS[:1], "first", tmp_path, "emofuse") == 0
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2  # the trial and the search
    logged = b"".join(file.read_bytes() for folder in folders for file in folder.glob("*.wandb"))
    for word in (b"key1", b"config1", b"loss", b"final/accuracy", b"first"):
        assert word in logged


def test_what_is_missing_is_told(searched, tmp_path, small_run, monkeypatch):
    assert "--to csv needs a folder to write to: give -o." in message(export, searched, "--to", "csv", error=WrongUse)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "give -o. Or --uri." in message(export, searched, "--to", "mlflow", error=WrongUse)
    wrong = (searched, "--to", "csv", "-o", tmp_path, "--uri", "file:x")
    assert "--uri is MLflow's, but --to is csv" in message(export, *wrong, error=WrongUse)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    told = message(write_mlflow, TRIALS, "first", "sqlite://", error=MachineFault)
    assert "run pip install 'emofuse[tracking]'" in told
