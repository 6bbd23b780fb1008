"""Inception-v2 on stills (Guo 2019, section 2.4; Ioffe and Szegedy 2015, Szegedy 2015)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.blocks.stills import StagedNetwork, StillModel, still_space
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.torch_model import load_torch

# Filters of a block: 1x1; 3x3 after its reduction; two 3x3 after theirs; what is pooled, and its projection. The blocks
# without a 1x1 branch halve the picture. 4c is that of TensorFlow's inception_v2: the 2015 table doesn't add up there.
_BLOCKS = {
    "3a": (64, (64, 64), (64, 96), "mean", 32),
    "3b": (64, (64, 96), (64, 96), "mean", 64),
    "3c": (0, (128, 160), (64, 96), "max", 0),
    "4a": (224, (64, 96), (96, 128), "mean", 128),
    "4b": (192, (96, 128), (96, 128), "mean", 128),
    "4c": (160, (128, 160), (128, 160), "mean", 96),
    "4d": (96, (128, 192), (160, 192), "mean", 96),
    "4e": (0, (128, 192), (192, 256), "max", 0),
    "5a": (352, (192, 320), (160, 224), "mean", 128),
    "5b": (352, (192, 320), (192, 224), "max", 128),
}
LAYERS = ("conv1", "pool1", "conv2", "pool2", *(f"mixed{name}" for name in _BLOCKS), "global_pool")


class Block(nn.Module):
    """Branches of 1x1, 3x3 and two 3x3 filters and of pooling, side by side: (N, K, h, w) to (N, channels, h', w')."""

    def __init__(self, before: int, one: int, three: tuple[int, int], double: tuple[int, int], pool: str, project: int):
        super().__init__()
        stride = 1 if one else 2
        pooling = nn.AvgPool2d(3, 1, 1) if pool == "mean" else nn.MaxPool2d(3, stride, 1)
        branches: list[nn.Module] = [unit(before, one, 1)] if one else []
        branches += [
            nn.Sequential(unit(before, three[0], 1), unit(three[0], three[1], 3, stride)),
            nn.Sequential(
                unit(before, double[0], 1), unit(double[0], double[1], 3), unit(double[1], double[1], 3, stride)
            ),
            nn.Sequential(pooling, unit(before, project, 1)) if project else pooling,
        ]
        self.branches = nn.ModuleList(branches)
        self.channels = one + three[1] + double[1] + (project or before)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Inception(StagedNetwork):
    """Inception-v2 of `width` times the numbers of filters; it takes images of any size of 32 or more."""

    def __init__(self, shape: tuple[int, ...], width: float, classes: int, dropout: float, slot: str = "faces"):
        super().__init__(shape, slot)
        self.dropout = nn.Dropout(dropout)
        first, second = int(64 * width), int(192 * width)
        self.stages["conv1"] = unit(self.channels, first, 7, 2)
        self.stages["pool1"] = nn.MaxPool2d(3, 2, 1)
        self.stages["conv2"] = nn.Sequential(unit(first, first, 1), unit(first, second, 3))
        self.stages["pool2"] = nn.MaxPool2d(3, 2, 1)
        channels = second
        for name, (one, three, double, pool, project) in _BLOCKS.items():
            block = Block(
                channels, int(one * width), _scaled(three, width), _scaled(double, width), pool, int(project * width)
            )
            self.stages[f"mixed{name}"], channels = block, block.channels
        self.stages["global_pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), self.dropout)
        self.finish(channels, classes)


def unit(before: int, after: int, size: int, stride: int = 1) -> nn.Module:
    """A convolution with batch normalisation and rectification."""
    convolution = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


def _scaled(filters: tuple[int, int], width: float) -> tuple[int, int]:
    return int(filters[0] * width), int(filters[1] * width)


def build(hyperparameters: Mapping[str, Any], context: Context) -> StillModel:
    hp = hyperparameters
    shape, classes = context.shapes["faces"], len(context.classes)
    return StillModel(FAMILY, hp, context, lambda: Inception(shape, hp["width"], classes, hp["dropout"]), LAYERS)


FAMILY = Family(
    name="inception_v2",
    paper="Guo 2019",
    section="2.4",
    summary="Inception-v2 with batch normalisation on grey stills; global_pool is what Guo's LSTM reads",
    inputs=(Input("faces", "frame", 2, "faces:size=48"),),
    space=still_space(
        {
            "width": Choice((1.0, 0.5, 0.25)),
            "dropout": Float(0.0, 0.7),
        },
        lr=Float(0.001, 0.1, log=True),
        batch_size=Choice((16, 32, 64)),
    ),
    # The paper refers to Inception-v2 on ImageNet: 0.045, times 0.94 every two epochs, weight decay 0.00004.
    published=(
        {
            "width": 1.0,
            "dropout": 0.2,
            "lr": 0.045,
            "decay": 0.97,
            "weight_decay": 0.00004,
            "batch_size": 32,
            "class_weight": "none",
        },
    ),
    build=build,
    load=partial(load_torch, build),
    max_epochs=60,
    stage="backbone",
    weights=True,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=3000),
    smoke={"width": 0.25},
)
