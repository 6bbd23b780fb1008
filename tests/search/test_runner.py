"""Whole searches on tiny generated features: in this process, on Ray, stopped, killed, resumed and extended."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_world import forecasts

from features.clips import Clip, ClipTable, write_clips
from features.errors import EmofuseError, WrongUse
from features.sets import FeatureArray
from features.store.store import SetWriter
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.folder import RunFolder
from search.run.layout import Layout, Outcome
from search.run.lease import exclusive
from search.run.planned import note_asked
from search.run.predictions import prediction_files, read_footer, read_predictions
from search.runner import run_search
from search.watch.status import read_status
from search.watch.status_view import full_text

CLASSES = ("angry", "happy", "sad")
POOLING = {
    "family": "temporal_pooling",
    "inputs": {"frames": "voice"},
    "max_epochs": 3,
    "published": False,
    "fixed": {"hidden": 64, "batch_size": 16},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clip table and a store with one imported set of (T, 4) features that tell the classes apart, more or less."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    splits = {"train": 6, "val": 4, "test": 2}
    clips = [
        Clip(f"{split}-{group}-{label}", None, split, label, f"{split}-{group}")
        for split, groups in splits.items()
        for group in range(groups)
        for label in CLASSES
    ]
    write_clips(ClipTable(tuple(clips), folder), folder / "clips.parquet")
    writer = SetWriter(folder / "store", "voice", "k1", tuple(c.clip_id for c in clips), "frame", (4,), imported=True)
    for clip in clips:
        frames = rng.normal(size=(rng.integers(4, 9), 4)).astype(np.float32)
        frames[:, CLASSES.index(clip.label)] += 1
        writer.add(clip.clip_id, FeatureArray(frames, np.arange(len(frames), dtype=np.float32)))
    writer.finish()
    return folder


def _recipe(folder, entries=None, **other):
    mean = {"configurations": 2, "fixed": {**POOLING["fixed"], "pool": "mean"}}
    entries = entries or {"pool": {"configurations": 2}, "pool_mean": mean}
    data = {
        "name": "small",
        "seed": 3,
        "partitions": ["train", "swap"],
        "asha": None,
        "stages": [{"stage": "clips", "entries": {name: {**POOLING, **entry} for name, entry in entries.items()}}],
        **other,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def _search(data, recipe, out, **other):
    return run_search(
        read_recipe(recipe, data / "store"),
        clips=data / "clips.parquet",
        store=data / "store",
        out=out,
        workers=other.pop("workers", None) or Workers(in_process=True),
        **other,
    )


def _files(out):
    """Name, inode and time of change of each prediction file."""
    return {path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for path in prediction_files(out)}


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """A run that was done in this process."""
    folder = tmp_path_factory.mktemp("plain")
    status = _search(data, _recipe(folder), folder / "run")
    return folder / "run", status


def test_every_configuration_is_trained_on_every_partition(plain):
    out, status = plain
    footers = [read_footer(path) for path in prediction_files(out)]
    assert len(footers) == 8 and len({footer.config_key for footer in footers}) == 4
    assert {footer.partition for footer in footers} == {"train", "swap"}
    assert {e.entry: (e.trials, e.finished, e.left) for e in status.entries} == {
        "pool": (4, 4, 0),
        "pool_mean": (4, 4, 0),
    }
    assert status.entries[0].best > 0.34 and not status.running and not list(out.glob("checkpoints/*"))


def test_the_same_recipe_again_trains_nothing_and_elsewhere_gives_the_same(data, plain, tmp_path, capfd):
    out, _ = plain
    before = _files(out)
    _search(data, _recipe(tmp_path), out)
    assert _files(out) == before and "of 8" not in capfd.readouterr().err
    _search(data, _recipe(tmp_path), tmp_path / "run")
    assert set(_files(tmp_path / "run")) == set(before)
    for path in prediction_files(out):
        twin = tmp_path / "run" / path.relative_to(out)
        assert np.array_equal(read_predictions(path).probabilities, read_predictions(twin).probabilities)


def test_a_larger_budget_extends_and_a_lost_journal_costs_nothing(data, tmp_path, capfd):
    out = tmp_path / "run"
    _search(data, _recipe(tmp_path, {"pool": {"configurations": 1}}), out)
    before = _files(out)
    (out / "study.journal").unlink()
    status = _search(data, _recipe(tmp_path, {"pool": {"configurations": 2}}), out)
    assert status.entries[0].finished == 4 and len(_files(out)) == 4
    assert before.items() <= _files(out).items()
    assert "4 of 4  pool" in capfd.readouterr().err


def test_one_failed_trial_is_recorded_and_not_tried_again_until_asked(data, tmp_path, monkeypatch, capfd):
    import search.trial.trial

    real, out = search.trial.trial._run, tmp_path / "run"

    def breaking(spec, report, device):
        if spec.partition == "swap":
            raise RuntimeError("the device is on fire")
        return real(spec, report, device)

    monkeypatch.setattr(search.trial.trial, "_run", breaking)
    recipe = _recipe(tmp_path, {"pool": {"configurations": 1}})
    status = _search(data, recipe, out)
    assert (status.entries[0].finished, status.entries[0].failed, status.left) == (1, 1, 0)
    assert "failed: RuntimeError: the device is on fire" in capfd.readouterr().err
    monkeypatch.setattr(search.trial.trial, "_run", real)
    assert _search(data, recipe, out).entries[0].failed == 1
    status = _search(data, recipe, out, retry_failed=True)
    assert (status.entries[0].finished, status.entries[0].failed) == (2, 0)


def test_an_entry_without_a_finished_trial_is_an_error(data, tmp_path, monkeypatch):
    import search.trial.trial

    def breaking(spec, report, device):
        raise EmofuseError("nothing works")

    monkeypatch.setattr(search.trial.trial, "_run", breaking)
    status = _search(data, _recipe(tmp_path, {"pool": {"configurations": 1}}), tmp_path / "run")
    with pytest.raises(EmofuseError, match="none of the 2 trials of entry 'pool' finished; the first one: nothing"):
        status.check()


def test_two_searches_do_not_share_a_run(data, plain, tmp_path):
    out, _ = plain
    with exclusive(out):
        assert read_status(RunFolder.open(out)).running
        with pytest.raises(EmofuseError, match="another search works on this run"):
            _search(data, _recipe(tmp_path), out)


def test_missing_features_are_told_before_any_training(data, tmp_path):
    recipe = _recipe(
        tmp_path, {"pool": {"configurations": 1}, "speech": {"configurations": 1, "inputs": {"frames": "short_term"}}}
    )
    with pytest.raises(EmofuseError, match="'short_term' has not been extracted"):
        _search(data, recipe, tmp_path / "run")
    assert not prediction_files(tmp_path / "run")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, EmofuseError)])
def test_a_signal_stops_and_the_same_command_goes_on(data, tmp_path, monkeypatch, capfd, number, error):
    import search.trial.trial

    real, out, runs = search.trial.trial._run, tmp_path / "run", []

    def striking(spec, report, device):
        runs.append(spec.trial_key)
        if len(runs) == 3:
            os.kill(os.getpid(), number)
        return real(spec, report, device)

    before = signal.getsignal(number)
    monkeypatch.setattr(search.trial.trial, "_run", striking)
    with pytest.raises(error):
        _search(data, _recipe(tmp_path), out)
    assert signal.getsignal(number) is before
    assert "Stopped: 2 of 8 trials have ended." in capfd.readouterr().err
    assert len(_files(out)) == 2 and not list(Layout(out).outcomes())
    kept = _files(out)
    assert _search(data, _recipe(tmp_path), out).left == 0
    assert kept.items() <= _files(out).items()


def test_a_backbone_is_trained_first_and_its_layers_are_read(small_run):
    run = small_run(
        stills=True,
        partitions=["train", "swap"],
        stages=[
            {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 2}}},
            {"stage": "clips", "entries": {"centroid": {"configurations": 3}, "pooled": {"configurations": 1}}},
        ],
    )
    status = run_search(
        run.recipe, clips=run.clips, store=run.store, out=run.path, stills=run.stills, workers=Workers(in_process=True)
    )
    assert {e.entry: (e.finished, e.left) for e in status.entries} == {
        "toy_cnn": (2, 0),
        "centroid": (6, 0),
        "pooled": (2, 0),
    }
    assert {read_footer(path).partition for path in prediction_files(run.path)} == {"stills", "train", "swap"}
    status.check()


def test_status_reads_files_alone(data, plain, tmp_path, capsys):
    import emofuse

    out, _ = plain
    assert emofuse.main(["search", "status", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["finished"] for entry in found["entries"]] == [4, 4] and found["running"] is False
    assert emofuse.main(["search", "status", str(out)]) == 0
    assert "Nothing is left. Next: emofuse ensemble fit" in capsys.readouterr().out
    assert emofuse.main(["search", "status", str(tmp_path)]) == 1
    assert "start one with `emofuse search run`" in capsys.readouterr().err


def test_status_counts_what_is_left_pruned_and_failed(data, tmp_path):
    out = tmp_path / "run"
    _search(data, _recipe(tmp_path, {"pool": {"configurations": 1}}), out)
    recipe = read_recipe(_recipe(tmp_path, {"pool": {"configurations": 4}}), data / "store")
    run = RunFolder.prepare(out, recipe, data / "clips.parquet", data / "store")
    note_asked(out, "pool", run.plan()[0].study, {1: "c"})
    for key, status in (("k1", "pruned"), ("k2", "failed")):
        run.write_outcome(Outcome(key, "c", status, "because", "pool", "temporal_pooling", "train"))
    (entry,) = read_status(run).entries
    assert (entry.trials, entry.finished, entry.pruned, entry.failed, entry.left) == (8, 2, 1, 1, 4)
    assert entry.reason == "because"


@pytest.mark.parametrize("options", [["--in-process", "--cpus", "2"], ["--address", "auto", "--cpus", "2"]])
def test_options_that_exclude_each_other(data, tmp_path, capsys, options):
    import emofuse

    assert emofuse.main(_command(data, _recipe(tmp_path), tmp_path / "run", *options)) == WrongUse.exit_code
    assert "--cpus" in capsys.readouterr().err


def _command(data, recipe, out, *options):
    where = ["--clips", str(data / "clips.parquet"), "--features", str(data / "store"), "-o", str(out)]
    return ["search", "run", str(recipe), *where, *options]


def _start(arguments):
    command = [sys.executable, "-m", "emofuse", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _wait_for(condition, process, limit_s=120):
    end = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def _descendants(pid):
    children = [int(c) for task in Path(f"/proc/{pid}/task").glob("*/children") for c in task.read_text().split()]
    return {pid: Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in children} | {
        pid: line for child in children for pid, line in _descendants(child).items()
    }


SLOW_TRIALS = {
    "pool": {"configurations": 5, "max_epochs": 100, "fixed": {**POOLING["fixed"], "hidden": 256, "lr": 2e-4}}
}


@pytest.mark.parametrize("goal", ["best", pytest.param("ensemble", marks=pytest.mark.slow)])
def test_a_search_on_ray_killed_with_sigkill_finishes_by_the_same_command(data, tmp_path, goal):
    import emofuse

    out = tmp_path / "run"
    entries = SLOW_TRIALS
    if goal == "ensemble":
        entries = {name: {**SLOW_TRIALS["pool"], "configurations": n} for name, n in (("pool", 3), ("other", 2))}
    command = _command(data, _recipe(tmp_path, entries, goal=goal), out, "--cpus", "1")
    driver = _start(command)
    _wait_for(lambda: len(prediction_files(out)) >= 2, driver)
    workers = [pid for pid, line in _descendants(driver.pid).items() if line.startswith("ray::ImplicitFunc")]
    driver.kill()
    driver.communicate()
    kept = _files(out)
    assert 2 <= len(kept) < 10 and workers
    assert emofuse.main(command) == 0
    assert len(_files(out)) == 10 and kept.items() <= _files(out).items()
    assert not list(out.glob("checkpoints/*")) and not (out / ".tune").exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(data, tmp_path):
    out = tmp_path / "run"
    driver = _start(_command(data, _recipe(tmp_path, SLOW_TRIALS), out, "--cpus", "1"))
    _wait_for(lambda: prediction_files(out), driver)
    (worker,) = [pid for pid, line in _descendants(driver.pid).items() if line.startswith("ray::ImplicitFunc")]
    os.kill(worker, signal.SIGKILL)
    _, lines = driver.communicate(timeout=300)
    assert driver.returncode == 0 and "its process died; it goes on from its checkpoint" in lines
    assert len(_files(out)) == 10 and not list(Layout(out).outcomes())


@pytest.mark.slow
@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_a_signal_stops_a_search_on_ray(data, tmp_path, signal_number, code):
    out = tmp_path / "run"
    driver = _start(_command(data, _recipe(tmp_path, SLOW_TRIALS), out, "--cpus", "2"))
    _wait_for(lambda: len(prediction_files(out)) >= 1, driver)
    os.killpg(driver.pid, signal_number)  # as Ctrl-C in a terminal, which reaches Ray's processes too
    _, lines = driver.communicate(timeout=60)
    assert driver.returncode == code and "the same command goes on where this one stopped" in lines
    assert "Traceback" not in lines and not list(Layout(out).outcomes())


def test_one_process_trains_all_entries_one_trial_at_a_time(data, tmp_path, monkeypatch):
    lines = forecasts(monkeypatch)
    entries = {
        name: {"configurations": 2, "resources": {"memory_mb": mb}} for name, mb in {"pool": 300, "wide": 700}.items()
    }
    _search(data, _recipe(tmp_path, entries), tmp_path / "run", workers=Workers(cpus=2, max_concurrent=1))
    footers = sorted((read_footer(path) for path in prediction_files(tmp_path / "run")), key=lambda f: f.started_s)
    assert len(footers) == 8 and len({footer.worker for footer in footers}) == 1
    assert all(one.started_s + one.wall_s <= two.started_s for one, two in pairwise(footers))
    assert [line.split(", ")[0] for line in lines] == [
        *(f"{n} trials are left" for n in range(7, 1, -1)),
        "1 trial is left",
        "",
    ]


@pytest.mark.slow
def test_asha_stops_trials_and_keeps_them_stopped(data, tmp_path, capfd):
    entries = {"pool": {"configurations": 12, "max_epochs": 30}, "pool_mean": {"configurations": 4, "max_epochs": 2}}
    recipe = _recipe(tmp_path, entries, asha={"grace_epochs": 2, "reduction": 2})
    status = _search(data, recipe, tmp_path / "run", workers=Workers(cpus=2))
    pool, mean = status.entries
    assert pool.pruned > 2 and pool.finished + pool.pruned == 24 and pool.left == 0
    assert (mean.finished, mean.pruned) == (8, 0)
    outcomes = list(Layout(tmp_path / "run").outcomes())
    assert {outcome.status for outcome in outcomes} == {"pruned"} and len(outcomes) == pool.pruned
    assert "stopped early by ASHA after 2 epochs" in {outcome.reason for outcome in outcomes}
    before = _files(tmp_path / "run")
    again = _search(data, recipe, tmp_path / "run", workers=Workers(cpus=2))
    assert _files(tmp_path / "run") == before and again.entries == status.entries


@pytest.mark.slow
def test_ray_and_this_process_give_the_same(data, tmp_path, plain):
    out, _ = plain
    _search(data, _recipe(tmp_path), tmp_path / "run", workers=Workers(cpus=2))
    assert set(_files(tmp_path / "run")) == set(_files(out))
    for path in prediction_files(out):
        twin = tmp_path / "run" / path.relative_to(out)
        assert np.array_equal(read_predictions(path).probabilities, read_predictions(twin).probabilities)


def test_damaged_predictions_are_told_and_trained_again(data, tmp_path, capsys):
    recipe, out = _recipe(tmp_path, {"pool": {"configurations": 2}}), tmp_path / "run"
    _search(data, recipe, out)
    path, *_ = prediction_files(out)
    before, whole, files = read_predictions(path), path.read_bytes(), _files(out)
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 4]) + whole[101:])
    status = read_status(Layout(out))
    assert (status.entries[0].finished, status.left) == (3, 1)
    (told,) = status.damaged
    assert told.startswith(f"{path}: expected a prediction file, but its bytes are not those that were written; run ")
    assert told in full_text(status)
    capsys.readouterr()
    status = _search(data, recipe, out)
    assert (status.entries[0].finished, status.left, status.damaged) == (4, 0, ())
    again = read_predictions(path)
    assert (again.probabilities == before.probabilities).all() and again.footer.metrics == before.footer.metrics
    assert {name: file for name, file in _files(out).items() if name != path.stem} == {
        name: file for name, file in files.items() if name != path.stem
    }
    said = [line for line in capsys.readouterr().err.splitlines() if "not those that were written" in line]
    assert said == [
        f"{path}: expected a prediction file, but its bytes are not those that were written; it is now "
        f".{path.name}.damaged, and its trial is trained again."
    ]


def test_the_lag_is_chosen_once_and_stands_in_run_json(data, tmp_path):
    out, recipe = tmp_path / "run", _recipe(tmp_path, {"pool": {"configurations": 1}})

    def lags():
        return json.loads((out / "run.json").read_text())["lags"]

    _search(data, recipe, out)
    assert lags() == {"pool": 2}
    changed = {**json.loads((out / "run.json").read_text()), "lags": {"pool": 5}}
    changed.pop("content_sha256")
    (out / "run.json").write_text(json.dumps(changed))
    _search(data, _recipe(tmp_path, {"pool": {"configurations": 2}}), out)
    assert lags() == {"pool": 5}
    changed.pop("lags")  # as earlier releases wrote it
    (out / "run.json").write_text(json.dumps(changed))
    _search(data, _recipe(tmp_path, {"pool": {"configurations": 2}, "pool_mean": {"configurations": 1}}), out)
    assert lags() == {"pool": 8, "pool_mean": 2}


@pytest.mark.slow
def test_a_budget_stops_trials_on_ray_at_their_checkpoints_and_a_larger_one_goes_on(data, tmp_path, monkeypatch):
    out, begun = tmp_path / "run", []

    def seconds(worked):  # the budget is over once a trial is under way, however long Ray takes to start
        begun.extend([] if begun else out.glob("running/[!s.]*.json"))
        return 16.0 if begun else 0.0

    monkeypatch.setattr("search.budget.worked.Worked.seconds", property(seconds))
    slow = {**SLOW_TRIALS["pool"], "fixed": {**SLOW_TRIALS["pool"]["fixed"], "batch_size": 1, "hidden": 150_000}}
    recipe = _recipe(tmp_path, {"pool": slow}, budget={"hours": 15 / 3600})
    status = _search(data, recipe, out, workers=Workers(cpus=2))
    (pool,) = status.entries
    assert (pool.failed, pool.pruned) == (0, 0) and pool.left > 0
    assert list(out.glob("checkpoints/*/*")) and not list(Layout(out).outcomes())
    spent = status.books.spent
    assert 0 < spent.of("pool").hours < 2 * spent.hours
    again = _search(data, recipe, out, workers=Workers(cpus=2))
    assert again.entries == status.entries and again.books.spent.of("pool") == spent.of("pool")
    entries = {"pool": {**slow, "budget": {"trials": pool.finished + 2}}}
    more = _search(data, _recipe(tmp_path, entries, budget={"hours": 1}), out, workers=Workers(cpus=2))
    assert more.entries[0].finished == pool.finished + 2
