"""3-D ConvNet on face volumes, for continuous emotion (Huang 2018, section 2.1)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor, nn

from models.blocks.volumes import VolumeNetwork, max_pooled, start_
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float, Space
from models.training.settings import Settings
from models.training.step_model import StepModel
from models.training.torch_model import load_torch


class Conv3D(VolumeNetwork):
    """Four 3x3x3 convolutions, each max-pooled, and two dense layers."""

    def __init__(self, *sizes: Any, **more: Any):
        super().__init__(*sizes, **more)
        self.last = start_(nn.Conv3d(self.width, self.width, 3, padding=1))

    def fourth(self, x: Tensor, state: Any, outside: Tensor, inner: slice) -> tuple[Tensor, Any]:
        x = self.last(x).masked_fill(outside[:, None, :, None, None], 0)[:, :, inner]  # (B, C, T, H, W)
        return F.relu(max_pooled(x, self.kernels[3])), None


def build(hyperparameters: Mapping[str, Any], context: Context) -> StepModel:
    hp = hyperparameters
    settings = Settings("rmsprop", hp["lr"], hp["batch_size"], FAMILY.max_epochs, patience=20, clip=1.0)
    shape = context.shapes["faces"]

    def make() -> Conv3D:
        return Conv3D(shape, hp["filters"], hp["hidden"], context.outputs, hp["pooling"], hp["window"], hp["dropout"])

    return StepModel(FAMILY, hp, context, make, settings, hp["loss"])


def published_point(pooling: str, window: int) -> dict[str, Any]:
    """Stated are the kernels, the windows, RMSprop and dropout.

    Not stated are numbers of filters and units (Figure 1), learning rate (here RMSprop's usual one), batch size, and
    the loss: the squared error that a network of "inner product layers" had in Caffe.
    """
    return {
        "pooling": pooling,
        "window": window,
        "filters": 16,
        "hidden": 256,
        "dropout": 0.5,
        "lr": 0.001,
        "batch_size": 1,
        "loss": "mse",
    }


SPACE: Space = {
    "pooling": Choice(("original", "max_pooling", "temporal_pooling", "both")),
    # Steps that are averaged: at the paper's 100 ms, .2 to 1.2 s.
    "window": Choice((2, 4, 6, 8, 10, 12)),
    "filters": Choice((4, 8, 16, 32)),
    "hidden": Choice((64, 128, 256, 512)),
    "dropout": Float(0.0, 0.7),
    "lr": Float(1e-5, 0.003, log=True),
    "batch_size": Choice((1, 2, 4)),
    "loss": Choice(("mse", "ccc")),
}
# Table 1, in the order of its rows. The window is .8 s for arousal and .6 s for valence, with max pooling .4 s and
# .2 s; without averaging it means nothing.
PUBLISHED = (
    published_point("original", 8),
    published_point("max_pooling", 8),
    published_point("temporal_pooling", 8),
    published_point("temporal_pooling", 6),
    published_point("both", 4),
    published_point("both", 2),
)

FAMILY = Family(
    name="conv3d",
    paper="Huang 2018",
    section="2.1, 4",
    summary="3-D convolutions on 112x112 faces, two dense layers, a prediction for every step; four ways of pooling",
    inputs=(Input("faces", "frame", 2, "faces:size=112,fps=10"),),
    space=SPACE,
    published=PUBLISHED,
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    tasks=("regression", "classification"),
    resources=Resources(cpu=1.0, gpu=0.5, memory_mb=4000),
    smoke={"filters": 4, "hidden": 64},
)
