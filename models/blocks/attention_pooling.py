"""Attention pooling over time, and steps of several clocks brought to one: what the probes of encoders share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.space import Choice, Float, Parameter
from models.training.network import valid_steps
from models.training.settings import Settings

# How every probe is trained; Adam is what SUPERB and MERBench use.
PROBE_SPACE: Mapping[str, Parameter] = {
    "hidden": Choice((64, 128, 256)),
    "lr": Float(1e-4, 0.01, log=True),
    "weight_decay": Float(1e-6, 0.01, log=True),
    "dropout": Float(0.0, 0.6),
    "batch_size": Choice((16, 32, 64)),
    "class_weight": Choice(("none", "balanced")),
}
PROBE: Mapping[str, Any] = {
    "hidden": 256,
    "lr": 0.001,
    "weight_decay": 1e-5,
    "dropout": 0.3,
    "batch_size": 32,
    "class_weight": "none",
}


def probe_settings(hp: Mapping[str, Any], max_epochs: int) -> Settings:
    """The training of a probe with the hyperparameters of `PROBE_SPACE`."""
    return Settings(
        "adam",
        hp["lr"],
        hp["batch_size"],
        max_epochs,
        patience=15,
        weight_decay=hp["weight_decay"],
        clip=1.0,
        class_weight=hp["class_weight"],
    )


class AttentionPooling(nn.Module):
    """The mean over a clip's steps (B, T, H), weighted by a = softmax(w^T tanh(W h))."""

    def __init__(self, width: int):
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        scores = self.score(torch.tanh(self.layer(states)))[..., 0]  # (B, T)
        a = scores.masked_fill(~valid_steps(lengths, states.shape[1]), -torch.inf).softmax(1)
        return (a[..., None] * states).sum(1)  # (B, H)


def aligned(steps: Tensor, lengths: Tensor, wanted: Tensor, most: int) -> Tensor:
    """Steps (B, S, H), spread evenly over their clips, as `wanted` (B,) steps each: (B, `most`, H).

    Step i of the new ones is the mean of the old ones in its share of the clip, or the one that covers it where the old
    ones are fewer. What lies past `wanted` is the last step again.
    """
    at = torch.arange(most, device=steps.device).minimum(wanted[:, None] - 1)  # (B, T)
    first = at * lengths[:, None] // wanted[:, None]
    last = torch.maximum((at + 1) * lengths[:, None] // wanted[:, None], first + 1)
    sums = nn.functional.pad(steps.double().cumsum(1), (0, 0, 1, 0))  # (B, S + 1, H)
    index = torch.stack([first, last])[..., None].expand(-1, -1, -1, steps.shape[2])  # (2, B, T, H)
    total = sums.gather(1, index[1]) - sums.gather(1, index[0])
    return (total / (last - first)[..., None]).to(steps.dtype)
