"""AlexNet on faces, whose layers are Chao's appearance features (Chao 2016, section 3.2; Krizhevsky 2012)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from features.errors import WrongUse
from models.blocks.stills import StagedNetwork, StillModel, still_space
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.pretrained import Naming
from models.training.torch_model import load_torch

LAYERS = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7")
# Convolution: filters, filter size, stride, padding, groups. Two groups are the two GPUs of Krizhevsky's network.
_CONVOLUTIONS = {
    "conv1": (96, 11, 4, 0, 1),
    "conv2": (256, 5, 1, 2, 2),
    "conv3": (384, 3, 1, 1, 1),
    "conv4": (384, 3, 1, 1, 2),
    "conv5": (256, 3, 1, 1, 2),
}

NAMINGS = (
    Naming(
        "Caffe",
        {
            **{f"stages.{name}.0": name for name in _CONVOLUTIONS},
            "stages.fc6.1": "fc6",
            "stages.fc7.1": "fc7",
            "head": "fc8",
        },
        (122.679, 116.669, 104.008),
        bgr=True,
    ),
)


class AlexNet(StagedNetwork):
    """Five convolutions and two dense layers, of `width` times Krizhevsky's numbers of filters and units.

    Where it has no batch normalisation, pooled layers are normalised over neighbouring filters, as in 2012.
    """

    def __init__(
        self, shape: tuple[int, ...], width: float, classes: int, dropout: float, batch_norm: bool, frozen: bool = False
    ):
        super().__init__(shape, frozen=frozen)
        before, side = self.channels, shape[0]
        for name, (filters, size, stride, padding, groups) in _CONVOLUTIONS.items():
            filters = int(filters * width)
            layers: list[nn.Module] = [nn.Conv2d(before, filters, size, stride, padding, groups=groups)]
            layers += [nn.BatchNorm2d(filters)] if batch_norm else []
            self.stages[name] = nn.Sequential(*layers, nn.ReLU())
            before, side = filters, (side + 2 * padding - size) // stride + 1
            if name in ("conv1", "conv2", "conv5"):
                # Rounded up, as in Caffe: pool5 has 6x6 fields for images of 224 pixels and of 227.
                pooled: list[nn.Module] = [nn.MaxPool2d(3, 2, ceil_mode=True)]
                if name != "conv5" and not batch_norm:
                    pooled.append(nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75))
                self.stages[name.replace("conv", "pool")] = nn.Sequential(*pooled)
                side = -(-(side - 3) // 2) + 1
        if side < 1:
            raise WrongUse(f"alexnet_face expects faces of 39x39 pixels or more, but got {'x'.join(map(str, shape))}.")
        hidden = int(4096 * width)
        for name, inputs in (("fc6", before * side * side), ("fc7", hidden)):
            self.stages[name] = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.finish(hidden, classes)


def build(hyperparameters: Mapping[str, Any], context: Context) -> StillModel:
    hp = hyperparameters
    shape, classes = context.shapes["faces"], len(context.classes)

    def make() -> AlexNet:
        return AlexNet(shape, hp["width"], classes, hp["dropout"], hp["batch_norm"], hp["frozen"])

    return StillModel(FAMILY, hp, context, make, LAYERS, NAMINGS)


FAMILY = Family(
    name="alexnet_face",
    paper="Chao 2016",
    section="3.2",
    summary="AlexNet on 224x224 colour faces, in the paper trained to tell people apart; its layers are features",
    inputs=(Input("faces", "frame", 3, "faces:colour=true,size=224"),),
    space=still_space(
        {
            "width": Choice((1.0, 0.5, 0.25)),
            "dropout": Float(0.0, 0.7),
            "batch_norm": Choice((False, True)),
            "frozen": Choice((False, True)),
        },
        lr=Float(0.001, 0.05, log=True),
        batch_size=Choice((32, 64, 128)),
    ),
    # The paper states the architecture only; these numbers are Krizhevsky's, but for the decay.
    published=(
        {
            "width": 1.0,
            "dropout": 0.5,
            "batch_norm": False,
            "frozen": False,
            "lr": 0.01,
            "decay": 0.95,
            "weight_decay": 0.0005,
            "batch_size": 128,
            "class_weight": "none",
        },
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=60,
    stage="backbone",
    weights=True,
    resources=Resources(cpu=1.0, gpu=1.0, memory_mb=12000),
    smoke={"width": 0.25},
)
