"""Attention pooling over frame features of one or several sets, aligned in time (MERBench's baseline)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.blocks.attention_pooling import PROBE, PROBE_SPACE, AttentionPooling, aligned, probe_settings
from models.family import Context, Family, Input, Resources
from models.training.network import ClipNetwork
from models.training.torch_model import TorchModel, load_torch


class AttentionPool(ClipNetwork):
    """A projection for each set; all at the steps of the first; attention pooling, a hidden layer, softmax."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], hidden: int, classes: int, dropout: float):
        super().__init__(shapes)
        self.projections = nn.ModuleDict({slot: nn.Linear(shape[0], hidden) for slot, shape in shapes.items()})
        self.attention = AttentionPooling(len(shapes) * hidden)
        self.hidden = nn.Linear(len(shapes) * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        first = next(iter(self.projections))
        steps, most = lengths[first], inputs[first].shape[1]
        each = []
        for slot, projection in self.projections.items():
            h = projection(inputs[slot])  # (B, T_m, F_m) -> (B, T_m, H)
            each.append(h if slot == first else aligned(h, lengths[slot], steps, most))  # (B, T, H)
        v = self.attention(torch.cat(each, dim=2).relu(), steps)  # (B, M H)
        return self.dropout(self.hidden(self.dropout(v)).relu())  # (B, H)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    shapes = {slot.slot: tuple(context.shapes[slot.slot]) for slot in FAMILY.slots(context.shapes)}
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: AttentionPool(shapes, hp["hidden"], len(context.classes), hp["dropout"]),
        probe_settings(hp, FAMILY.max_epochs),
    )


FAMILY = Family(
    name="attention_pool",
    paper="Lian 2024 (MERBench)",
    section="attention over features",
    summary="frame features of one or several sets aligned in time, attention pooling, hidden layer, softmax",
    inputs=(Input("frames", "frame", 1, "speech", many=True),),
    space=PROBE_SPACE,
    # The kind of baseline that the paper uses, not its numbers: it searches widths, dropout and rate for each feature.
    published=({**PROBE, "hidden": 128},),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1500),
    smoke={"hidden": 64},
)
