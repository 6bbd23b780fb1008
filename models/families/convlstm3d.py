"""3-D ConvNet whose fourth layer is a ConvLSTM of 3x3x3 convolutions, as published (Huang 2018, sections 2.2 and 4.1).

The paper's ConvLSTM has "3D convolution" from input to state and from state to state, and all its kernels are 3x3x3.
How far a kernel reaches in time is read so: over the input's step before and after, as in the layers below, and over
the three states before the step.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from models.families import convlstm
from models.families.convlstm import ConvLSTMNetwork, build_for
from models.family import Context
from models.training.step_model import StepModel
from models.training.torch_model import load_torch


class ConvLSTM3DNetwork(ConvLSTMNetwork):
    """As `ConvLSTMNetwork`, with kernels of three steps."""

    depth = 3


def build(hyperparameters: Mapping[str, Any], context: Context) -> StepModel:
    return build_for(FAMILY, ConvLSTM3DNetwork, hyperparameters, context)


FAMILY = replace(
    convlstm.FAMILY,
    name="convlstm3d",
    section="2.2, 4.1",
    summary="as conv3d, its fourth layer a ConvLSTM of 3x3x3 convolutions from input to state and from state to state",
    build=build,
    load=partial(load_torch, build),
)
