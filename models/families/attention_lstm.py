"""Attention LSTM: a peephole LSTM over a CNN's outputs, its states weighted by attention, softmax (Zheng)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.blocks.peephole import PeepholeLSTM
from models.family import Context, Family, Input, Resources
from models.space import Choice, Float
from models.training.network import ClipNetwork, last_step, valid_steps
from models.training.settings import Settings
from models.training.torch_model import TorchModel, load_torch


class Attention(nn.Module):
    """Equations 2 and 3: from all states (B, T, H) to one vector (B, H) of each clip.

    M = tanh(W_h H),  a = softmax(w^T M),  r = H a^T,  h* = tanh(W_p r + W_x h_N)
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.w_h = nn.Linear(hidden, hidden, bias=False)
        self.w = nn.Linear(hidden, 1, bias=False)
        self.w_p = nn.Linear(hidden, hidden, bias=False)
        self.w_x = nn.Linear(hidden, hidden, bias=False)

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """The attention a (B, T) on each step; 0 past a clip's end, 1 in sum."""
        m = torch.tanh(self.w_h(states))  # (B, T, H)
        scores = self.w(m)[..., 0]  # (B, T)
        return scores.masked_fill(~valid_steps(lengths, states.shape[1]), -torch.inf).softmax(1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        a = self.weights(states, lengths)  # (B, T)
        r = (a[..., None] * states).sum(1)  # (B, H)
        return torch.tanh(self.w_p(r) + self.w_x(last_step(states, lengths)))  # (B, H)


class AttentionLSTM(ClipNetwork):
    """Without `attention` the softmax layer reads the last state: the paper's ConvNet+LSTM."""

    def __init__(self, features: int, hidden: int, classes: int, attention: bool, dropout: float):
        super().__init__({"frames": (features,)})
        self.lstm = PeepholeLSTM(features, hidden)
        self.attention = Attention(hidden) if attention else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        h = self.lstm(inputs["frames"])  # (B, T, F) -> (B, T, H)
        v = self.attention(h, lengths["frames"]) if self.attention else last_step(h, lengths["frames"])  # (B, H)
        return self.dropout(v)


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    (features,) = context.shapes["frames"]
    settings = Settings(
        "adam",
        hp["lr"],
        hp["batch_size"],
        FAMILY.max_epochs,
        patience=20,
        l1=hp["l1"],
        clip=1.0,
        decay=hp["decay"],
        class_weight=hp["class_weight"],
    )
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: AttentionLSTM(features, hp["hidden"], len(context.classes), hp["attention"], hp["dropout"]),
        settings,
    )


def _point(attention: bool) -> dict[str, Any]:
    # Learning rate, its decay (here after every epoch), L1 and early stopping are stated. Optimiser (Adam), hidden
    # units, batch size and the gradient's limit (1) are not.
    return {
        "attention": attention,
        "hidden": 128,
        "lr": 0.005,
        "decay": 0.99,
        "l1": 0.0001,
        "dropout": 0.0,
        "batch_size": 32,
        "class_weight": "none",
    }


FAMILY = Family(
    name="attention_lstm",
    paper="Zheng",
    section="Temporal Feature Modeling",
    summary="peephole LSTM over a CNN's outputs per frame, attention over its states, softmax",
    # "The last full connection layer output dimension is set to the emotional type space dimension", and the LSTM reads
    # "the output of the last fully connected layer": the logits, 8 on CHEAVD.
    inputs=(Input("frames", "frame", 1, "convnet100.logits"),),
    space={
        "attention": Choice((True, False)),
        "hidden": Choice((32, 64, 128, 256)),
        "lr": Float(5e-4, 0.02, log=True),
        "decay": Float(0.9, 1.0),
        "l1": Float(1e-6, 0.001, log=True),
        "dropout": Float(0.0, 0.6),
        "batch_size": Choice((16, 32, 64)),
        "class_weight": Choice(("none", "balanced")),
    },
    published=(_point(True), _point(False)),
    build=build,
    load=partial(load_torch, build),
    # The paper's limit is 100,000 iterations; the learning rate is an eighth of the first one by this epoch.
    max_epochs=200,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1000),
    smoke={"hidden": 32},
)
