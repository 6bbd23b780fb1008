"""How one network is trained."""

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Settings:
    """How to train one network.

    `l1` is the weight of the sum of all parameters' absolute values in the loss, which `loss` in the curve includes.
    `clip` is the largest gradient norm, None for no limit. The learning rate is multiplied by `decay` after every
    `decay_iterations` batches, or after every epoch where that is None. Training ends with the epoch in which it comes
    to `max_iterations` batches. `patience` is the number of epochs without a better held-out result after which it
    stops. `class_weight` "balanced" weighs a class by the inverse of its frequency. `precision` "auto" is mixed
    precision on a GPU and float32 on a CPU.
    """

    optimiser: Literal["sgd", "adam", "rmsprop"]
    lr: float
    batch_size: int
    max_epochs: int
    patience: int
    momentum: float = 0.0
    weight_decay: float = 0.0
    l1: float = 0.0
    clip: float | None = None
    decay: float = 1.0
    decay_iterations: int | None = None
    max_iterations: int | None = None
    class_weight: Literal["none", "balanced"] = "none"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    checkpoint_every_s: float = 10.0

    def lr_at(self, epoch: int, iteration: int) -> float:
        """The learning rate in `epoch` (from 1) at `iteration` (from 0, counted over all epochs)."""
        times = epoch - 1 if self.decay_iterations is None else iteration // self.decay_iterations
        return self.lr * self.decay**times

    def autocast_type(self, device: torch.device) -> torch.dtype:
        """The type that layers compute in."""
        if self.precision != "auto":
            return getattr(torch, self.precision)
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
