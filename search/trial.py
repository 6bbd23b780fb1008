"""One trial: read features, fit, predict every clip of every split, write the predictions. No Ray here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from models.family import Report
from search.predictions import Footer
from search.recipe import Entry, StageName
from search.runfolder import RunFolder


@dataclass(frozen=True)
class TrialSpec:
    """All that a worker needs to know of a trial; plain data, so that it travels as JSON.

    `run` is the run folder, `clips` the table that the trial is trained on (the stills for a backbone), `inputs` and
    `feature_keys` are by slot. `epochs` is None for early stopping, a number for a refit. `cpu` and `gpu` are what the
    trial was given; like the paths they are no part of its keys.
    """

    run: str
    clips: str
    store: str
    stage: StageName
    entry: str
    family: str
    family_version: int
    inputs: Mapping[str, str]
    feature_keys: Mapping[str, str]
    clips_fingerprint: str
    recipe_seed: int
    max_epochs: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    partition: str = ""
    epochs: int | None = None
    parents: tuple[str, ...] = ()
    keep_model: bool = False
    allow_shared_groups: bool = False
    cpu: float = 1.0
    gpu: float = 0.0

    @property
    def config_key(self) -> str:
        """The key that one configuration has on all partitions."""
        raise NotImplementedError

    @property
    def trial_key(self) -> str:
        """The key of this work: equal specs on equal data have equal keys."""
        raise NotImplementedError

    @property
    def seed(self) -> int:
        """The seed of the training, made from `config_key` (and so from the recipe's seed)."""
        raise NotImplementedError

    def at(self, hyperparameters: Mapping[str, Any], partition: str) -> "TrialSpec":
        """The entry's trial at these (complete) hyperparameters on this partition."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrialSpec":
        """The spec that `to_dict` wrote."""
        raise NotImplementedError


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. `value` is the held-out accuracy (None for a refit or a failure); `reused` tells that its
    predictions lay there already."""

    trial_key: str
    config_key: str
    entry: str
    partition: str
    status: Literal["finished", "failed"]
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int = 0
    wall_s: float = 0.0
    path: Path | None = None
    reason: str = ""
    reused: bool = False


def entry_spec(run: RunFolder, stage: StageName, entry: Entry) -> TrialSpec:
    """The entry's spec without its point and partition (see `TrialSpec.at`); checks that its features are there.

    An input `<backbone>.<layer>` needs the backbone stage to be finished and its activations (activations.py).
    """
    raise NotImplementedError


def run_trial(spec: TrialSpec, report: Report | None = None, device: str | None = None) -> TrialResult:
    """Train and predict; raises what went wrong. A trial whose predictions exist is returned as it is.

    `report(epoch, metrics)` hears the held-out `accuracy` and `log_loss` after each epoch.
    """
    raise NotImplementedError


def attempt_trial(spec: TrialSpec, report: Report | None = None, device: str | None = None) -> TrialResult:
    """`run_trial` for workers: an Exception becomes a recorded outcome and a result with status `failed`."""
    raise NotImplementedError


def finished_result(spec: TrialSpec) -> TrialResult | None:
    """The result of a trial whose prediction file exists, read from its footer."""
    raise NotImplementedError


def refit_spec(run: RunFolder, parents: Sequence[Footer]) -> TrialSpec:
    """The refit on train and val of one configuration: its hyperparameters, and the epochs its parents stopped at.

    The epochs are the rounded mean of the parents' best epochs (exact with one parent).
    """
    raise NotImplementedError
