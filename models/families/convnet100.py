"""AlexNet-like network of 3x3 filters on 100x100 faces (Zheng, section on spatial features)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from models.blocks.stills import StagedNetwork, StillModel, still_space
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.torch_model import load_torch

LAYERS = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7")
# AlexNet's numbers of filters. The paper states size and input only: stride and padding are chosen so that pool5 has
# AlexNet's 9216 numbers.
_FILTERS = (96, 256, 384, 384, 256)


class ConvNet(StagedNetwork):
    """Five convolutions, three of them pooled, and two dense layers before the softmax."""

    def __init__(
        self, shape: tuple[int, ...], hidden: int, classes: int, dropout: float, batch_norm: bool, frozen: bool
    ):
        super().__init__(shape, frozen=frozen)
        before, side = self.channels, shape[0]
        for number, filters in enumerate(_FILTERS, 1):
            stride = 2 if number == 1 else 1
            convolution = nn.Conv2d(before, filters, 3, stride=stride, padding=1, bias=not batch_norm)
            norm = [nn.BatchNorm2d(filters)] if batch_norm else []
            self.stages[f"conv{number}"] = nn.Sequential(convolution, *norm, nn.ReLU())
            before, side = filters, -(-side // stride)
            if number in (1, 2, 5):
                self.stages[f"pool{number}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
                side = -(-(side - 3) // 2) + 1
        self.stages["fc6"] = _dense(before * side * side, hidden, dropout)
        self.stages["fc7"] = _dense(hidden, hidden, dropout)
        self.finish(hidden, classes)


def _dense(before: int, after: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))


def build(hyperparameters: Mapping[str, Any], context: Context) -> StillModel:
    hp = hyperparameters
    shape, classes = context.shapes["faces"], len(context.classes)

    def make() -> ConvNet:
        return ConvNet(shape, hp["hidden"], classes, hp["dropout"], hp["batch_norm"], hp["frozen"])

    return StillModel(FAMILY, hp, context, make, LAYERS)


FAMILY = Family(
    name="convnet100",
    paper="Zheng",
    section="Spatial Feature Modeling",
    summary="AlexNet-like network of 3x3 filters on 100x100 grey faces; with `frozen`, only its dense layers train",
    inputs=(Input("faces", "frame", 2, "faces:size=100"),),
    space=still_space(
        {
            "hidden": Choice((512, 1024, 4096)),
            "dropout": Float(0.0, 0.7),
            "batch_norm": Choice((False, True)),
            "frozen": Choice((False, True)),
        },
        lr=Float(0.001, 0.05, log=True),
        batch_size=Choice((32, 64, 128)),
    ),
    # Stated for all models of the paper: the learning rate and its decay (the L1 of 0.0001 is under `training` in the
    # recipes). The rest is not: AlexNet's dense layers and dropout.
    published=(
        {
            "hidden": 4096,
            "dropout": 0.5,
            "batch_norm": False,
            "frozen": False,
            "lr": 0.005,
            "decay": 0.99,
            "weight_decay": 0.0005,
            "batch_size": 64,
            "class_weight": "none",
        },
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=60,
    stage="backbone",
    weights=True,
    resources=Resources(cpu=1.0, gpu=0.5, memory_mb=6000),
    smoke={"hidden": 512},
)
