"""What the networks of all torch families share: their interface, standardised inputs, pooling over valid steps."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.training.batches import Packed, Window
from models.training.rows import Rows

# Numbers that are float64 at once while means and deviations are computed.
_PIECE = 4_000_000


class ClipNetwork(nn.Module):
    """A network that scores clips.

    `forward` and `encode` take `inputs[slot]` (B, T, ...), padded, and `lengths[slot]` (B,); clip-level slots have
    T = 1. They give logits (B, C) and clip vectors (B, D), and neither may depend on steps past a clip's length. `head`
    is the softmax layer. Vectors and maps come standardised; images as uint8, for the network to apply `scalers[slot]`
    to.
    """

    # A shorter clip counts as this long, its last step repeated.
    min_steps = 1
    # Training takes every step of a clip as an example of its own.
    step_by_step = False
    # Training takes every window of a clip as an example of its own; a clip's scores are the mean over its windows.
    cut_into: Window | None = None

    head: nn.Linear

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]):
        super().__init__()
        self.scalers = nn.ModuleDict({slot: Standardise(shape) for slot, shape in shapes.items()})

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """The clip vectors (B, D)."""
        raise NotImplementedError

    def forward(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C)."""
        return self.head(self.encode(inputs, lengths))

    def examples(self, packed: Packed) -> Packed:
        """`packed` as training takes it: its clips, their steps or their windows."""
        if self.step_by_step:
            return packed.as_steps()
        return packed.windows(self.cut_into) if self.cut_into else packed

    def fit_scalers(self, packed: Packed) -> None:
        """Learn the mean and deviation of every input from the rows that the network is fitted on."""
        for slot, scaler in self.scalers.items():
            cast(Standardise, scaler).fit(packed.values[slot])

    def standardise_(self, packed: Packed) -> Packed:
        """Standardise the vectors and maps of `packed` in place, once, where `forward` would in every epoch."""
        for slot, values in packed.values.items():
            if values.dtype != torch.uint8:
                scaler = cast(Standardise, self.scalers[slot])
                values.standardise_(scaler.mean, scaler.std)
        return packed

    def penalty(self) -> Tensor | None:
        """What a family's own regulariser adds to the loss of every batch; None: it has none."""
        return None

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The parameters as groups for the optimiser; weight decay acts on all unless a family says otherwise.

        A group with `lr_factor` learns at that multiple of the learning rate.
        """
        return [{"params": list(self.parameters()), "weight_decay": weight_decay}]


class Standardise(nn.Module):
    """Subtracts the mean and divides by the deviation of each feature (or pixel) over the fit rows' steps."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, values: Rows) -> None:
        """Learn from all steps in one pass, in pieces, so that images are never float64 all at once."""
        count, mean = 0, torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(mean)
        for piece in values.pieces(max(1, _PIECE // mean.numel())):
            numbers = piece.to(mean.device).double()
            # The moments of what came before and of this piece as those of both (Chan, Golub and LeVeque 1983).
            both, off = count + len(piece), numbers.mean(0) - mean
            squares += (numbers - numbers.mean(0)).square().sum(0) + off.square() * (count * len(piece) / both)
            mean = mean + off * (len(piece) / both)
            count = both
        std = (squares / count).sqrt()
        # A feature that never changes says nothing: it becomes 0, not noise blown up.
        std[std <= 1e-6 * mean.abs().clamp(min=1e-6)] = 1.0
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def recur(layer: nn.RNNBase, x: Tensor) -> Tensor:
    """The states (B, T, H) of torch's recurrent `layer` over `x` (B, T, F), in full precision.

    Rounding errors of a long recurrence add up. On a GPU, mixed precision makes such a layer float16 whatever type was
    asked for, whose small gradients vanish and whose unbounded states (ReLU) overflow.
    """
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))[0]


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Which of `steps` steps lie within each clip: (B, T) bool."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def last_step(states: Tensor, lengths: Tensor) -> Tensor:
    """Each clip's last valid step (B, H) of `states` (B, T, H)."""
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def mean_step(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean over each clip's valid steps (B, H) of `states` (B, T, H)."""
    valid = valid_steps(lengths, states.shape[1])[..., None]
    return (states * valid).sum(1) / lengths[:, None]


def max_step(states: Tensor, lengths: Tensor) -> Tensor:
    """The maximum over each clip's valid steps (B, H) of `states` (B, T, H)."""
    valid = valid_steps(lengths, states.shape[1])[..., None]
    # Added rather than filled in: half the time, forward and backward.
    return (states + torch.where(valid, 0.0, -torch.inf)).amax(1)
