"""Layer mix: a learnt weight for each of a frozen encoder's layers, pooled over time (SUPERB; EmoBox)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.blocks.attention_pooling import PROBE, PROBE_SPACE, AttentionPooling, probe_settings
from models.family import Context, Family, Input, Resources
from models.space import Choice
from models.training.network import ClipNetwork, mean_step
from models.training.torch_model import TorchModel, load_torch


class LayerMix(ClipNetwork):
    """Softmax weights over the layers, projection, mean or attention over time, a hidden layer, softmax."""

    def __init__(self, shape: tuple[int, ...], hidden: int, classes: int, pool: str, dropout: float):
        super().__init__({"layers": shape})
        layers, features = shape
        self.weights = nn.Parameter(torch.zeros(layers))
        self.projection = nn.Linear(features, hidden)
        self.attention = AttentionPooling(hidden) if pool == "attention" else None
        self.hidden = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        mixed = torch.einsum("btlf,l->btf", inputs["layers"], self.weights.softmax(0))  # (B, T, L, F) -> (B, T, F)
        h = self.projection(mixed)  # (B, T, H)
        v = self.attention(h, lengths["layers"]) if self.attention else mean_step(h, lengths["layers"])  # (B, H)
        return self.dropout(self.hidden(self.dropout(v)).relu())  # (B, H)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """No weight decay on the layers' weights: it would draw them to equal ones."""
        others = [parameter for name, parameter in self.named_parameters() if name != "weights"]
        return [{"params": [self.weights], "weight_decay": 0.0}, {"params": others, "weight_decay": weight_decay}]


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp, shape = hyperparameters, tuple(context.shapes["layers"])
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: LayerMix(shape, hp["hidden"], len(context.classes), hp["pool"], hp["dropout"]),
        probe_settings(hp, FAMILY.max_epochs),
    )


FAMILY = Family(
    name="layer_mix",
    paper="Yang 2021 (SUPERB); Ma 2024 (EmoBox)",
    section="downstream models",
    summary="learnt softmax weights over an encoder's layers, mean or attention over time, hidden layer, softmax",
    inputs=(Input("layers", "frame", 2, "speech:layers=all", is_map=True),),
    space={"pool": Choice(("mean", "attention")), **PROBE_SPACE},
    # The kind of probe that both benchmarks use, not their numbers: they search the learning rate for each encoder.
    published=({"pool": "mean", **PROBE}, {"pool": "attention", **PROBE}),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=2000),
    smoke={"hidden": 64},
)
