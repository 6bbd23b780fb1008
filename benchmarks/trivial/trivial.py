"""A family that trains in no time, so that a search over it costs nothing but the search itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.examples import Examples
from models.family import Context, Family, FitResult, Input, Report
from models.metrics import held_out_metrics
from models.space import Float


class Trivial:
    """Scores a clip by its first features, `scale` times as sharp."""

    def __init__(self, hyperparameters: Mapping[str, Any], context: Context):
        self._scale, self._classes = hyperparameters["scale"], len(context.classes)

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
        """Nothing is learnt."""
        metrics = {} if held_out is None else held_out_metrics(self.predict(held_out), held_out.labels())
        if report is not None:
            report(1, metrics)
        return FitResult(1, 1, metrics, ({"epoch": 1, **metrics},))

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32."""
        e = np.exp(self._scale * np.stack(examples.inputs["x"])[:, : self._classes])
        return (e / e.sum(1, keepdims=True)).astype(np.float32)


FAMILY = Family(
    name="trivial",
    paper="none",
    section="",
    summary="trains nothing",
    inputs=(Input("x", "clip", 1, "functionals"),),
    space={"scale": Float(0.01, 1.0), "other": Float(0.0, 1.0)},
    published=(),
    build=Trivial,
    load=lambda folder, device: Trivial({"scale": 1.0}, Context((), {})),
)
