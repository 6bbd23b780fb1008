"""A Ray that dies, hangs or is out of reach, played by a script; ../test_failures_on_ray.py kills real ones."""

import os
import subprocess
import threading
import time

import pytest
from small_world import message

from features.errors import EmofuseError
from search.cluster import ray_driver
from search.cluster.capacity import Capacity, Node
from search.cluster.jobs import Job
from search.cluster.ray_driver import RayDriver
from search.cluster.ray_process import EXIT_CODES, RayWatch
from search.run.ending import Ending
from search.run.spec import TrialSpec

HERE = Capacity((Node("127.0.0.1", 1, 0, 1000),), own=True)
# What a process does that talks to Ray; `turn` counts how often it was started.
PLAY = """
import os, sys, time
from multiprocessing.connection import Connection
from pathlib import Path
c = Connection(int(sys.argv[1]))
sys.path[:] = c.recv()
from search.cluster.capacity import Capacity, Node
from search.run.ending import Ending
count = Path({count!r})
turn = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (turn + 1))
start = c.recv()
def ask(*message):
    c.send((message[0], message[1:]))
    return c.recv()[0]
ready = lambda: c.send(("ready", (Capacity((Node("127.0.0.1", 1, 0, 1000),), own=True),)))
def work():
    c.recv()
    while (job := ask("next")) is not None:
        ask("end", job, Ending("finished", 0.5, 1))
    c.send(("done", ()))
    c.recv()
{act}
"""


class Source:
    """Two trials, and what became of them."""

    asha, max_epochs = None, {"lstm": 1}

    def __init__(self):
        self.jobs = [
            Job(n, TrialSpec("run", "clips", "store", "clips", "lstm", "lstm", 1, {}, {}, "f", 0, 9, {"n": n}))
            for n in range(2)
        ]
        self.ended, self.lost_jobs, self.stop = [], [], False

    exhausted = property(lambda self: not self.jobs)

    def next(self):
        return self.jobs.pop(0) if self.jobs else None

    def put_back(self, job):
        self.jobs.insert(0, job)

    def end(self, job, ending):
        self.ended.append((job.number, ending))

    def lost(self, job, out_of_memory):
        self.lost_jobs.append(job.number)

    def stopping(self):
        return self.stop


@pytest.fixture
def play(tmp_path, monkeypatch):
    """`play(act)`: a driver whose process does this."""

    def make(act, address=None):
        code = PLAY.format(count=str(tmp_path / "count"), act=act)
        monkeypatch.setattr(ray_driver, "_CODE", code)
        return RayDriver(tmp_path, address, None, False)

    return make


def test_trials_that_ran_when_ray_died_go_on_in_the_next(play, capsys):
    source = Source()
    act = f"ready()\nif turn == 0:\n    c.recv(); ask('next'); ask('next'); os._exit({EXIT_CODES['raylet']})\nwork()"
    with play(act) as driver:
        driver.train(source, driver.start())
    assert source.lost_jobs == [1, 0] and source.ended == [(n, Ending("finished", 0.5, 1)) for n in (0, 1)]
    assert "Ray on this machine died: its raylet ended; starting it again (1 of 3)" in capsys.readouterr().err


def test_a_module_of_the_scripts_folder_is_not_in_the_way(play, monkeypatch, tmp_path):
    (tmp_path / "search.py").write_text("raise RuntimeError('not ours')")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = Source()
    with play("ready()\nwork()") as driver:
        driver.train(source, driver.start())
    assert len(source.ended) == 2


def test_deaths_without_a_trial_that_ended_between_are_bounded(play, capsys, monkeypatch):
    monkeypatch.setattr(ray_driver, "MAX_DEATHS", 1)
    with play("os._exit(81)") as driver:
        told = message(driver.start, error=EmofuseError)
    assert told.startswith("Ray on this machine died 2 times, and no trial ended between; the last time: its control ")
    assert told.count("run the same command") == 1 and capsys.readouterr().err.count("starting it again (1 of 1)") == 1


def test_a_trial_during_which_ray_keeps_dying_fails(play, monkeypatch):
    source = Source()
    monkeypatch.setattr(ray_driver, "MAX_DEATHS_OF_A_TRIAL", 1)
    act = "ready()\nif turn < 2:\n    c.recv(); ask('next'); os._exit(82)\nwork()"
    source.jobs = source.jobs[:1]
    with play(act) as driver:
        driver.train(source, driver.start())
    assert source.ended == [(0, Ending("failed", reason="Ray died 2 times while it ran", kind="lost"))]


def test_a_process_that_hangs_counts_as_dead_and_is_heard_of_no_more(play, monkeypatch):
    monkeypatch.setattr(ray_driver, "_SILENT_S", 0.5)
    monkeypatch.setattr(ray_driver, "MAX_DEATHS", 0)
    source, before = Source(), time.time()
    with play("ready()\nc.recv()\nask('stopping')\ntime.sleep(60)") as driver:
        capacity = driver.start()
        assert capacity == HERE and driver.heard_s >= before
        assert "nothing was heard of it for 0 s" in message(driver.train, source, capacity, error=EmofuseError)
        assert driver.heard_s is None


def test_a_stopping_search_starts_no_other_ray(play, tmp_path):
    source = Source()
    source.stop = True
    with play("ready()\nc.recv()\nos._exit(82)") as driver:
        driver.train(source, driver.start())
    assert (tmp_path / "count").read_text() == "x"


def test_errors_of_the_other_process_are_told_here(play):
    with play("from features.errors import EmofuseError as E\nc.send(('error', (E('no such cluster'),)))") as driver:
        assert message(driver.start, error=EmofuseError) == "no such cluster"
    with play("ready()\nc.recv()\nos._exit(1)", "10.0.0.1:6379") as driver:
        told = message(driver.train, Source(), driver.start(), error=EmofuseError)
    assert told.startswith(
        "--address 10.0.0.1:6379: the cluster is out of reach (the process that talks to it ended "
        "with code 1); see whether its head works"
    )


def test_the_watch_ends_a_process_whose_raylet_dies():
    child = os.fork()
    if child == 0:
        watch, raylet = RayWatch(own=True), subprocess.Popen(["sleep", "60"])
        watch.follow("raylet", raylet)
        time.sleep(0.5)
        raylet.kill()
        threading.Event().wait(20)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == EXIT_CODES["raylet"]


def test_the_watch_ends_a_process_whose_parent_is_gone(tmp_path):
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            RayWatch(own=False)
            threading.Event().wait(20)
            (tmp_path / "lives").touch()
            os._exit(0)
        time.sleep(0.3)
        os._exit(0)
    os.waitpid(parent, 0)
    time.sleep(1.0)
    assert not (tmp_path / "lives").exists()
