"""Trials that fail: recorded with kind, reason and traceback; half the batch once when memory runs out."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_world import CENTROID, FAMILIES, Centroid, message

from features.errors import Diverged, EmofuseError, MachineFault
from search.cluster.losses import MemoryKills, killed_for_memory
from search.run.failures import kind_of
from search.run.predictions import read_footer
from search.study.plan import entry_spec
from search.trial.attempts import after_loss, attempt_trial

POINT = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}


@pytest.fixture
def run(small_run):
    return small_run()


@pytest.fixture
def spec(run):
    return entry_spec(run, *run.recipe.entry("centroid")).at(POINT, "train")


def _build(monkeypatch, build):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=build))


class Greedy(Centroid):
    """Runs out of memory with batches of more than four."""

    error = MemoryError("unable to allocate 9 GiB")

    def fit(self, *args, **options):
        if self.hyperparameters["batch_size"] > 4:
            raise self.error
        return super().fit(*args, **options)


def test_a_failure_is_on_record_until_it_is_cleared(run, spec, monkeypatch):
    _build(monkeypatch, lambda hp, context: 1 / 0)
    result = attempt_trial(spec)
    assert (result.status, result.kind, result.value) == ("failed", "error", None)
    (outcome,) = run.outcomes()
    assert (outcome.trial_key, outcome.kind, outcome.hyperparameters) == (spec.trial_key, "error", POINT)
    assert outcome.reason == result.reason == "ZeroDivisionError: division by zero"
    assert outcome.traceback == f"trials/{spec.trial_key}.txt"
    assert "1 / 0" in (run.path / outcome.traceback).read_text()
    _build(monkeypatch, Centroid)
    assert attempt_trial(spec).reason == result.reason
    run.clear_outcome(spec.trial_key)
    assert attempt_trial(spec).status == "finished" and run.outcome(spec.trial_key) is None


@pytest.mark.parametrize("error", [Greedy.error, torch.OutOfMemoryError("tried to allocate 9 GiB")])
def test_half_the_batch_once(run, spec, monkeypatch, error):
    _build(monkeypatch, Greedy)
    monkeypatch.setattr(Greedy, "error", error)
    spec = spec.at({**POINT, "batch_size": 8}, "train")
    result = attempt_trial(spec)
    footer = read_footer(result.path)
    assert (footer.trial_key, footer.hyperparameters["batch_size"], footer.batch_size) == (spec.trial_key, 8, 4)
    assert not run.checkpoint_folder(spec.trial_key).exists()
    result = attempt_trial(spec.at({**POINT, "batch_size": 16}, "train"))
    assert (result.status, result.kind) == ("failed", "out_of_memory")
    assert result.reason == f"Out of memory, also with batches of 8: {error}; give it more memory or smaller batches."


def test_memory_that_really_runs_out(run, spec, monkeypatch):
    _build(monkeypatch, lambda hp, context: np.ones(1 << 50))
    assert attempt_trial(spec).reason.startswith("Out of memory: Unable to allocate 8.00 PiB for an array")


def test_whoever_goes_on_keeps_the_half_batch(run, spec, monkeypatch):
    _build(monkeypatch, Greedy)
    spec = spec.at({**POINT, "batch_size": 8}, "train")

    def killed(epoch, metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt_trial(spec, report=killed)
    assert read_footer(attempt_trial(spec).path).batch_size == 4


def test_a_process_killed_for_lack_of_memory(run, spec):
    spec = spec.at({**POINT, "batch_size": 8}, "train")
    assert after_loss(spec, out_of_memory=False).endswith("it goes on from its checkpoint in another one")
    assert after_loss(spec, out_of_memory=True).endswith("again with batches of 4")
    assert after_loss(spec, out_of_memory=True) == "its process was killed for lack of memory again"
    result = attempt_trial(spec)
    assert (result.kind, result.reason) == (
        "out_of_memory",
        "Out of memory, also with batches of 4: its process was killed for lack of main memory; give "
        "it more memory or smaller batches.",
    )
    assert run.outcome(spec.trial_key).batch_size == 4 and after_loss(spec, out_of_memory=False) == ""


def test_a_family_without_batches_is_tried_once_more(run, spec):
    assert after_loss(spec, out_of_memory=True).endswith("it is tried once more")
    assert after_loss(spec, out_of_memory=True).endswith("again")
    assert run.outcome(spec.trial_key).kind == "out_of_memory"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Diverged("loss nan"), "diverged"),
        (EmofuseError("Out of memory"), "error"),
        (ValueError("no"), "error"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), "out_of_memory"),
        (RuntimeError("CUDA error: out of memory"), "out_of_memory"),
        (RuntimeError("CUDA error: misaligned"), "error"),
    ],
)
def test_kinds(error, kind):
    assert kind_of(error) == kind


def test_the_kernels_count_of_killed_processes(tmp_path, monkeypatch):
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("pgfault 3\noom_kill 7\n")
    assert killed_for_memory(vmstat) == 7
    assert killed_for_memory(tmp_path / "absent") == 0
    counts = iter([1, 1, 2])
    monkeypatch.setattr("search.cluster.losses.killed_for_memory", lambda: next(counts))
    kills = MemoryKills()
    assert not kills.recent()
    assert kills.recent()


def _damage(run):
    (path,) = run.store.glob("vec/*/data.arrow")
    whole = path.read_bytes()
    bad = bytearray(whole)
    bad[bad.find(b"ARROW1", 8) - 300] ^= 255
    path.unlink()
    path.write_bytes(bad)
    return path, whole


def test_a_damaged_set_is_no_configurations_fault(run, spec):
    assert attempt_trial(spec).status == "finished"
    other = spec.at({**POINT, "steps": 3}, "train")
    path, whole = _damage(run)
    told = message(attempt_trial, other, error=MachineFault)
    assert "feature set 'vec' is damaged" in told and "extract it again, of its clips only the damaged" in told
    assert f"-s vec -o {run.store}`. Then run the same command: it goes on where this one stopped." in told
    assert not list(run.outcomes())
    path.write_bytes(whole)
    assert attempt_trial(other).status == "finished"


def test_what_a_machine_lacks_is_no_configurations_fault(run, spec, monkeypatch):
    def lacking(hp, context):
        raise ModuleNotFoundError("No module named 'x'")

    _build(monkeypatch, lacking)
    assert "Entry 'centroid' can't run on " in message(attempt_trial, spec, error=MachineFault)
    run.clips.rename(run.clips.with_name("away"))
    assert str(run.clips) in message(attempt_trial, spec, error=MachineFault)
    assert not list(run.outcomes())
