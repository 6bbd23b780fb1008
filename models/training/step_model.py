"""A network that scores every step, as a `models.family.Model`: of continuous emotion, or of classes."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from models.examples import Examples
from models.family import Context, Family
from models.training.batches import Packed
from models.training.goals import Goal
from models.training.regression import Loss, Regression, StepNetwork, step_scores
from models.training.settings import Settings
from models.training.torch_model import TorchModel


class StepModel(TorchModel):
    """Fits a `StepNetwork`: on the labels of each step where the context has dimensions, else on classes."""

    def __init__(
        self,
        family: Family,
        hyperparameters: Mapping[str, Any],
        context: Context,
        make: Callable[[], StepNetwork],
        settings: Settings,
        loss: Loss,
    ):
        super().__init__(family, hyperparameters, context, make, settings)
        self._loss: Loss = loss

    def predict_steps(self, examples: Examples) -> list[np.ndarray]:
        """For each clip its predictions (T_n, D) float32, a row for each step of its inputs."""
        network = cast(StepNetwork, self.network)
        return step_scores(network, network.standardise_(self._pack(examples)))

    def _check(self, examples: Examples) -> None:
        if self.context.dimensions:
            examples.check_targets(self.context.dimensions)
        else:
            super()._check(examples)

    def _goal(self, train: Examples, held_out: Examples | None, packed: Packed | None) -> Goal | None:
        dimensions = self.context.dimensions
        if not dimensions:
            return None
        window = cast(StepNetwork, self.network).window
        measured = None
        if held_out is not None and packed is not None:
            measured = packed, held_out.check_targets(dimensions)
        return Regression(
            self._loss, window, dimensions, train.check_targets(dimensions), self.context.device, measured
        )
