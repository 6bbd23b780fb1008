"""What a trained model says of every clip: its scores or its tracks, what they reach, and the file that holds them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from models.family import ContinuousModel, Model
from models.finite import finite
from models.metrics import held_out_metrics
from search.run.continuous_predictions import (
    ContinuousPredictions,
    Track,
    held_out_ccc,
    write_continuous_predictions,
)
from search.run.predictions import Footer, Predictions, write_predictions
from search.trial.continuous_data import ContinuousData, predict_tracks
from search.trial.data import TrialData


def outputs_of(model: Model, data: TrialData) -> "Classes | Tracks":
    """What the model says of all clips of the trial; Diverged where it isn't finite."""
    return Tracks.of(model, data) if isinstance(data, ContinuousData) else Classes.of(model, data)


@dataclass(frozen=True)
class Tracks:
    """What a trial of continuous emotion predicts."""

    data: ContinuousData
    tracks: tuple[Track, ...]
    predict_s: float

    @classmethod
    def of(cls, model: Model, data: ContinuousData) -> "Tracks":
        """Let the model predict, and take its time."""
        started = time.perf_counter()
        tracks = predict_tracks(cast(ContinuousModel, model), data)
        return cls(data, tracks, (time.perf_counter() - started) / max(1, len(tracks)))

    def metrics(self) -> dict[str, float]:
        """The CCC on the held-out clips."""
        return held_out_ccc(self.tracks, self.data.dimensions)

    def write(self, run: Path, footer: Footer) -> Path:
        """Write them as a trial's predictions; where they lie."""
        return write_continuous_predictions(run, ContinuousPredictions(footer, self.tracks))


@dataclass(frozen=True)
class Classes:
    """What a trial predicts: class probabilities (C,) by clip id, for the clips that have features."""

    data: TrialData
    probabilities: Mapping[str, np.ndarray]
    predict_s: float

    @classmethod
    def of(cls, model: Model, data: TrialData) -> "Classes":
        """Let the model predict, and take its time."""
        return cls(data, *_predict(model, data))

    def metrics(self) -> dict[str, float]:
        """Those of the held-out clips; the accuracy counts clips without features as wrong."""
        return _metrics(self.probabilities, self.data)

    def write(self, run: Path, footer: Footer) -> Path:
        """Write them as a trial's predictions; where they lie."""
        return write_predictions(run, _rows(footer, self.data, self.probabilities))


def _predict(model: Model, data: TrialData) -> tuple[dict[str, np.ndarray], float]:
    """The scores of all clips, and the model's seconds per clip."""
    found: dict[str, np.ndarray] = {}
    took_s = 0.0
    for ids in (data.partition.fit_ids, data.partition.held_out_ids, data.partition.test_ids):
        # One side at a time: its features are in memory once more while the model works on them.
        examples = data.unlabelled(ids)
        if len(examples):
            started = time.perf_counter()
            scores = model.predict(examples)
            took_s += time.perf_counter() - started
            found.update(finite("scores", examples.ids, scores))
    return found, took_s / max(1, len(found))


def _metrics(predictions: Mapping[str, np.ndarray], data: TrialData) -> dict[str, float]:
    """Held-out metrics over the clips that have features; the accuracy counts the others as wrong."""
    ids = data.partition.held_out_ids
    if not ids:
        return {}
    held_out = data.labelled(ids)
    metrics = held_out_metrics(np.stack([predictions[clip_id] for clip_id in held_out.ids]), held_out.labels())
    share = len(held_out) / len(ids)
    return {**metrics, "accuracy": metrics["accuracy"] * share, "scored": share}


def _rows(footer: Footer, data: TrialData, predictions: Mapping[str, np.ndarray]) -> Predictions:
    roles = data.partition.roles()
    clips = [data.table.by_id(clip_id) for clip_id in roles]
    uniform = np.full(len(footer.classes), 1 / len(footer.classes), np.float32)
    return Predictions(
        footer=footer,
        clip_id=tuple(clip.clip_id for clip in clips),
        group_id=tuple(clip.group_id for clip in clips),
        split=tuple(clip.split for clip in clips),
        role=tuple(roles.values()),
        label=tuple(clip.label for clip in clips),
        valid=np.array([clip.clip_id in predictions for clip in clips]),
        probabilities=np.stack([predictions.get(clip.clip_id, uniform) for clip in clips]).astype(np.float32),
    )
