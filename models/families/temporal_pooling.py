"""Temporal pooling: a hidden layer on every frame, the maximum or mean over time, softmax (Chao 2016, section 2.2)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from models.families.lstm_encoder import TRAINING, TRAINING_SPACE, decay_of_head
from models.family import Context, Family, Input, Resources
from models.space import Choice
from models.training.network import ClipNetwork, max_step, mean_step
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch

_POOL = {"max": max_step, "mean": mean_step}


class TemporalPooling(ClipNetwork):
    """`pool_at` "hidden" pools the hidden layer over time; "input" the raw features, the paper's baseline."""

    def __init__(self, features: int, hidden: int, classes: int, pool: str, pool_at: str, dropout: float):
        super().__init__({"frames": (features,)})
        self.pool, self.pool_at = _POOL[pool], pool_at
        self.hidden = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        x = inputs["frames"]  # (B, T, F)
        if self.pool_at == "input":
            v = self.hidden(self.pool(x, lengths["frames"]))  # (B, H)
        else:
            v = self.pool(self.hidden(x), lengths["frames"])  # (B, H)
        # One mask for all steps of a clip commutes with pooling. A mask per step would not: the maximum over time would
        # nearly always find a step that kept the unit, doubled.
        return self.dropout(v)

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
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: TemporalPooling(features, hp["hidden"], len(context.classes), hp["pool"], hp["pool_at"], hp["dropout"]),
        settings,
    )


def _point(hidden: int, pool: str, pool_at: str = "hidden") -> dict[str, Any]:
    return {"hidden": hidden, "pool": pool, "pool_at": pool_at, **TRAINING}


FAMILY = Family(
    name="temporal_pooling",
    paper="Chao 2016",
    section="2.2",
    summary="hidden layer on every step, maximum or mean over time, softmax",
    inputs=(Input("frames", "frame", 1, "face_cnn.conv3"),),
    space={
        "hidden": Choice((64, 128, 256)),
        "pool": Choice(("max", "mean")),
        "pool_at": Choice(("hidden", "input")),
        **TRAINING_SPACE,
    },
    # Table 1 in the order of its accuracies, with the audio network's 128 units (section 4.1) second.
    published=(
        _point(256, "max"),
        _point(128, "max"),
        _point(64, "max"),
        _point(64, "mean"),
        _point(64, "mean", "input"),
        _point(64, "max", "input"),
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1000),
)
