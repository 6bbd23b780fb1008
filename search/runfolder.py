"""A run's folder: what lies where, and what it was started with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search.recipe import Recipe


@dataclass(frozen=True)
class Outcome:
    """How a trial without a prediction file ended; `reason` is one sentence."""

    trial_key: str
    config_key: str
    status: Literal["failed", "pruned"]
    reason: str
    entry: str
    family: str
    partition: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0
    value: float | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run: its folder and what run.json says of it. Paths are absolute; `stills` is None without a backbone stage."""

    path: Path
    recipe: Recipe
    clips: Path
    store: Path
    stills: Path | None
    clips_fingerprint: str
    stills_fingerprint: str | None

    @classmethod
    def prepare(cls, path: Path, recipe: Recipe, clips: Path, store: Path, stills: Path | None = None) -> "RunFolder":
        """Start a run, or continue the one that lies there with a recipe that extends its own."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The run that lies at `path`."""
        raise NotImplementedError

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.path / "study.journal"

    def prediction(self, entry: str, trial_key: str) -> Path:
        """The trial's prediction file."""
        raise NotImplementedError

    def finished(self) -> set[str]:
        """The keys of all trials that have a prediction file."""
        raise NotImplementedError

    def checkpoint_folder(self, trial_key: str) -> Path:
        """Where training keeps its checkpoint until the trial is finished."""
        return self.path / "checkpoints" / trial_key

    def model_folder(self, trial_key: str) -> Path:
        """Where the trial's model is saved (backbones and refits)."""
        return self.path / "models" / trial_key

    def activation_folder(self, spec: str, key: str) -> Path:
        """Where a backbone layer's activations of all clips lie; `spec` is `<backbone>.<layer>`."""
        return self.path / "activations" / spec / key

    def write_outcome(self, outcome: Outcome, traceback: str | None = None) -> None:
        """Record a failed or pruned trial as trials/<key>.json, its traceback as trials/<key>.txt."""
        raise NotImplementedError

    def outcomes(self) -> Iterator[Outcome]:
        """The failed and pruned trials; a trial that finished later is not among them."""
        raise NotImplementedError

    def clear_outcome(self, trial_key: str) -> None:
        """Forget an earlier failure, so that the trial may be tried again."""
        raise NotImplementedError
