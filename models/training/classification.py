"""Classes as the aim of a training: cross-entropy as the loss; and what a network says of whole clips."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor

from features.errors import EmofuseError
from models.metrics import Metric, held_out_metrics, search_value
from models.reproducible import exact_kernels
from models.training.batches import Packed, scoring_batches
from models.training.network import ClipNetwork
from models.training.settings import Settings


class Classification:
    """Cross-entropy over `classes` classes; best is what has most of `metric` (a `models.training.goals.Goal`)."""

    def __init__(
        self, classes: int, fit: Packed, held_out: Packed | None, settings: Settings, metric: Metric = "accuracy"
    ):
        self._y, self._held_out, self._metric = fit.labels().to(fit.device), held_out, metric
        self._weight = _class_weight(self._y, classes, settings)

    def outputs(self, network: ClipNetwork, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C)."""
        return network(inputs, lengths)

    def loss(self, outputs: Tensor, clips: Tensor) -> Tensor:
        """The cross-entropy of the fit clips `clips` (B,)."""
        return F.cross_entropy(outputs, self._y[clips.to(self._y.device)], self._weight)

    def right(self, outputs: Tensor, clips: Tensor) -> Tensor | None:
        """How many of the fit clips `clips` (B,) have their class on top."""
        return (outputs.argmax(dim=1) == self._y[clips.to(self._y.device)]).sum()

    def measure(self, network: ClipNetwork) -> dict[str, float] | None:
        """Metrics on the held-out clips; None when a score is not finite."""
        if self._held_out is None:
            return {}
        p = score(network, self._held_out)
        return held_out_metrics(p, self._held_out.labels().numpy()) if np.isfinite(p).all() else None

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Larger is better."""
        value = search_value(metrics, self._metric)
        if value is None:
            raise EmofuseError(f"Training expects a held-out {self._metric} to stop on, but only {', '.join(metrics)}.")
        return value, -metrics["log_loss"]


def _class_weight(y: Tensor, classes: int, settings: Settings) -> Tensor | None:
    if settings.class_weight == "none":
        return None
    return len(y) / (classes * torch.bincount(y, minlength=classes).clamp(min=1))


def score(network: ClipNetwork, packed: Packed) -> np.ndarray:
    """Class probabilities (N, C) float32, dropout off."""
    return _per_clip(network, packed, lambda *batch: network(*batch).double().softmax(1)).astype(np.float32)


def encodings(network: ClipNetwork, packed: Packed) -> np.ndarray:
    """Clip vectors (N, D) float32, dropout off."""
    return _per_clip(network, packed, network.encode)


@torch.inference_mode()
def _per_clip(network: ClipNetwork, packed: Packed, function: Callable[..., Tensor]) -> np.ndarray:
    network.eval()
    if network.cut_into:
        packed = packed.windows(network.cut_into)
    some = list(scoring_batches(packed, network.min_steps))
    with exact_kernels():
        rows = torch.cat([function(*packed.batch(examples, network.min_steps)) for examples in some]).cpu()
    rows = rows[torch.cat(some).argsort()]
    if packed.clip is not None:
        windows = torch.bincount(packed.clip)[:, None]
        rows = rows.new_zeros(len(windows), rows.shape[1]).index_add(0, packed.clip, rows) / windows
    return rows.numpy()
