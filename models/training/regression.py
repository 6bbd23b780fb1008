"""Continuous emotion as the aim of a training: a label for each step, squared error or concordance as the loss."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from models.concordance import continuous_metrics
from models.reproducible import exact_kernels
from models.training.batches import Packed, scoring_batches
from models.training.network import ClipNetwork, mean_step

Loss = Literal["mse", "ccc"]
# Labels and predictions that hardly vary must not make the loss's quotient jump.
_FLOOR = 1e-8


_Count = TypeVar("_Count", int, Tensor)


def up(count: _Count, size: int) -> _Count:
    """`count` (not negative) divided by `size`, rounded up; of no negative number, which ONNX rounds toward 0."""
    return (count + size - 1) // size


def repeated(x: Tensor, times: int) -> Tensor:
    """`x` (B, T, D) with each step `times` in a row."""
    return x[:, :, None].expand(-1, -1, times, -1).flatten(1, 2) if times > 1 else x


class StepNetwork(ClipNetwork):
    """A network that scores every step of a clip, or with the mean of its steps the clip.

    `states` are what `head` reads; they come at one for each `window` steps of the input, over which labels are then
    averaged.
    """

    window = 1

    def states(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """(B, T', H) with T' = T / window, rounded up."""
        raise NotImplementedError

    def steps(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """A score for each window of the clips (B, T', D)."""
        return self.head(self.states(inputs, lengths))

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """The clip vectors (B, H): the mean over time, so that logits are the mean of the steps' logits."""
        length = next(iter(lengths.values()))
        return mean_step(self.states(inputs, lengths), up(length, self.window))


class Regression:
    """The labels of each step as the aim (a `Goal`); the best epoch has the highest mean held-out CCC."""

    def __init__(
        self,
        loss: Loss,
        window: int,
        dimensions: tuple[str, ...],
        targets: Sequence[np.ndarray],
        device: str,
        held_out: tuple[Packed, Sequence[np.ndarray]] | None,
    ):
        self._loss, self._window, self._dimensions, self._held_out = loss, window, dimensions, held_out
        self._targets = [averaged(torch.as_tensor(t, dtype=torch.float32), window).to(device) for t in targets]

    def outputs(self, network: StepNetwork, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """Scores (B, T', D)."""
        return network.steps(inputs, lengths)

    def loss(self, outputs: Tensor, clips: Tensor) -> Tensor:
        """The loss over all labelled steps of the fit clips `clips` (B,), concatenated."""
        own = [self._targets[n] for n in clips.tolist()]
        predicted = torch.cat([rows[: len(y)] for rows, y in zip(outputs, own, strict=True)])
        return masked_loss(predicted, torch.cat(own), self._loss)

    def right(self, outputs: Tensor, clips: Tensor) -> Tensor | None:
        """There are no classes."""
        return None

    def measure(self, network: StepNetwork) -> dict[str, float] | None:
        """CCC on the held-out clips, concatenated; None when a prediction is not finite."""
        if self._held_out is None:
            return {}
        packed, targets = self._held_out
        p = np.concatenate(step_scores(network, packed))
        return continuous_metrics(np.concatenate(targets), p, self._dimensions) if np.isfinite(p).all() else None

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Larger is better."""
        return metrics["ccc"], -metrics["mse"]


def averaged(labels: Tensor, window: int) -> Tensor:
    """The mean of each `window` labels in a row, (T, D) -> (T', D); of those known, NaN where none is."""
    missing = -len(labels) % window
    filled = torch.cat([labels, labels.new_full((missing, labels.shape[1]), torch.nan)])
    return filled.view(-1, window, labels.shape[1]).nanmean(1)


def masked_loss(predicted: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """`mse`, or `ccc`: 1 - CCC averaged over dimensions; steps (T, D) whose label is NaN don't count."""
    known = ~labels.isnan()
    y = labels.nan_to_num(0.0)
    difference = (predicted - y) * known
    if loss == "mse":
        return difference.square().sum() / known.sum().clamp(min=1)
    n = known.sum(0).clamp(min=1)
    p = predicted * known
    y_mean, p_mean = y.sum(0) / n, p.sum(0) / n
    y_off, p_off = (y - y_mean) * known, (p - p_mean) * known
    spread = (y_off.square() + p_off.square()).sum(0) / n + (y_mean - p_mean).square()
    return (1 - 2 * (y_off * p_off).sum(0) / n / (spread + _FLOOR)).mean()


@torch.inference_mode()
def step_scores(network: StepNetwork, packed: Packed) -> list[np.ndarray]:
    """For each clip its scores (T_n, D) float32, dropout off; those of a window are repeated over its steps."""
    network.eval()
    length = next(iter(packed.length.values()))
    found: dict[int, np.ndarray] = {}
    with exact_kernels():
        for clips in scoring_batches(packed):
            rows = repeated(network.steps(*packed.batch(clips)).float(), network.window).cpu().numpy()
            found |= {n: row[: length[n]] for n, row in zip(clips.tolist(), rows, strict=True)}
    return [found[n] for n in range(len(packed))]
