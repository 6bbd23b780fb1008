"""Fusion network on encodings: a hidden layer per modality, a common one, softmax (Kahou 2015, section 5.1)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.network import ClipNetwork
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "recttanh": lambda x: torch.tanh(x).relu(),  # section 6.2: max(0, tanh x)
}
WIDTHS = ("hidden_1", "hidden_2", "hidden_3")


class FusionMLP(ClipNetwork):
    """Figure 3: modality m has a layer of `widths[m]` units; all of them together feed `common` units, then softmax.

    `shared` and `own` weigh the two terms of `structured_penalty` on the modality layers.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        widths: Mapping[str, int],
        common: int,
        classes: int,
        activation: str,
        dropout: float,
        shared: float,
        own: float,
    ):
        super().__init__(shapes)
        self.modalities = nn.ModuleDict({slot: nn.Linear(shapes[slot][0], width) for slot, width in widths.items()})
        self.common = nn.Linear(sum(widths.values()), common)
        self.head = nn.Linear(common, classes)
        self.dropout = nn.Dropout(dropout)
        self.activation = ACTIVATIONS[activation]
        self.shared, self.own = shared, own

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        units = [self.activation(layer(inputs[slot][:, 0])) for slot, layer in self.modalities.items()]  # (B, H_m)
        h = self.dropout(torch.cat(units, dim=1))  # (B, sum of H_m)
        return self.dropout(self.activation(self.common(h)))  # (B, H)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        behind = [*self.common.parameters(), *self.head.parameters()]
        return [
            {"params": list(self.modalities.parameters()), "weight_decay": 0.0},
            {"params": behind, "weight_decay": weight_decay},
        ]

    def penalty(self) -> Tensor:
        weights = [cast(nn.Linear, layer).weight for layer in self.modalities.values()]
        return structured_penalty(weights, self.shared, self.own)


def structured_penalty(weights: list[Tensor], shared: float, own: float) -> Tensor:
    """The regulariser of Wu et al. 2015 on the modality layers' `weights`, each (H_m, F_m).

        shared / 2 * sum over j of || all weights into unit j of any modality ||_2  +  own / 2 * sum of |weight|

    The first term (l2,1) makes modalities share the same subset of hidden units, the second (l1) lets each keep
    weights of its own. Wu et al. group equal positions of weights, for which all modalities would have to be equally
    wide; the units of Kahou's are not, so a group is all that leads into the units of one number.
    """
    squares = weights[0].new_zeros(max(map(len, weights)))
    for weight in weights:
        squares = squares + nn.functional.pad(weight.square().sum(dim=1), (0, len(squares) - len(weight)))
    # A root's slope at 0 is infinite: a group of zeros must stay where it is.
    norms = squares.clamp(min=1e-24).sqrt()
    return shared / 2 * norms.sum() + own / 2 * sum(weight.abs().sum() for weight in weights)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    slots = [slot.slot for slot in FAMILY.slots(context.shapes)]
    # Further modalities are as wide as the third.
    widths = {slot: hp[WIDTHS[min(m, len(WIDTHS) - 1)]] for m, slot in enumerate(slots)}
    settings = Settings(
        "sgd",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=100,
        momentum=hp["momentum"],
        clip=10.0,
        weight_decay=hp["weight_decay"],
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: FusionMLP(
            context.shapes,
            widths,
            hp["common"],
            len(context.classes),
            hp["activation"],
            hp["dropout"],
            hp["shared"],
            hp["own"],
        ),
        settings,
    )


def _point(activation: str, *, stable: bool) -> dict[str, Any]:
    # Stated: the four widths (5.1), the rate of 0.1 and clipping at 10 (5.1), rate and momentum of the stable setting
    # (6.2), the activations (6.2). The regulariser's weights and the weight decay are near those of Wu et al.; batches
    # are those of the paper's RNN.
    return {
        "hidden_1": 100,
        "hidden_2": 10,
        "hidden_3": 50,
        "common": 70,
        "activation": activation,
        "dropout": 0.0,
        "lr": 0.001 if stable else 0.1,
        "momentum": 0.9 if stable else 0.0,
        "shared": 3e-5,
        "own": 3e-5,
        "weight_decay": 3e-5,
        "batch_size": 64,
        "class_weight": "none",
    }


_WIDTH = Choice((5, 10, 25, 50, 100, 200))
FAMILY = Family(
    name="fusion_mlp",
    paper="Kahou 2015",
    section="5.1",
    summary="a hidden layer per modality under a structured regulariser, a common layer, softmax",
    # The aggregated CNN's 105 numbers, ten components of the audio features, the IRNN's last 200 units.
    inputs=(Input("members", "clip", 1, "cnn_pool_svm, audio_svm|pca=10, cnn_irnn", many=True),),
    space={
        **dict.fromkeys(WIDTHS, _WIDTH),
        "common": Choice((35, 70, 140)),
        "activation": Choice(tuple(ACTIVATIONS)),
        "dropout": Float(0.0, 0.6),
        "lr": Float(1e-4, 0.3, log=True),
        "momentum": Choice((0.0, 0.9)),
        "shared": Float(1e-6, 0.01, log=True),
        "own": Float(1e-6, 0.01, log=True),
        "weight_decay": Float(1e-6, 0.01, log=True),
        "batch_size": Choice((16, 32, 64)),
        "class_weight": Choice(("none", "balanced")),
    },
    published=tuple(_point(activation, stable=stable) for activation in ACTIVATIONS for stable in (False, True)),
    build=build,
    load=partial(load_torch, build),
    # The paper's figure 5 counts epochs, but its axis is not stated; the stable rate needs hundreds.
    max_epochs=1000,
    stage="fusion",
    resources=Resources(cpu=1.0, memory_mb=600),
)
