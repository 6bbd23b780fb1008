"""LSTM encoding: a hidden layer on every frame, an LSTM, its last or mean state, softmax (Chao 2016, section 2.1)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from models.family import Context, Family, Input, Resources
from models.space import Choice, Float, Space
from models.training.network import ClipNetwork, last_step, mean_step, recur
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch

_POOL = {"last": last_step, "mean": mean_step}


class LSTMEncoder(ClipNetwork):
    """`pool` "mean" averages the LSTM's states over time, "last" takes the last one.

    Equation 4 writes the sum of the states; the sentence below it says average.
    """

    def __init__(self, features: int, hidden: int, cells: int, classes: int, pool: str, dropout: float):
        super().__init__({"frames": (features,)})
        self.pool = _POOL[pool]
        self.hidden = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.lstm = nn.LSTM(hidden, cells, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(cells, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        x = self.hidden(inputs["frames"])  # (B, T, F) -> (B, T, H)
        h = recur(self.lstm, x)  # (B, T, cells)
        # Section 4.1, dropout in all layers but the LSTM: on what enters it and what enters the softmax layer, never on
        # what goes from step to step.
        return self.dropout(self.pool(h, lengths["frames"]))  # (B, cells)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Section 4.1: weight decay on the softmax layer alone."""
        return decay_of_head(self, weight_decay)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    (features,) = context.shapes["frames"]
    settings = Settings(
        "adam",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=20,
        weight_decay=hp["weight_decay"],
        clip=1.0,
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: LSTMEncoder(features, hp["hidden"], hp["cells"], len(context.classes), hp["pool"], hp["dropout"]),
        settings,
    )


def decay_of_head(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Section 4.1: weight decay on the softmax layer `head` alone."""
    head = network.get_parameter("head.weight")
    rest = [parameter for parameter in network.parameters() if parameter is not head]
    return [{"params": rest, "weight_decay": 0.0}, {"params": [head], "weight_decay": weight_decay}]


# How the paper's networks are trained (section 4.1): dropout and weight decay are stated; the optimiser (Adam), its
# learning rate, and the batch size are not.
TRAINING_SPACE: Space = {
    "dropout": Float(0.0, 0.7),
    "weight_decay": Float(1e-6, 0.01, log=True),
    "lr": Float(1e-4, 0.01, log=True),
    "batch_size": Choice((16, 32, 64)),
    "class_weight": Choice(("none", "balanced")),
}
TRAINING = {"dropout": 0.5, "weight_decay": 0.0005, "lr": 0.001, "batch_size": 32, "class_weight": "none"}


def _point(pool: str) -> dict[str, Any]:
    # The sizes are stated; the gradient's limit (1) is not.
    return {"hidden": 64, "cells": 64, "pool": pool, **TRAINING}


FAMILY = Family(
    name="lstm_encoder",
    paper="Chao 2016",
    section="2.1",
    summary="hidden layer on every step, LSTM, mean or last state, softmax",
    inputs=(Input("frames", "frame", 1, "face_cnn.conv3"),),
    space={
        "hidden": Choice((32, 64, 128)),
        "cells": Choice((32, 64, 128)),
        "pool": Choice(("mean", "last")),
        **TRAINING_SPACE,
    },
    # Table 1: LSTM-mean, then LSTM-last.
    published=(_point("mean"), _point("last")),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1000),
)
