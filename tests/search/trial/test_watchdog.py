"""Trials that hang end their own process, each in a child of this one."""

import ctypes
import os
import time
from dataclasses import replace

import pytest
from small_world import CENTROID, FAMILIES, Centroid

from models import pulse
from search.run.layout import Outcome
from search.study.plan import entry_spec
from search.trial.attempts import after_loss, attempt_trial
from search.trial.watchdog import clear_hung, waiting, watched

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}


@pytest.fixture
def run(small_run):
    entry = {"configurations": 2, "resources": {"stall_s": 1.0}}
    return small_run(stages=[{"stage": "clips", "entries": {"centroid": entry}}])


@pytest.fixture
def spec(run):
    return entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train")


@pytest.fixture
def family(monkeypatch):
    """Makes a model's `fit` begin with `do()`."""

    def make(do):
        class Doing(Centroid):
            def fit(self, *args, **options):
                do()
                return super().fit(*args, **options)

        monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Doing))

    return make


def _in_a_child(do) -> int:
    """The exit code of a process that does `do()`."""
    child = os.fork()
    if child == 0:
        os._exit(0 if do() else 3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_trial_that_hangs_is_on_record(run, spec, family):
    family(lambda: time.sleep(60))
    started = time.monotonic()
    assert _in_a_child(lambda: attempt_trial(spec)) == 1
    assert time.monotonic() - started < 30
    outcome = run.outcome(spec.trial_key)
    assert (outcome.status, outcome.kind) == ("failed", "hung")
    assert outcome.reason == "hung: no batch or epoch finished for 1 s (stall_s under the entry's resources)"
    assert "in fit" in (run.path / outcome.traceback).read_text()
    assert [path.suffix for path in (run.path / "trials").iterdir()] in ([".json", ".txt"], [".txt", ".json"])
    assert after_loss(spec, out_of_memory=True) == ""
    assert attempt_trial(spec).kind == "hung"


def test_native_code_that_keeps_pythons_lock(run, spec, family):
    family(lambda: ctypes.PyDLL(None).sleep(60))
    assert _in_a_child(lambda: attempt_trial(spec)) == 1
    assert run.outcome(spec.trial_key) is None and after_loss(spec, out_of_memory=False) == ""
    result = attempt_trial(spec)
    assert (result.kind, result.reason) == ("hung", "hung: native code held Python's lock for 2 s")
    assert "in fit" in (run.path / run.outcome(spec.trial_key).traceback).read_text()


def test_a_trial_that_takes_too_long(run, spec, family):
    def slow():
        for _ in range(600):
            time.sleep(0.1)
            pulse.beat()

    family(slow)
    spec = replace(spec, stall_s=10.0, time_limit_s=1.5)
    assert _in_a_child(lambda: attempt_trial(spec)) == 1
    assert run.outcome(spec.trial_key).reason == (
        "hung: not finished after 1.5 s (time_limit_s under the entry's resources)"
    )


def test_slow_is_not_stuck(run, spec, family):
    def slow():
        for _ in range(8):
            time.sleep(0.2)
            pulse.beat()
        with waiting():
            time.sleep(1.5)

    family(slow)
    assert attempt_trial(spec).status == "finished"
    assert not (run.path / "trials").exists() or not list((run.path / "trials").iterdir())


def test_without_limits_nothing_is_watched(run, spec):
    with watched(replace(spec, stall_s=None, time_limit_s=None)):
        assert not (run.path / "trials").exists()


def test_what_killed_processes_left_is_cleared_and_evidence_kept(run, spec):
    folder = run.path / "trials"
    folder.mkdir()
    for name, text in (("killed", ""), ("hung", "Thread 1"), ("recorded", "Thread 1")):
        (folder / f".{name}.hung").write_text(text)
    run.write_outcome(Outcome("recorded", "c", "failed", "hung: x", "svm", "e", "train"))
    with watched(spec):
        assert sorted(clear_hung(run.path)) == ["killed", "recorded"]
        assert {path.name for path in folder.glob(".*.hung")} == {".hung.hung", f".{spec.trial_key}.hung"}
    assert clear_hung(run.path) == []
