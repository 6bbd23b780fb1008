"""A trial's batch size as a detail of its execution: half of what was asked for, once memory ran out.

The trial's key and its hyperparameters stay what was asked for; the footer of its predictions tells the batch that was
used. The smaller batch is written down beside the checkpoint, so that whoever goes on with the trial uses it too.
"""

from dataclasses import replace
from pathlib import Path

from features.files import read_json, write_json
from search.run.layout import Layout
from search.run.spec import TrialSpec

# The hyperparameter that is the batch; a family without it has nothing that could be halved.
NAME = "batch_size"


def with_noted_batch(spec: TrialSpec) -> TrialSpec:
    """The trial with the smaller batch that an earlier attempt wrote down, if it did."""
    return replace(spec, batch_size=read_json(_note(spec), "a trial's batch size")[NAME]) if noted(spec) else spec


def noted(spec: TrialSpec) -> bool:
    """Whether the trial ran out of memory before and was given another try."""
    return _note(spec).exists()


def halve(spec: TrialSpec) -> TrialSpec | None:
    """The trial with half its batch, written down; None when it had another try already, or has no batch to halve."""
    batch = spec.used_batch
    if noted(spec) or batch is None or batch < 2:
        return None
    return note(replace(spec, batch_size=batch // 2))


def note(spec: TrialSpec) -> TrialSpec:
    """Write down that the trial gets another try with the batch that it has now."""
    write_json(_note(spec), {NAME: spec.batch_size})
    return spec


def _note(spec: TrialSpec) -> Path:
    return Layout(Path(spec.run)).checkpoint_folder(spec.trial_key) / "batch.json"
