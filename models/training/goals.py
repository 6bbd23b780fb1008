"""What a training aims at: which outputs, which loss, and how an epoch is measured."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Goal(Protocol):
    """One training's aim. It knows the labels of the clips that are fitted and of those that are held out."""

    def outputs(self, network: Any, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """What `network` says of a batch: `inputs[slot]` (B, T, ...), `lengths[slot]` (B,)."""
        ...

    def loss(self, outputs: Tensor, clips: Tensor) -> Tensor:
        """The loss of the fit clips `clips` (B,), given their outputs as float32."""
        ...

    def right(self, outputs: Tensor, clips: Tensor) -> Tensor | None:
        """How many of the fit clips `clips` (B,) the outputs name right; None where there are no classes."""
        ...

    def measure(self, network: Any) -> dict[str, float] | None:
        """Metrics on the held-out clips; None when an output is not finite."""
        ...

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What the best epoch has most of."""
        ...
