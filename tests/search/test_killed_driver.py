"""A driver that is killed at random moments, many times over, until its search is done."""

import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from small_world import CENTROID, FAMILIES, Centroid

import features.files
from search.cluster.workers import Workers
from search.run.predictions import prediction_files, read_predictions
from search.runner import run_search
from search.watch.status import read_status


class Slow(Centroid):
    """Takes its time over an epoch."""

    def predict(self, examples):
        time.sleep(0.005)
        return super().predict(examples)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sampler", ["random", pytest.param("tpe", marks=pytest.mark.slow)])
def test_killed_until_it_is_done(small_run, tmp_path, monkeypatch, sampler, seed):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Slow))
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 6}}}]
    run = small_run(partitions=["train", "swap"], stages=stages, sampler=sampler, keep=1)

    def search(out):
        return run_search(run.recipe, clips=run.clips, store=run.store, out=out, workers=Workers(in_process=True))

    whole = search(tmp_path / "whole")
    moments, kept, kills = random.Random(seed), {}, 0
    while True:
        driver = os.fork()
        if driver == 0:
            os._exit(0 if search(run.path).left == 0 else 3)
        end = time.monotonic() + moments.uniform(0.0, 0.7)
        done = (0, 0)
        while done == (0, 0) and time.monotonic() < end:
            time.sleep(0.005)
            done = os.waitpid(driver, os.WNOHANG)
        if done != (0, 0):
            assert os.waitstatus_to_exitcode(done[1]) == 0
            break
        os.kill(driver, signal.SIGKILL)
        os.waitpid(driver, 0)
        kills += 1
        files = {path: path.stat().st_ino for path in prediction_files(run.path)}
        assert kept.items() <= files.items()
        kept = files
    files = {path: path.stat().st_ino for path in prediction_files(run.path)}
    assert kills and kept.items() <= files.items()
    assert read_status(run).entries == whole.entries
    for path in files:
        twin = tmp_path / "whole" / path.relative_to(run.path)
        np.testing.assert_array_equal(read_predictions(path).probabilities, read_predictions(twin).probabilities)
    monkeypatch.setattr(features.files, "_LEFT_S", 0.0)
    assert search(run.path).left == 0  # clears away what was being written when it was killed
    models = {path.name for path in (run.path / "models").iterdir() if path.is_dir()}
    assert models == {path.name for path in (tmp_path / "whole" / "models").iterdir() if path.is_dir()}
    assert not list((run.path / "checkpoints").iterdir())
