"""How a trial or a configuration ended, and the record of a trial that ended without predictions."""

from dataclasses import dataclass
from typing import Literal

from search.run.ended import Ended
from search.run.failures import Kind
from search.run.layout import Outcome
from search.run.spec import TrialSpec


@dataclass(frozen=True)
class Ending:
    """How a trial, or a whole configuration, ended.

    `value` is what its search maximises (of the log-loss, its negative): of a `pruned` one (stopped early) the last
    that was reported, of a `failed` one None. `gpu_s` are its seconds times the share of a GPU that it had.
    `folds` of a `pruned` one tells after how many finished partitions its configuration was given up; 0: it was not.
    """

    status: Literal["finished", "pruned", "failed"]
    value: float | None = None
    epochs: int = 0
    wall_s: float = 0.0
    reason: str = ""
    kind: Kind | None = None
    gpu_s: float = 0.0
    folds: int = 0


def ended_trial(spec: TrialSpec, ending: Ending) -> Ended:
    """The line of a trial that ended just now."""
    return Ended(
        spec.trial_key,
        spec.config_key,
        spec.entry,
        spec.partition,
        ending.status,
        ending.value,
        ending.epochs,
        ending.wall_s,
        ending.reason,
        repeat=spec.repeat,
        gpu_s=ending.gpu_s,
    )


def ended_outcome(spec: TrialSpec, ending: Ending) -> Outcome:
    """How the trial failed or was pruned, to be written by `Layout.write_outcome`."""
    if ending.status == "finished":
        raise ValueError("A finished trial's record are its predictions.")
    return Outcome(
        spec.trial_key,
        spec.config_key,
        ending.status,
        ending.reason,
        spec.entry,
        spec.family,
        spec.partition,
        spec.hyperparameters,
        ending.epochs,
        ending.value,
        ending.kind,
        batch_size=spec.used_batch,
        wall_s=ending.wall_s,
        repeat=spec.repeat,
        gpu_s=ending.gpu_s,
        folds=ending.folds,
    )
