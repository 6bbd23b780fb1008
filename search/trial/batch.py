"""A trial's batch size as a detail of its execution: half of what was asked for, once memory ran out.

The trial's key and its hyperparameters stay what was asked for; the footer of its predictions tells the batch that was
used. The smaller batch is written down beside the checkpoint, so that whoever goes on with the trial uses it too.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from features.errors import DamagedFile
from features.files import write_json
from features.progress import say
from features.schema import read_as
from search.run.layout import Layout
from search.run.spec import TrialSpec

# The hyperparameter that is the batch; a family without it has nothing that could be halved.
NAME = "batch_size"


@dataclass(frozen=True)
class _Note:
    batch_size: int | None


def with_noted_batch(spec: TrialSpec) -> TrialSpec:
    """The trial with the smaller batch that an earlier attempt wrote down, if it did."""
    if not noted(spec):
        return spec
    try:
        remedy = f"passed over: {spec} is trained with the batch that was asked for"
        return replace(spec, batch_size=read_as(_Note, _note(spec), "a trial's batch size", remedy).batch_size)
    except DamagedFile as error:
        say(str(error))
        _note(spec).unlink(missing_ok=True)
        return spec


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
