"""Hidden states by layer as transformers counts them: 0 is what the first layer reads, the last one the output."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor, nn


class _Enough(Exception):
    """The highest hidden state that is wanted is there."""


class HiddenStates:
    """Those hidden states of an encoder of `layers` that are wanted; no layer past the highest is computed."""

    def __init__(self, layers: nn.ModuleList):
        self._count = len(layers)
        self._wanted: frozenset[int] = frozenset()
        self._found: dict[int, Tensor] = {}
        layers[0].register_forward_pre_hook(lambda _, given: self._take(0, given))
        # What the last layer gives is not always the output: many models have a norm behind it.
        for number, layer in enumerate(layers[:-1], start=1):
            layer.register_forward_hook(lambda _, __, output, number=number: self._take(number, output))

    def __call__(self, wanted: Sequence[int], compute: Callable[[], Any]) -> list[Tensor]:
        """The states (B, T, F) of those numbers while `compute` gives the model's output with all its hidden states."""
        self._wanted, self._found = frozenset(wanted), {}
        with suppress(_Enough):
            self._found[self._count] = compute().hidden_states[-1]
        found, self._found = self._found, {}
        return [found[number] for number in wanted]

    def _take(self, number: int, output: Any) -> None:
        if number in self._wanted:
            self._found[number] = output[0] if isinstance(output, tuple) else output
        if number == max(self._wanted):
            raise _Enough
