"""Embedding head: one encoder vector per clip into a linear or a small hidden classifier (Pepino 2021)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.blocks.attention_pooling import PROBE, PROBE_SPACE, probe_settings
from models.family import Context, Family, Input, Resources
from models.space import Choice
from models.training.batches import Packed
from models.training.network import ClipNetwork, Standardise
from models.training.torch_model import TorchModel, load_torch

# Numbers that are read at once.
_PIECE = 4_000_000


class EmbeddingHead(ClipNetwork):
    """Standardised, projected on the first `pca` principal components (0: all features), then softmax.

    With `hidden` units there is a layer of them before, with dropout; 0 is logistic regression.
    """

    basis: Tensor

    def __init__(self, features: int, pca: int, hidden: int, classes: int, dropout: float):
        super().__init__({"embedding": (features,)})
        self.components = min(pca, features)
        self.register_buffer("basis", torch.zeros(features, self.components))
        width = self.components or features
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden or width, classes)

    def fit_scalers(self, packed: Packed) -> None:
        """Learn mean, deviation and principal components from the rows that the network is fitted on."""
        super().fit_scalers(packed)
        if not self.components:
            return
        rows, scaler = packed.values["embedding"], cast(Standardise, self.scalers["embedding"])
        pieces = rows.pieces(max(1, _PIECE // self.basis.shape[0]))
        x = torch.cat([scaler(piece.to(scaler.mean.device)) for piece in pieces]).double()  # (N, F)
        axes = torch.linalg.svd(x, full_matrices=False)[2][: self.components].T  # (F, K)
        signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # else either sign is right
        self.basis.zero_()  # fewer clips than components: the rest holds nothing
        self.basis[:, : axes.shape[1]] = (axes * signs).to(self.basis.dtype)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        x = inputs["embedding"][:, 0]  # (B, F)
        if self.components:
            x = x @ self.basis  # (B, K)
        return self.dropout(self.hidden(x))


def build(hyperparameters: Mapping[str, Any], context: Context) -> TorchModel:
    hp = hyperparameters
    (features,) = context.shapes["embedding"]
    return TorchModel(
        FAMILY,
        hp,
        context,
        lambda: EmbeddingHead(features, hp["pca"], hp["hidden"], len(context.classes), hp["dropout"]),
        probe_settings(hp, FAMILY.max_epochs),
    )


FAMILY = Family(
    name="embedding_head",
    paper="Pepino 2021",
    section="downstream model",
    summary="an encoder's vector per clip: standardised, optional PCA, logistic regression or a hidden layer",
    inputs=(Input("embedding", "clip", 1, "speech:pool=mean"),),
    space={**PROBE_SPACE, "hidden": Choice((0, 64, 128, 256)), "pca": Choice((0, 64, 256))},
    # A hidden layer with dropout, as the paper's; and logistic regression, the probe with the fewest choices. Rates and
    # batches are no paper's.
    published=({**PROBE, "hidden": 128, "pca": 0, "dropout": 0.2}, {**PROBE, "hidden": 0, "pca": 0, "dropout": 0.0}),
    build=build,
    load=partial(load_torch, build),
    max_epochs=100,
    resources=Resources(cpu=1.0, gpu=0.25, memory_mb=1000),
)
