"""3-D ConvNet whose fourth layer is a ConvLSTM, for continuous emotion (Huang 2018, section 2.2)."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor

from models.blocks.convlstm import ConvLSTM
from models.blocks.volumes import VolumeNetwork, max_pooled
from models.families import conv3d
from models.family import Context, Family
from models.training.settings import Settings
from models.training.step_model import StepModel
from models.training.torch_model import load_torch


class ConvLSTMNetwork(VolumeNetwork):
    """Three 3x3x3 convolutions and a ConvLSTM, each max-pooled, and two dense layers."""

    depth = 1  # steps that a kernel of the ConvLSTM spans

    def __init__(self, *sizes: Any, **more: Any):
        super().__init__(*sizes, **more)
        self.recurrent = ConvLSTM(self.width, self.width, self.depth)

    def fourth(self, x: Tensor, state: Any, outside: Tensor, inner: slice) -> tuple[Tensor, Any]:
        side = self.depth // 2
        if side:  # each step beside its neighbours, zeros past both ends: (B, 3 C, T, H, W)
            steps = x.shape[2]
            padded = F.pad(x, (0, 0, 0, 0, side, side))
            x = torch.cat([padded[:, :, k : k + steps] for k in range(self.depth)], 1)
        h, state = self.recurrent(x[:, :, inner].movedim(2, 0), state)  # (T, B, C, H, W)
        # A state lies between -1 and 1: filled with -1, steps past the end are never the maximum beside valid ones.
        h = h.movedim(0, 2).masked_fill(outside[:, None, inner, None, None], -1)
        return max_pooled(h, self.kernels[3]), state


def build_for(
    family: Family, network: type[ConvLSTMNetwork], hyperparameters: Mapping[str, Any], context: Context
) -> StepModel:
    """The model of `family` around one of the networks."""
    hp = hyperparameters
    settings = Settings("rmsprop", hp["lr"], hp["batch_size"], family.max_epochs, patience=20, clip=1.0)
    shape = context.shapes["faces"]

    def make() -> ConvLSTMNetwork:
        return network(shape, hp["filters"], hp["hidden"], context.outputs, hp["pooling"], hp["window"], hp["dropout"])

    return StepModel(family, hp, context, make, settings, hp["loss"])


def build(hyperparameters: Mapping[str, Any], context: Context) -> StepModel:
    return build_for(FAMILY, ConvLSTMNetwork, hyperparameters, context)


# The paper's settings are the same for both networks. A GPU computes for a fifth of this one's time only, and waits for
# the next step's launch in the rest (docs/gpu.md).
FAMILY = replace(
    conv3d.FAMILY,
    resources=replace(conv3d.FAMILY.resources, gpu=0.25),
    name="convlstm",
    section="2.2, 4",
    summary="as conv3d, its fourth layer a ConvLSTM of 3x3 convolutions from input to state and from state to state",
    build=build,
    load=partial(load_torch, build),
)
