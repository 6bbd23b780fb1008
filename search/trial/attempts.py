"""A trial as workers run it: whatever goes wrong is a recorded outcome, and the search goes on."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from features.machine import machine_fault
from features.progress import say
from features.unwritable import writing
from models.family import Report
from search.run.ending import Ending, ended_outcome
from search.run.failures import Kind, kind_of, out_of_memory_reason, reason_of
from search.run.layout import Layout, Outcome
from search.run.remote import remote_of
from search.run.spec import TrialSpec
from search.trial.batch import halve, note, noted, with_noted_batch
from search.trial.heartbeats import beating
from search.trial.hygiene import free_memory, pick_device
from search.trial.trial import TrialResult, run_trial
from search.trial.watchdog import found_hung, held_the_lock, record_hung, watched


@dataclass(frozen=True)
class _Failure:
    kind: Kind
    reason: str
    trace: str


def attempt_trial(spec: TrialSpec, report: Report | None = None, device: str | None = None) -> TrialResult:
    """`run_trial` for workers: an Exception becomes a recorded outcome and a result with status `failed`.

    Out of memory it is trained once more with half the batch; hanging, it ends its process. A failure that is on record
    is returned as it is: whoever wants another try clears it first. MachineFault for what is no trial's fault: a full
    or read-only disk, a library that can't be imported, inputs that are damaged or others by now.
    """
    with writing(Path(spec.run)):
        return _attempt(spec, report, device)


def _attempt(spec: TrialSpec, report: Report | None, device: str | None) -> TrialResult:
    layout = Layout(Path(spec.run))
    known = layout.outcome(spec.trial_key)
    if known is not None and known.status == "failed":
        return failed_result(spec, known)
    if (trace := found_hung(spec)) is not None:
        return failed_result(spec, record_hung(spec, trace, held_the_lock(spec)))
    spec, began = with_noted_batch(spec), time.monotonic()
    with watched(spec), beating(spec, report) as report:
        done = _once(spec, report, device)
        if isinstance(done, _Failure) and done.kind == "out_of_memory" and (smaller := halve(spec)) is not None:
            say(f"{spec}: out of memory; again with batches of {smaller.batch_size}")
            spec, done = smaller, _once(smaller, report, device)
    if isinstance(done, TrialResult):
        return done
    wall_s = round(time.monotonic() - began, 3)
    outcome = ended_outcome(
        spec,
        Ending("failed", wall_s=wall_s, reason=done.reason, kind=done.kind, gpu_s=gpu_seconds(spec, wall_s, device)),
    )
    layout.write_outcome(outcome, done.trace)
    layout.drop_checkpoint(spec.trial_key)
    return failed_result(spec, outcome)


def gpu_seconds(spec: TrialSpec, wall_s: float, device: str | None = None) -> float:
    """Seconds times the share of a GPU that the trial has on this machine; 0 on a CPU."""
    on_gpu = spec.gpu and (device or pick_device(spec.gpu)).startswith("cuda")
    return round(wall_s * spec.gpu, 3) if on_gpu else 0.0


def after_loss(spec: TrialSpec, out_of_memory: bool) -> str:
    """What becomes of a trial whose process died, as a clause to tell.

    Killed for lack of memory it has one more try, with half the batch where it has one; else it is recorded as failed,
    which whoever takes it up next will find. Empty for a process that recorded the trial's end before it went.
    """
    remote = remote_of(Path(spec.run))
    if remote is None:
        return _after_loss(spec, out_of_memory)
    places = (f"checkpoints/{spec.trial_key}", f"trials/{spec.trial_key}.json")
    remote.pull(*places)
    told = _after_loss(spec, out_of_memory)
    remote.push(*places)
    return told


def _after_loss(spec: TrialSpec, out_of_memory: bool) -> str:
    layout = Layout(Path(spec.run))
    if layout.outcome(spec.trial_key) is not None or found_hung(spec) is not None:
        return ""
    if not out_of_memory:
        return "its process died; it goes on from its checkpoint in another one"
    spec = with_noted_batch(spec)
    if (smaller := halve(spec)) is not None:
        return f"its process was killed for lack of memory; again with batches of {smaller.batch_size}"
    if not noted(spec):
        note(spec)
        return "its process was killed for lack of memory; it is tried once more"
    reason = out_of_memory_reason("its process was killed for lack of main memory", spec.used_batch)
    layout.write_outcome(ended_outcome(spec, Ending("failed", reason=reason, kind="out_of_memory")))
    return "its process was killed for lack of memory again"


def failed_result(spec: TrialSpec, outcome: Outcome) -> TrialResult:
    """The result that tells of a recorded failure."""
    return TrialResult(
        spec.trial_key,
        spec.config_key,
        spec.entry,
        spec.partition,
        "failed",
        reason=outcome.reason,
        epochs=outcome.epochs,
        wall_s=outcome.wall_s,
        gpu_s=outcome.gpu_s,
        kind=outcome.kind,
    )


def _once(spec: TrialSpec, report: Report | None, device: str | None) -> TrialResult | _Failure:
    try:
        return run_trial(spec, report, device)
    except Exception as error:
        if (fault := machine_fault(error, f"Entry {spec.entry!r}", folder=Path(spec.run))) is not None:
            raise fault from None
        failure = _Failure(kind_of(error), reason_of(error, spec.used_batch), traceback.format_exc())
    free_memory()  # only now: the exception's traceback held the model
    return failure
