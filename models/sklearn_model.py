"""A scikit-learn pipeline as a `models.family.Model`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io
from scipy.special import softmax
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from features.errors import EmofuseError
from features.files import write_bytes, write_json
from features.tables.readable import Readable
from models.calibration import decisions, learn_temperature
from models.description import FILE, Description, blaming, read_description
from models.examples import Examples
from models.family import Context, Family, FitResult, Report
from models.metrics import held_out_metrics
from models.pipelines import read_pipeline

_PIPELINE = "pipeline.skops"

Vectorise = Callable[[Examples], np.ndarray]


class SklearnModel:
    """Fits, scores and saves `pipeline`, whose last step has a `decision_function` or, else, `predict_proba`.

    `vectorise(examples)` makes the pipeline's input (N, F) float64 from clips that have been checked. The columns of
    the scores are `context.classes`; a class without a training clip has probability 0. One fit is one epoch.
    """

    def __init__(
        self,
        family: Family,
        hyperparameters: Mapping[str, Any],
        context: Context,
        pipeline: Pipeline,
        vectorise: Vectorise,
    ):
        self.family, self.hyperparameters, self.context = family, dict(hyperparameters), context
        self._unfitted, self._vectorise = pipeline, vectorise
        self._fitted: Pipeline | None = None
        self._temperature = 1.0

    @property
    def pipeline(self) -> Pipeline:
        """The fitted pipeline."""
        if self._fitted is None:
            raise EmofuseError(f"This {self.family.name} model is not fitted yet: fit or load it first.")
        return self._fitted

    def fit(
        self,
        train: Examples,
        held_out: Examples | None,
        *,
        epochs: int | None = None,
        max_epochs: int | None = None,
        report: Report | None = None,
        resume: Path | None = None,
    ) -> FitResult:
        """See `models.family.Model.fit`; there is nothing to stop early or to resume."""
        for examples in filter(None, (train, held_out)):
            if tuple(examples.classes) != tuple(self.context.classes):
                raise EmofuseError(
                    f"Expected clips labelled with the classes {', '.join(self.context.classes)} in this order, "
                    f"but got {', '.join(examples.classes)}."
                )
        X, y = self._rows(train), train.labels()
        present = np.unique(y)
        if len(present) < 2:
            only = self.context.classes[present[0]]
            raise EmofuseError(f"Training expects clips of at least two classes, but all {len(y)} are {only!r}.")
        held_out_y = None if held_out is None else held_out.labels()
        self._temperature = learn_temperature(self._unfitted, X, y, train.groups, self.context.seed)
        self._fitted = clone(self._unfitted).fit(X, y)
        metrics = {}
        if held_out is not None and held_out_y is not None:
            metrics = held_out_metrics(self.predict(held_out), held_out_y)
        if report is not None:
            report(1, metrics)
        return FitResult(1, 1, metrics, ({"epoch": 1, **metrics},))

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32."""
        pipeline = self.pipeline
        p = np.zeros((len(examples), len(self.context.classes)), np.float32)
        p[:, pipeline.classes_] = softmax(decisions(pipeline, self._rows(examples)) / self._temperature, axis=1)
        return p

    def encode(self, examples: Examples) -> np.ndarray:
        """What the classifier sees (N, D) float32: the standardised, projected features."""
        rows = self._rows(examples)
        before = self.pipeline[:-1]
        return np.asarray(before.transform(rows) if len(before) else rows).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `pipeline.skops` and `model.json` into `folder`."""
        write_bytes(folder / _PIPELINE, skops.io.dumps(self.pipeline))
        write_json(
            folder / FILE,
            {
                "family": self.family.name,
                "version": self.family.version,
                "hyperparameters": self.hyperparameters,
                "classes": list(self.context.classes),
                "seed": self.context.seed,
                "temperature": self._temperature,
                "shapes": {slot: list(shape) for slot, shape in self.context.shapes.items()},
            },
        )

    def restore(self, folder: Readable, description: Description) -> Self:
        """Take the pipeline that `save` wrote into `folder`, after it has scored a clip of zeros."""
        file = folder / _PIPELINE
        self._fitted, size = read_pipeline(file, self.family.name, self._unfitted, self.family.trusted)
        self._temperature = description.temperature
        description.check_size(size, folder)
        with blaming(file, f"a saved {self.family.name} model of the shapes and classes in {FILE}"):
            p = self.predict(self._zeros())
            if not np.isfinite(p).all():
                raise ValueError("scores that are not finite")
        return self

    def _zeros(self) -> Examples:
        """A clip of nothing, in the shapes that the model reads."""
        steps = {slot.slot: (1,) * (slot.level != "clip") for slot in self.family.slots(self.context.shapes)}
        arrays = {slot: [np.zeros((*lead, *self.context.shapes[slot]), np.float32)] for slot, lead in steps.items()}
        return Examples(("zeros",), arrays, self.context.classes)

    def _rows(self, examples: Examples) -> np.ndarray:
        """The pipeline's input, from checked clips."""
        self._check(examples)
        return self._vectorise(examples)

    def _check(self, examples: Examples) -> None:
        """Refuse a clip without steps, of another shape, or with NaN, by its name."""
        if len(examples) == 0:
            raise EmofuseError("Expected at least one clip, but got none.")
        for slot in self.family.slots(self.context.shapes):
            shape = tuple(self.context.shapes[slot.slot])
            if slot.slot not in examples.inputs:
                given = ", ".join(examples.inputs) or "none"
                raise EmofuseError(f"Expected features for input {slot.slot!r}, but got those for {given}.")
            for clip_id, array in zip(examples.ids, examples.inputs[slot.slot], strict=True):
                step = array.shape if slot.level == "clip" else array.shape[1:]
                if step != shape or not array.size:
                    raise EmofuseError(
                        f"Clip {clip_id!r}: expected one or more {slot.slot!r} steps of shape {shape}, "
                        f"but got an array of shape {array.shape}; extract the set again."
                    )
        examples.check_finite()


def load_sklearn(
    build: Callable[[Mapping[str, Any], Context], SklearnModel], folder: Readable, device: str
) -> SklearnModel:
    """Read what `SklearnModel.save` wrote; `build` is the family's. `device` does not matter."""
    description = read_description(folder)
    return description.build(build, device, folder).restore(folder, description)
