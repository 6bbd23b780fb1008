"""What lies where in a run's folder, and how the trials without predictions ended."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from features.disk.sealed import check_folder
from features.errors import DamagedFile
from features.files import write_bytes, write_json
from features.masking import masked
from features.progress import say_once
from features.schema import read_as
from search.run.failures import Kind
from search.run.predictions import prediction_files, prediction_path

STOP_MARKS, EVERY = ".stopping", ".every"


@dataclass(frozen=True)
class Outcome:
    """How a trial without a prediction file ended; `reason` is one sentence, `kind` that of a failure.

    `traceback` is the file of a failure's traceback, inside the run's folder.
    """

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
    kind: Kind | None = None
    traceback: str | None = None
    batch_size: int | None = None
    wall_s: float = 0.0
    repeat: int = 0
    gpu_s: float = 0.0
    folds: int = 0


def read_outcome(path: Path) -> Outcome:
    """The record at `path`; DamagedFile where it is none."""
    return read_as(Outcome, path, "a trial's outcome", "passed over: the same search trains the trial again")


@dataclass(frozen=True)
class Layout:
    """The paths of a run; trial keys and entry names come from `TrialSpec`."""

    path: Path

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.path / "study.journal"

    @property
    def stop_file(self) -> Path:
        """The file that is there while a search is stopping; workers on whatever host look for it."""
        return self.path / ".stop"

    @property
    def stop_marks(self) -> Path:
        """The folder with a file for each entry whose running trials shall stop at their checkpoints.

        On an object store, where workers share no folder, objects take the files' place, and EVERY that of `stop_file`.
        """
        return self.path / STOP_MARKS

    def prediction(self, entry: str, trial_key: str) -> Path:
        """The trial's prediction file."""
        return prediction_path(self.path, entry, trial_key)

    @property
    def begun(self) -> bool:
        """Whether a search got as far as its first trial; one that was refused before leaves nothing to keep."""
        return self.journal.exists() or bool(prediction_files(self.path)) or any(self.path.glob("trials/*.json"))

    def finished(self) -> set[str]:
        """The keys of all trials that have a prediction file."""
        return {path.stem for path in prediction_files(self.path)}

    def checkpoint_folder(self, trial_key: str) -> Path:
        """Where training keeps its checkpoint until the trial is finished."""
        return self.path / "checkpoints" / trial_key

    def drop_checkpoint(self, trial_key: str) -> None:
        """Remove the checkpoint of a trial that won't go on."""
        shutil.rmtree(self.checkpoint_folder(trial_key), ignore_errors=True)

    def model_folder(self, trial_key: str) -> Path:
        """Where the trial's model is saved, if it is."""
        return self.path / "models" / trial_key

    def check_model(self, trial_key: str, damaged: str) -> None:
        """DamagedFile, with `damaged` as what to do, where the trial's model is not what was saved."""
        check_folder(self.model_folder(trial_key), "a saved model", damaged)

    def drop_model(self, trial_key: str) -> None:
        """Remove a model that nothing needs, leaving word of it: the trial stays finished."""
        write_bytes(self._dropped(trial_key), b"")
        shutil.rmtree(self.model_folder(trial_key), ignore_errors=True)

    def model_was_dropped(self, trial_key: str) -> bool:
        """Whether the trial had a model that was dropped."""
        return self._dropped(trial_key).exists()

    def _dropped(self, trial_key: str) -> Path:
        return self.path / "models" / f"{trial_key}.dropped"

    @property
    def activations(self) -> Path:
        """The store of backbone activations: `<backbone>.<layer>/<key>/`, each a feature set."""
        return self.path / "activations"

    def encodings(self, entry: str, trial_key: str) -> Path:
        """The encodings of all clips by one trial's model, in the store's format."""
        return self.path / "encodings" / entry / trial_key

    def write_outcome(self, outcome: Outcome, traceback: str | None = None) -> None:
        """Record a failed or pruned trial as trials/<key>.json, its traceback as trials/<key>.txt."""
        outcome = replace(outcome, reason=masked(outcome.reason))
        if traceback is not None:
            path = self._outcome(outcome.trial_key, ".txt")
            write_bytes(path, masked(traceback).encode())
            outcome = replace(outcome, traceback=str(path.relative_to(self.path)))
        write_json(self._outcome(outcome.trial_key), asdict(outcome))

    def outcomes(self) -> Iterator[Outcome]:
        """The failed and pruned trials, by key; a trial that finished later is not among them.

        A damaged record is told and passed over.
        """
        finished = self.finished()
        for path in sorted((self.path / "trials").glob("*.json")):
            if path.stem in finished or path.name.startswith("."):
                continue
            if (outcome := self._read(path)) is not None:
                yield outcome

    def outcome(self, trial_key: str) -> Outcome | None:
        """How this trial failed or was pruned; None when nothing is recorded, or nothing that can be read."""
        path = self._outcome(trial_key)
        return self._read(path) if path.exists() else None

    def clear_outcome(self, trial_key: str) -> None:
        """Forget an earlier failure, so that the trial may be tried again."""
        for suffix in (".json", ".txt"):
            self._outcome(trial_key, suffix).unlink(missing_ok=True)

    def _outcome(self, trial_key: str, suffix: str = ".json") -> Path:
        return self.path / "trials" / f"{trial_key}{suffix}"

    @staticmethod
    def _read(path: Path) -> Outcome | None:
        try:
            return read_outcome(path)
        except DamagedFile as error:
            say_once(str(error))
            return None
