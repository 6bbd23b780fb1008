"""VGG-16 on faces, the first two steps of Guo's VGG-LSTM (Guo 2019, section 2.1; Simonyan and Zisserman 2014)."""

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

# Filters of the 3x3 convolutions of each block; a block ends in pooling.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = (
    *(
        f"conv{b}_{c}" if c <= len(block) else f"pool{b}"
        for b, block in enumerate(_BLOCKS, 1)
        for c in range(1, len(block) + 2)
    ),
    "fc6",
    "fc7",
)

_IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# torchvision numbers all layers of a row, rectification and pooling among them.
_TORCHVISION = {
    **{
        f"stages.{name}.0": f"features.{number}"
        for name, number in zip(
            (name for name in LAYERS if name.startswith("conv")),
            (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
            strict=True,
        )
    },
    "stages.fc6.1": "classifier.0",
    "stages.fc7.1": "classifier.3",
    "head": "classifier.6",
}
_VGG_FACE = {
    **{f"stages.{name}.0": name for name in LAYERS if name.startswith("conv")},
    "stages.fc6.1": "fc6",
    "stages.fc7.1": "fc7",
    "head": "fc8",
}
NAMINGS = (
    Naming("VGG-Face (converted from MatConvNet)", _VGG_FACE, (129.1863, 104.7624, 93.5940)),
    Naming("torchvision", _TORCHVISION, *_IMAGENET),
)


class VGG16(StagedNetwork):
    """Thirteen convolutions in five pooled blocks and two dense layers, of `width` times VGG-16's numbers.

    The softmax layer learns `head_lr` times as fast as the others.
    """

    def __init__(
        self, shape: tuple[int, ...], width: float, classes: int, dropout: float, batch_norm: bool, head_lr: float
    ):
        super().__init__(shape)
        self.head_lr = head_lr
        before, side = self.channels, shape[0]
        for b, block in enumerate(_BLOCKS, 1):
            for c, filters in enumerate(block, 1):
                after = int(filters * width)
                norm = [nn.BatchNorm2d(after)] if batch_norm else []
                self.stages[f"conv{b}_{c}"] = nn.Sequential(nn.Conv2d(before, after, 3, padding=1), *norm, nn.ReLU())
                before = after
            self.stages[f"pool{b}"] = nn.MaxPool2d(2)
            side //= 2
        if side < 1:
            raise WrongUse(f"vgg16 expects faces of 32x32 pixels or more, but got {'x'.join(map(str, shape))}.")
        hidden = int(4096 * width)
        for name, inputs in (("fc6", before * side * side), ("fc7", hidden)):
            self.stages[name] = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.finish(hidden, classes)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The softmax layer is a group of its own, with its own learning rate."""
        return [
            {"params": list(self.stages.parameters()), "weight_decay": weight_decay},
            {"params": list(self.head.parameters()), "weight_decay": weight_decay, "lr_factor": self.head_lr},
        ]


def build(hyperparameters: Mapping[str, Any], context: Context) -> StillModel:
    hp = hyperparameters
    shape, classes = context.shapes["faces"], len(context.classes)

    def make() -> VGG16:
        return VGG16(shape, hp["width"], classes, hp["dropout"], hp["batch_norm"], hp["head_lr"])

    return StillModel(FAMILY, hp, context, make, LAYERS, NAMINGS)


FAMILY = Family(
    name="vgg16",
    paper="Guo 2019",
    section="2.1",
    summary="VGG-16 on 224x224 colour faces, from VGG-Face's weights where given; fc6 feeds an LSTM",
    inputs=(Input("faces", "frame", 3, "faces:colour=true,size=224"),),
    space=still_space(
        {
            "width": Choice((1.0, 0.5, 0.25)),
            "dropout": Float(0.0, 0.7),
            "batch_norm": Choice((False, True)),
            "head_lr": Choice((1.0, 10.0)),
        },
        lr=Float(0.0001, 0.05, log=True),
        batch_size=Choice((16, 32, 64)),
    ),
    # The tenfold rate of the last layer and its deviation of 0.01 are stated; the others are VGG-16's own, the learning
    # rate a tenth of it, as for fine-tuning.
    published=(
        {
            "width": 1.0,
            "dropout": 0.5,
            "batch_norm": False,
            "head_lr": 10.0,
            "lr": 0.001,
            "decay": 0.95,
            "weight_decay": 0.0005,
            "batch_size": 32,
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
