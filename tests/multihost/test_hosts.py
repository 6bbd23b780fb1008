"""Searches on several hosts: looked at, struck by lost hosts, a lost head and a cut link, and run as Ray jobs."""

import json
import re
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from lab import PORT, SHARED

from search.run.layout import Layout
from search.run.predictions import prediction_files, read_predictions

pytestmark = pytest.mark.multihost
JOBS = "--address http://head:8265"


def _command(world, recipe, out, what="run"):
    return f"python -m emofuse search {what} {recipe} {world.where} -o {SHARED}/{out}"


def _keys(run):
    return {path.stem: path.stat().st_mtime_ns for path in prediction_files(run)}


def _wait_for(condition, process=None, limit_s=240):
    end = time.monotonic() + limit_s
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _finished_once(lines):
    """By trial key (its first eight letters) how often the driver said that it ended."""
    return Counter(re.findall(r"  pool (\w{8}) train: held-out", lines))


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """The keys and probabilities that a recipe's search gives where nothing happens."""

    def search(recipe, out):
        place = tmp_path_factory.mktemp("plain") / out
        path = world.folder / recipe.rpartition("/")[2]
        where = ["--clips", world.folder / "clips.parquet", "--features", world.folder / "store", "-o", place]
        words = [sys.executable, "-m", "emofuse", "search", "run", path, *where, "--in-process"]
        subprocess.run([str(word) for word in words], check=True, capture_output=True)
        return {path.stem: read_predictions(path).probabilities for path in prediction_files(place)}

    return search


def _same(run, expected):
    found = {path.stem: read_predictions(path).probabilities for path in prediction_files(run)}
    assert set(found) == set(expected)
    assert all(np.array_equal(found[key], expected[key]) for key in found)
    assert not list(Layout(run).outcomes()) and not list(run.glob("checkpoints/*")) and not (run / ".tune").exists()


def test_a_host_loses_power(hosts, world, undisturbed):
    recipe, run = world.recipe("power"), hosts.shared / "power"
    looked = hosts.head.run(_command(world, recipe, "power", "doctor") + " --address auto --json")
    found = {(f["level"], f["about"]): f["text"] for f in json.loads(looked.stdout)["findings"]}
    assert found["ok", "storage"] == f"{SHARED}/power is read and written by all 3 nodes"
    assert found["ok", "access"] == f"{hosts.head.address}:{PORT} turns away whoever has no token"
    assert found["ok", "features"] == "voice: the same fingerprints on all 3 nodes"
    driver = hosts.head.start(_command(world, recipe, "power") + " --address auto")
    _wait_for(lambda: len(_keys(run)) >= 2, driver)
    hosts.kill(hosts.workers[0])
    kept = _keys(run)
    _, lines = driver.communicate(timeout=300)
    assert driver.returncode == 0 and "it goes on from its checkpoint in another one" in lines, lines
    assert kept.items() <= _keys(run).items() and set(_finished_once(lines).values()) == {1}
    _same(run, undisturbed(recipe, "power"))


def test_storage_that_is_not_shared_is_a_problem(hosts, world):
    recipe = world.recipe("apart")
    words = f"python -m emofuse search doctor {recipe} {world.where} -o /tmp/apart --address auto"
    looked = hosts.head.run(words, check=False)
    assert looked.returncode == 1
    for worker in hosts.workers:
        assert f"{worker.address}: /tmp/apart is not shared, it does not see" in looked.stdout
    assert not (hosts.workers[0].own / "apart").exists() and not (hosts.head.own / "apart").exists()
    refused = hosts.head.run(words, limit_s=60, check=False, RAY_AUTH_MODE="disabled")
    assert refused.returncode == 1 and "expected a running Ray cluster, but" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_cut_link_leaves_two_workers_with_one_trial(hosts, world, undisturbed):
    long = {"hidden": 256, "batch_size": 16, "lr": 2e-4, "pool": "max", "pool_at": "hidden"}
    recipe, run = world.recipe("cut", configurations=3, reads="drone", fixed=long), hosts.shared / "cut"
    driver = hosts.head.start(_command(world, recipe, "cut") + " --address auto")
    apart = hosts.workers[1]
    _wait_for(lambda: len(list(run.glob("checkpoints/*"))) == 2, driver)
    hosts.cut(apart, 30)
    _, lines = driver.communicate(timeout=600)
    assert driver.returncode == 0 and "it goes on from its checkpoint in another one" in lines, lines
    assert set(_finished_once(lines).values()) == {1} and len(_keys(run)) == 3
    _same(run, undisturbed(recipe, "cut"))


def test_the_head_is_lost_and_the_same_command_goes_on(hosts, world, undisturbed):
    recipe, run = world.recipe("head"), hosts.shared / "head"
    command = _command(world, recipe, "head") + " --address auto"
    driver = hosts.head.start(command)
    _wait_for(lambda: len(_keys(run)) >= 2, driver)
    hosts.kill(hosts.head)
    driver.communicate(timeout=60)
    hosts.stop_ray()
    kept = _keys(run)  # only now: a worker trains its trial to the end without a driver
    assert 2 <= len(kept) < 8
    hosts.start_ray()
    again = hosts.head.run(command)
    assert kept.items() <= _keys(run).items() and len(_finished_once(again.stderr)) == 8 - len(kept)
    _same(run, undisturbed(recipe, "head"))


def test_a_job_is_stopped_and_submitted_again(hosts, world, undisturbed):
    recipe, run = world.recipe("job"), hosts.shared / "job"
    search = _command(world, recipe, "job") + " --address auto"
    hosts.laptop.run(f"ray job submit {JOBS} --submission-id first --no-wait -- {search}")
    _wait_for(lambda: len(_keys(run)) >= 2)
    hosts.laptop.run(f"ray job stop {JOBS} first")
    kept = _keys(run)
    assert 2 <= len(kept) < 8
    told = hosts.laptop.run(f"ray job logs {JOBS} first").stdout
    assert "the same command goes on where this one stopped" in told
    again = hosts.laptop.run(f"ray job submit {JOBS} --submission-id second -- {search}")
    assert "8 of 8  pool" in again.stdout and kept.items() <= _keys(run).items()
    _same(run, undisturbed(recipe, "job"))
