"""Face CNN on stills, whose layers the clip families read frame by frame (Kahou 2015, section 2.1.3)."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from features.errors import WrongUse
from models.blocks.stills import StillModel, StillNetwork
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.torch_model import load_torch

# The output of each stage, after max pooling.
LAYERS = ("conv1", "conv2", "conv3")
# structure -> (filter size, filters of each convolution, padding of each convolution); a tuple per pooled stage.
# Filter sizes and numbers of the shallow two are the paper's; of the deep one it states the filter size only. Padding
# is left open: without it in the first two stages of the wide filters, an epoch of FER2013 takes seconds on a core.
_STRUCTURES: Mapping[str, tuple[int, tuple[tuple[int, ...], ...], tuple[int, ...]]] = {
    "3x3": (3, ((32, 32), (64, 64), (128, 128, 128, 128)), (1, 1, 1)),
    "5x5": (5, ((64,), (64,), (128,)), (0, 0, 2)),
    "9x9": (9, ((32,), (32,), (64,)), (0, 0, 4)),
}


class FaceCNN(StillNetwork):
    """Three stages of convolution, pooling and rectification, then softmax, on grey images (H, W) as uint8.

    In training, frames are cropped at random and mirrored half the time.
    """

    def __init__(self, shape: tuple[int, ...], structure: str, classes: int, dropout: float, batch_norm: bool):
        super().__init__(shape)
        size, stages, padding = _STRUCTURES[structure]
        self.crop, self.augmented = tuple(side * 11 // 12 for side in shape), True
        self.stages = nn.ModuleList()
        channels, sides = 1, self.crop
        for filters, pad in zip(stages, padding, strict=True):
            layers: list[nn.Module] = []
            for before, after in pairwise((channels, *filters)):
                convolution = nn.Conv2d(before, after, size, padding=pad, bias=not batch_norm)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                # Twice as fast on a CPU as the channels-first order.
                convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)
                layers += [convolution, *([nn.BatchNorm2d(after)] if batch_norm else []), nn.ReLU()]
            # Before the last rectification: the same numbers from a quarter of the work.
            layers.insert(-1, nn.MaxPool2d(2))
            self.stages.append(nn.Sequential(*layers))
            channels, sides = filters[-1], tuple((side + (2 * pad + 1 - size) * len(filters)) // 2 for side in sides)
        if min(sides) < 1:
            came = "x".join(map(str, shape))
            raise WrongUse(f"face_cnn with {structure} filters expects faces of 48x48 pixels or more, but got {came}.")
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels * sides[0] * sides[1], classes)

    def frames(self, images: Tensor, layer: str | None = None) -> Tensor:
        stages = LAYERS.index(layer or LAYERS[-1]) + 1
        x = self.scalers["faces"](images)  # (N, H, W)
        x = (_random_crop if self.training and self.augmented else _centre_crop)(x, self.crop)
        x = x[:, None].contiguous(memory_format=torch.channels_last)  # (N, 1, h, w)
        for stage in self.stages[:stages]:
            x = stage(x)  # (N, K, h, w)
        return self.dropout(x.flatten(1))  # (N, K h w)


def _random_crop(images: Tensor, crop: tuple[int, ...]) -> Tensor:
    """A window of size `crop` (h, w) at a random place of each image (N, H, W), mirrored with probability 0.5."""
    n, (h, w) = len(images), crop
    windows = images.unfold(1, h, 1).unfold(2, w, 1)  # (N, H-h+1, W-w+1, h, w), a view
    # Drawn on the CPU, so that a GPU sees the same crops.
    top, left = (torch.randint(windows.shape[axis], (n,)).to(images.device) for axis in (1, 2))
    flip = (torch.rand(n) < 0.5).to(images.device)
    x = windows[torch.arange(n, device=images.device), top, left]  # (N, h, w)
    return torch.where(flip[:, None, None], x.flip(2), x)


def _centre_crop(images: Tensor, crop: tuple[int, ...]) -> Tensor:
    top, left = ((side - part) // 2 for side, part in zip(images.shape[1:], crop, strict=True))
    return images[:, top : top + crop[0], left : left + crop[1]]


def build(hyperparameters: Mapping[str, Any], context: Context) -> StillModel:
    hp = hyperparameters
    shape, classes = context.shapes["faces"], len(context.classes)
    return StillModel(
        FAMILY,
        hp,
        context,
        lambda: FaceCNN(shape, hp["structure"], classes, hp["dropout"], hp["batch_norm"]),
        LAYERS,
    )


def _point(structure: str) -> dict[str, Any]:
    # Structure, dropout and augmentation are stated; the optimiser and its numbers are not.
    return {
        "structure": structure,
        "dropout": 0.25,
        "batch_norm": False,
        "lr": 0.02,
        "decay": 0.95,
        "weight_decay": 0.0005,
        "batch_size": 64,
        "class_weight": "none",
    }


FAMILY = Family(
    name="face_cnn",
    paper="Kahou 2015",
    section="2.1.3",
    summary="three convolution stages on 48x48 grey faces, trained on stills; a backbone for clip families",
    inputs=(Input("faces", "frame", 2, "faces:size=48"),),
    space={
        "structure": Choice(tuple(_STRUCTURES)),
        "dropout": Float(0.0, 0.6),
        "batch_norm": Choice((False, True)),
        "lr": Float(0.002, 0.1, log=True),
        "decay": Float(0.85, 1.0),
        "weight_decay": Float(1e-6, 0.005, log=True),
        "batch_size": Choice((32, 64, 128)),
        "class_weight": Choice(("none", "balanced")),
    },
    published=(_point("9x9"), _point("5x5"), _point("3x3")),
    build=build,
    load=partial(load_torch, build),
    max_epochs=60,
    stage="backbone",
    weights=True,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=2500),
)
