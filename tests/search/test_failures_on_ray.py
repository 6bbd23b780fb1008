"""What breaks in a worker on Ray becomes a recorded result or costs nothing, and the search goes on."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from listeners import command, family

from features.clips import Clip, ClipTable, write_clips
from features.sets import FeatureArray
from features.store.store import SetWriter
from search.run.layout import Layout
from search.run.predictions import prediction_files, read_footer, read_predictions

pytestmark = pytest.mark.slow

CLASSES = ("angry", "happy")
ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
ENTRY = {
    "family": "temporal_pooling",
    "configurations": 8,
    "inputs": {"frames": "voice"},
    "max_epochs": 40,
    "published": False,
    "fixed": {"hidden": 64, "batch_size": 16},
    "resources": {"stall_s": 90.0},
}


@pytest.fixture
def search(tmp_path):
    """`search(orders)` does a search on Ray in a process of its own; returns its exit code and what it said."""
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"{split}-{i}", None, split, CLASSES[i % 2], f"{split}-{i}")
        for split in ("train", "val")
        for i in range(12)
    ]
    write_clips(ClipTable(tuple(clips), tmp_path), tmp_path / "clips.parquet")
    ids = tuple(clip.clip_id for clip in clips)
    writer = SetWriter(tmp_path / "store", "voice", "k1", ids, "frame", (4,), imported=True)
    for clip in clips:
        writer.add(clip.clip_id, FeatureArray(rng.normal(size=(5, 4)).astype(np.float32), np.arange(5.0)))
    writer.finish()
    stages = [{"stage": "clips", "entries": {"pool": ENTRY}}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"name": "small", "asha": None, "stages": stages}))
    (tmp_path / "orders").mkdir()

    def start(out="run"):
        path = os.pathsep.join([str(HERE / "sabotage"), str(ROOT)])
        command = [
            "search",
            "run",
            str(tmp_path / "recipe.yaml"),
            "--clips",
            str(tmp_path / "clips.parquet"),
            "--features",
            str(tmp_path / "store"),
            "-o",
            str(tmp_path / out),
            "--cpus",
            "1",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "emofuse", *command],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "EMOFUSE_SABOTAGE": str(tmp_path / "orders")},
        )

    def go(*orders, out="run"):
        for order in orders:
            (tmp_path / "orders" / f"{order}.order").touch()
        driver = start(out)
        _, told = driver.communicate(timeout=600)
        return driver.returncode, told

    go.start = start
    return go


def test_each_failure_is_told_apart_and_the_search_goes_on(search, tmp_path):
    code, told = search("hang", "cuda", "kill", "error")
    assert code == 0, told
    layout = Layout(tmp_path / "run")
    outcomes = {outcome.kind: outcome for outcome in layout.outcomes()}
    assert {kind: outcome.reason for kind, outcome in outcomes.items()} == {
        "error": "RuntimeError: the device is on fire",
        "hung": "hung: no batch or epoch finished for 90 s (stall_s under the entry's resources)",
    }
    for outcome in outcomes.values():
        assert "one_epoch" in (layout.path / outcome.traceback).read_text()
    batches = [read_footer(path).batch_size for path in prediction_files(layout.path)]
    assert sorted(batches) == [8, 16, 16, 16, 16, 16]
    assert told.count("its process died; it goes on from its checkpoint") == 1
    assert not list(layout.path.glob("checkpoints/*"))
    assert search()[0] == 0 and len(list(layout.outcomes())) == 2


def _ray_process(driver, name, limit_s=120):
    """The pid of the control service or raylet of a search."""
    until = time.monotonic() + limit_s
    while driver.poll() is None and time.monotonic() < until:
        for pid in family(driver.pid):
            if Path(command(pid).split(" ")[0]).name == name:
                return pid
        time.sleep(0.02)
    raise AssertionError(driver.communicate())


@pytest.mark.parametrize("when", ["at the start", "in the middle"])
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_ray_that_dies_is_started_again(search, tmp_path, name, when):
    assert search(out="whole")[0] == 0
    driver, layout = search.start(), Layout(tmp_path / "run")
    if when == "in the middle":
        until = time.monotonic() + 200
        while driver.poll() is None and time.monotonic() < until and not prediction_files(layout.path):
            time.sleep(0.02)
    os.kill(_ray_process(driver, name), signal.SIGKILL)
    killed = time.monotonic()
    told = ""
    while "starting it again" not in told:
        line = driver.stderr.readline()
        assert line, told
        told += line
    assert time.monotonic() - killed < 30
    told += driver.communicate(timeout=300)[1]
    assert driver.returncode == 0 and "Traceback" not in told, told
    assert re.search(r"Ray on this machine died: .*; starting it again \(1 of 3\)", told)
    assert len(prediction_files(layout.path)) == 8 and not list(layout.outcomes())
    _same(tmp_path)


def test_a_ray_that_keeps_dying_ends_the_search_with_a_sentence(search, tmp_path):
    driver = search.start()
    for _ in range(4):
        pid = _ray_process(driver, "gcs_server")
        os.kill(pid, signal.SIGKILL)
        while command(pid):
            time.sleep(0.02)
    told = driver.communicate(timeout=120)[1]
    assert driver.returncode == 1 and "Traceback" not in told
    assert re.search(r"emofuse: Ray on this machine died 4 times, and no trial ended between; the last time: ", told)
    assert search()[0] == 0 and len(prediction_files(tmp_path / "run")) == 8


def test_a_process_that_the_kernel_kills_for_its_memory(search, tmp_path):
    group = Path("/sys/fs/cgroup/memory")
    if os.geteuid() or not (group / "memory.limit_in_bytes").exists():
        pytest.skip("limiting memory takes root and control groups of version 1")
    code, told = search("memory")
    (group / "emofuse_test").rmdir()
    assert code == 0 and "killed for lack of memory; again with batches of 8" in told
    assert sorted(read_footer(path).batch_size for path in prediction_files(tmp_path / "run")) == [8] + 7 * [16]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_a_signal_lets_running_trials_write_their_checkpoint(search, tmp_path, number, code):
    slow = tmp_path / "orders" / "slow"
    slow.touch()
    driver, layout = search.start(), Layout(tmp_path / "run")
    until = time.monotonic() + 200
    while driver.poll() is None and time.monotonic() < until:
        if prediction_files(layout.path) and (tmp_path / "orders" / "epoch").read_text() == "3":
            break  # a later trial is in its fourth epoch
        time.sleep(0.02)
    driver.send_signal(number)
    _, told = driver.communicate(timeout=120)
    assert driver.returncode == code and "Stopping when the running epochs are done" in told
    assert "the same command goes on where this one stopped" in told and "Traceback" not in told
    assert len(list(layout.path.glob("checkpoints/*/training.pt"))) == 1
    assert not list(layout.outcomes()) and not (layout.path / ".stop").exists()
    slow.unlink()
    assert search()[0] == 0 and len(prediction_files(layout.path)) == 8


def test_a_driver_that_is_killed_until_the_search_is_done(search, tmp_path):
    assert search(out="whole")[0] == 0
    (tmp_path / "orders" / "slow").touch()
    moments, kept, kills, code = random.Random(0), {}, 0, None
    while code is None:
        driver = search.start()
        try:
            # Later and later: on a busy machine the first ones strike before Ray is up.
            driver.communicate(timeout=moments.uniform(6, 20) * 1.3**kills)
            code = driver.returncode
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.communicate()
            kills += 1
        files = {path: path.stat().st_ino for path in prediction_files(tmp_path / "run")}
        assert kept.items() <= files.items()
        kept = files
        if kills == 3:
            (tmp_path / "orders" / "slow").unlink(missing_ok=True)
    assert code == 0 and kills and len(kept) == 8
    _same(tmp_path)


def _same(folder):
    """The searches `run` and `whole` came to the same."""
    for path in prediction_files(folder / "whole"):
        twin = folder / "run" / path.relative_to(folder / "whole")
        assert np.array_equal(read_predictions(path).probabilities, read_predictions(twin).probabilities)


def test_a_full_disk_stops_the_search_and_the_same_command_goes_on(search, tmp_path):
    assert search(out="whole")[0] == 0
    code, told = search("full")
    assert code == 1 and "Traceback" not in told
    assert f"emofuse: {tmp_path}/run: expected to write here, but the disk is full (seen from " in told
    assert not list(Layout(tmp_path / "run").outcomes())
    assert search()[0] == 0
    _same(tmp_path)
