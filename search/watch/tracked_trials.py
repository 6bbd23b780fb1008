"""What a run's ended trials are for any tool that tracks experiments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.progress import say
from search.run.ended import Ended, read_ended_and_damaged
from search.run.layout import Layout
from search.run.predictions import read_footer


@dataclass(frozen=True)
class TrackedTrial:
    """One trial that ended. `curve` has a row per epoch with `epoch` in it; times are seconds since 1970.

    `metrics` are those of its held-out clips: test clips have no part in an export.
    """

    trial_key: str
    config_key: str
    entry: str
    family: str
    partition: str
    status: str
    reason: str
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    curve: tuple[Mapping[str, float], ...]
    started_s: float
    ended_s: float
    wall_s: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`entry partition key`, as people read it."""
        return f"{self.entry} {self.partition} {self.trial_key[:8]}"


def tracked_trials(run: Path) -> Iterator[TrackedTrial]:
    """The trials of a run that ended, by key, read one at a time; damaged files are told and passed over."""
    ended, damaged = read_ended_and_damaged(run)
    for error in damaged:
        say(f"warning: {error}")
    layout = Layout(run)
    for trial in ended:
        told = _finished(layout, trial) if trial.status == "finished" else _unfinished(layout, trial)
        if told is not None:
            yield told


def _finished(layout: Layout, trial: Ended) -> TrackedTrial:
    footer = read_footer(layout.prediction(trial.entry, trial.trial_key))
    started_s = footer.started_s or trial.at_s - trial.wall_s
    facts = {
        "seed": footer.seed,
        "epochs": footer.epochs,
        "best_epoch": footer.best_epoch,
        "stage": footer.stage,
        "device": footer.device,
        "worker": footer.worker,
        "gpu_s": footer.gpu_s,
        "inputs": ", ".join(f"{slot}={spec}" for slot, spec in sorted(footer.inputs.items())),
        "parents": ", ".join(footer.parents),
        **{f"version_{name}": version for name, version in sorted(footer.versions.items())},
    }
    return TrackedTrial(
        trial.trial_key,
        trial.config_key,
        trial.entry,
        footer.family,
        trial.partition,
        trial.status,
        "",
        footer.hyperparameters,
        footer.metrics,
        footer.curve,
        started_s,
        started_s + footer.wall_s,
        footer.wall_s,
        facts,
    )


def _unfinished(layout: Layout, trial: Ended) -> TrackedTrial | None:
    outcome = layout.outcome(trial.trial_key)
    if outcome is None:
        return None  # retried since
    return TrackedTrial(
        trial.trial_key,
        trial.config_key,
        trial.entry,
        outcome.family,
        trial.partition,
        trial.status,
        trial.reason,
        outcome.hyperparameters,
        {} if trial.value is None else {"value": trial.value},
        (),
        trial.at_s - trial.wall_s,
        trial.at_s,
        trial.wall_s,
        {"epochs": trial.epochs},
    )
