"""A trial of a run on an object store: fetch what it reads, train in this node's mirror, put what it wrote."""

import time
from dataclasses import replace
from pathlib import Path

from models import pulse
from models.family import Report
from models.pulse import Stopped
from search.run.layout import EVERY, STOP_MARKS, Layout
from search.run.remote import Remote, opened
from search.run.spec import TrialSpec
from search.trial.attempts import attempt_trial
from search.trial.trial import TrialResult
from search.trial.watchdog import last_words

# Other trials' results, and what only the driver reads.
_NOT_READ = {
    "predictions",
    "trials",
    "checkpoints",
    "ensembles",
    "study.journal",
    "asked.jsonl",
    "stopped.jsonl",
    "worked.json",
    "fused.jsonl",
    "running",
    "recipe.yaml",
}
# An epoch may be short, and stores take money for being asked whether trials shall stop.
_ASK_EVERY_S = 10.0


def attempt_remote_trial(uri: str, spec: TrialSpec, report: Report | None = None) -> TrialResult:
    """`attempt_trial` for the run at `uri`; the result counts once its files lie there.

    A checkpoint goes there after the epoch that wrote it, so that another node can take the trial over. Whether the
    trial shall stop is asked then, too.
    """
    remote = opened(uri, "worker")
    here = Layout(remote.local)
    prediction = _name(remote, here.prediction(spec.entry, spec.trial_key))
    checkpoint = _name(remote, here.checkpoint_folder(spec.trial_key))
    own = [prediction, checkpoint, *(f"trials/{spec.trial_key}{suffix}" for suffix in (".json", ".txt"))]
    remote.pull(*(name for name in remote.top() if name not in _NOT_READ), *own)
    remote.forget_stale(*own)

    asked_s = time.monotonic()

    def after_epoch(epoch: int, metrics: dict[str, float]) -> None:
        nonlocal asked_s
        remote.push(checkpoint)
        if time.monotonic() - asked_s >= _ASK_EVERY_S:
            asked_s = time.monotonic()
            if remote.marked(STOP_MARKS) & {spec.entry, EVERY}:
                pulse.ask_to_stop()
        if report is not None:
            report(epoch, metrics)

    def write_back() -> None:
        kept = (here.model_folder(spec.trial_key), here.encodings(spec.entry, spec.trial_key))
        remote.push(*(_name(remote, folder) for folder in kept))
        remote.push(*own)

    last_words.append(write_back)
    try:
        result = attempt_trial(replace(spec, run=str(remote.local)), after_epoch)
    except Stopped:
        remote.push(checkpoint)
        raise
    finally:
        last_words.remove(write_back)
    write_back()
    return result


def _name(remote: Remote, path: Path) -> str:
    return path.relative_to(remote.local).as_posix()
