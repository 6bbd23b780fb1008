"""The synchrony autoencoder, which learns filters for motion (Konda, Memisevic and Michalski, arXiv 1306.3162).

A filter's response to a whitened block of video, squared, is large where the picture moves as the filter says: the
square is the product of what the filter sees in one frame and in another. The rule of training isn't in Kahou's paper;
here it is Adam on minibatches. The contraction is the only regulariser, no input is corrupted.
"""

import torch
from torch import Tensor, nn

from features.errors import EmofuseError

_INITIAL = 0.01
_BATCH = 128
# Added to a filter's deviation, so that one that is flat isn't blown up.
_FLAT = 0.001


def contraction(f: Tensor, h: Tensor, W: Tensor) -> Tensor:
    """The squared Frobenius norm (B,) of dh/dx, for h = sigmoid(f^2) (B, H), f = x W (B, H) and W (F, H)."""
    return 4 * ((h * (1 - h) * f) ** 2 * (W**2).sum(dim=0)).sum(dim=1)


class SynchronyAutoencoder(nn.Module):
    """Tied filters W (F, H), U(-0.01, 0.01), and the bias b (F,) of what they reconstruct."""

    def __init__(self, inputs: int, units: int, generator: torch.Generator):
        super().__init__()
        self.W = nn.Parameter(torch.empty(inputs, units).uniform_(-_INITIAL, _INITIAL, generator=generator))
        self.b = nn.Parameter(torch.zeros(inputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The reconstruction (B, F) of whitened blocks x (B, F), the filters' responses f and the units h (B, H)."""
        f = x @ self.W  # (B, H)
        h = torch.sigmoid(f * f)  # (B, H)
        return (h * f) @ self.W.T + self.b, f, h

    def loss(self, x: Tensor, weight: float) -> Tensor:
        """The mean over blocks of the squared error plus `weight` times the contraction."""
        reconstruction, f, h = self(x)
        return (((x - reconstruction) ** 2).sum(dim=1) + weight * contraction(f, h, self.W)).mean()

    @torch.no_grad()
    def normalise_(self) -> None:
        """Take each filter's mean off it and scale its deviation to the average of all filters'."""
        self.W.sub_(self.W.mean(dim=0))
        deviation = self.W.std(dim=0, correction=0) + _FLAT  # (H,)
        self.W.mul_(deviation.mean() / deviation)


def train_synchrony(
    x: Tensor, *, units: int, weight: float, lr: float, epochs: int, seed: int
) -> tuple[SynchronyAutoencoder, tuple[float, ...]]:
    """An autoencoder of whitened blocks x (B, F) on their device, and the mean loss of each epoch.

    `weight` is that of the contraction. Filters are normalised after each step.
    """
    generator = torch.Generator().manual_seed(seed)
    model = SynchronyAutoencoder(x.shape[1], units, generator).to(x.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).to(x.device).split(_BATCH):
            loss = model.loss(x[rows], weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            model.normalise_()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(x))
    if not all(torch.isfinite(values).all() for values in model.parameters()):
        raise EmofuseError(
            f"The synchrony autoencoder diverged with lr {lr:g} and contraction {weight:g}; lower one of them."
        )
    return model, tuple(losses)
