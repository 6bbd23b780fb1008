"""Encodings of several models side by side, then a linear SVM, one against the rest (Chao 2016, section 2.3)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from models.calibration import best_temperature, decisions, folds
from models.examples import Examples
from models.family import Context, Family, FitResult, Input, Report, Resources
from models.sklearn_model import SklearnModel, load_sklearn
from models.space import Choice
from models.svm import svm_pipeline

# In units of 1 / width (`svm_pipeline`): from hardly fitted to hardly regularised.
GRID = tuple(2.0**power for power in range(-8, 9, 2))


def vectorise(examples: Examples, slots: tuple[str, ...]) -> np.ndarray:
    """The clips' encodings side by side (N, sum of D_m) float64."""
    return np.concatenate([np.stack([np.asarray(a, np.float64) for a in examples.inputs[slot]]) for slot in slots], 1)


class ConcatSVM(SklearnModel):
    """`SklearnModel` whose C is chosen in `fit`, by cross-validation over the fit clips that keeps groups together."""

    def __init__(self, hyperparameters: Mapping[str, Any], context: Context):
        slots = tuple(slot.slot for slot in FAMILY.slots(context.shapes))
        self._width = sum(context.shapes[slot][0] for slot in slots)
        super().__init__(
            FAMILY,
            hyperparameters,
            context,
            self._machine(1.0, hyperparameters, context),
            partial(vectorise, slots=slots),
        )

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
        """See `models.family.Model.fit`; one epoch, after the grid search."""
        train.check_labels(self.context.classes)
        machines = {C: self._machine(C, self.hyperparameters, self.context) for C in GRID}
        C = best_penalty(machines, self._rows(train), train.labels(), train.groups, self.context.seed)
        self._unfitted = machines[C]
        return super().fit(train, held_out, epochs=epochs, max_epochs=max_epochs, report=report, resume=resume)

    def _machine(self, C: float, hyperparameters: Mapping[str, Any], context: Context) -> Pipeline:
        return svm_pipeline(
            self._width, kernel="linear", C=C, class_weight=hyperparameters["class_weight"], seed=context.seed
        )


def best_penalty(
    machines: Mapping[float, Pipeline], X: np.ndarray, y: np.ndarray, groups: tuple[str, ...] | None, seed: int
) -> float:
    """The C whose machine names most of the clips X (N, F), y (N,) right when their fold is left out.

    Ties go to the lower log loss, then to the smaller C; 1.0 where no folds can be made.
    """
    index = np.searchsorted(np.unique(y), y)
    pairs = folds(y, groups, seed)
    scores = {}
    for C, machine in machines.items() if pairs else ():
        values = np.concatenate([decisions(clone(machine).fit(X[a], y[a]), X[b]) for a, b in pairs])
        labels = np.concatenate([index[b] for _, b in pairs])
        p = log_softmax(values / best_temperature(values, labels), axis=1)
        scores[C] = (-np.mean(values.argmax(1) == labels), -p[np.arange(len(labels)), labels].mean(), C)
    return min(scores, key=lambda C: scores[C]) if scores else 1.0


FAMILY = Family(
    name="concat_svm",
    paper="Chao 2016",
    section="2.3",
    summary="encodings of several models side by side, linear SVM, C by grid search",
    inputs=(Input("members", "clip", 1, "lstm_encoder, temporal_pooling", many=True),),
    space={"class_weight": Choice(("none", "balanced"))},
    published=({"class_weight": "none"},),
    build=ConcatSVM,
    load=partial(load_sklearn, ConcatSVM),
    stage="fusion",
    resources=Resources(cpu=1.0, memory_mb=600),
)
