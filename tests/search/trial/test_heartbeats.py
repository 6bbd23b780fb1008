import json
import os
import socket
import threading
import time

import pytest

from search.run.spec import TrialSpec
from search.trial import heartbeats
from search.trial.heartbeats import STALE_S, beating, read_running, read_search, searching


@pytest.fixture
def spec(tmp_path):
    return TrialSpec(str(tmp_path), "", "", "clips", "lstm", "lstm", 1, {}, {}, "f", 0, 9, {"lr": 0.1}, "train")


def _wait_for(condition):
    end = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_a_trial_tells_where_it_stands_while_it_runs(spec, tmp_path):
    heard = []
    with beating(spec, lambda epoch, metrics: heard.append(epoch), every_s=0.02) as report:
        report(1, {"loss": 2.0, "accuracy": 0.25})
        report(2, {"loss": 1.0, "accuracy": 0.5})
        (beat,) = _wait_for(lambda: [b for b in read_running(tmp_path) if b.epoch == 2])
        report(1, {"loss": 3.0})
        (again,) = _wait_for(lambda: [b for b in read_running(tmp_path) if b.epoch == 1])
    assert heard == [1, 2, 1] and not read_running(tmp_path)
    assert (beat.trial_key, beat.entry, beat.max_epochs, beat.pid) == (spec.trial_key, "lstm", 9, os.getpid())
    assert beat.curve[0] == {"epoch": 1, "loss": 2.0, "accuracy": 0.25} and beat.usage.memory_mb > 10
    assert [row["loss"] for row in again.curve] == [3.0]


def test_a_short_trial_writes_nothing(spec, tmp_path):
    with beating(spec, None) as report:
        report(1, {})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_does_not_end_a_trial(spec, tmp_path):
    (tmp_path / "running").write_text("no folder")
    with beating(spec, None, every_s=0.01):
        time.sleep(0.05)


def _leave(tmp_path, spec, **changes):
    beat = {
        "trial_key": spec.trial_key,
        "config_key": "c",
        "entry": "lstm",
        "partition": "train",
        "started_s": 1.0,
        "host": "elsewhere",
        "pid": 1,
        "curve": [],
        "usage": {"gpu": "0 (H200)", "newer": 1},
        **changes,
    }
    path = tmp_path / "running" / "key.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(beat))
    return path


def test_what_is_no_longer_written_does_not_run(spec, tmp_path):
    path = _leave(tmp_path, spec, newer="a later release's")
    assert [beat.usage.gpu for beat in read_running(tmp_path)] == ["0 (H200)"]
    os.utime(path, (time.time(), time.time() - STALE_S - 1))
    assert not read_running(tmp_path)
    _leave(tmp_path, spec, host=socket.gethostname(), pid=2**22 + 1)
    assert not read_running(tmp_path)
    _leave(tmp_path, spec).write_text("{")
    assert not read_running(tmp_path)


def test_a_clock_that_is_ahead_keeps_nobody_alive(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeats, "_LOOK_S", 0.4)
    path = _leave(tmp_path, spec)
    ahead = time.time() + 3600
    os.utime(path, (ahead, ahead))
    assert not read_running(tmp_path)
    assert not read_running(tmp_path)
    beats = threading.Timer(0.1, lambda: os.utime(path, (ahead + 5, ahead + 5)))
    heartbeats._seen.clear()
    beats.start()
    assert read_running(tmp_path)  # its driver lives, whatever its clock says
    beats.join()
    time.sleep(0.5)
    assert not read_running(tmp_path)


def test_the_driver_tells_of_itself(tmp_path):
    with searching(tmp_path, lambda: "http://127.0.0.1:8265", every_s=0.02):
        beat = _wait_for(lambda: read_search(tmp_path))
        assert (beat.pid, beat.dashboard) == (os.getpid(), "http://127.0.0.1:8265") and not read_running(tmp_path)
    assert read_search(tmp_path) is None
