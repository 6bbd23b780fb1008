"""What the backbones on stills share: a clip's frames one by one, and layers that other families read."""

from collections.abc import Callable, Mapping
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from features.errors import WrongUse
from features.names import unknown_name
from models.family import Context, Family
from models.reproducible import exact_kernels
from models.space import Choice, Float, Space
from models.training import memory
from models.training.batches import Packed
from models.training.network import ClipNetwork, mean_step, valid_steps
from models.training.pretrained import Naming, start_from
from models.training.settings import Settings
from models.training.torch_model import TorchModel

# Frames that go through a network at once on a CPU when nothing is learnt, if `memory.image_numbers` allows as many.
_FRAMES = 256
# The layers that hold a number for each class.
_OF_CLASSES = ("logits", "probabilities")


def still_space(own: Space, lr: Float, batch_size: Choice) -> Space:
    """A family's own hyperparameters, then those by which all networks on stills are trained."""
    return {
        **own,
        "lr": lr,
        "decay": Float(0.85, 1.0),
        "weight_decay": Float(1e-6, 0.005, log=True),
        "batch_size": batch_size,
        "class_weight": Choice(("none", "balanced")),
    }


class StillNetwork(ClipNetwork):
    """A network on single images, uint8, grey (H, W) or colour (H, W, 3), or on single maps (H, W), float32.

    A clip's scores are the mean of its frames' probabilities. Training sees each frame on its own.
    """

    step_by_step = True

    def __init__(self, shape: tuple[int, ...], slot: str = "faces"):
        super().__init__({slot: shape})
        self.slot = slot

    def frames(self, images: Tensor, layer: str | None = None) -> Tensor:
        """The flattened output (N, D) of `layer`, by default of the last before `head`, for `images` (N, H, W[, 3])."""
        raise NotImplementedError

    def forward(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        images = inputs[self.slot]  # (B, T, H, W[, 3])
        if images.shape[1] == 1:
            return self.head(self.frames(images[:, 0]))  # (B, C)
        p = self._mean(images, lengths[self.slot], lambda frames: self.head(self.frames(frames)).softmax(1))
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()  # (B, C)

    def encode(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        """The last layer before `head`, averaged over the clip's frames."""
        return self._mean(inputs[self.slot], lengths[self.slot], self.frames)

    def read(self, images: Tensor, layer: str) -> Tensor:
        """The output (N, D) of `layer`, `logits` and `probabilities` among them."""
        if layer not in _OF_CLASSES:
            return self.frames(images, layer)
        logits = self.head(self.frames(images))
        return logits if layer == "logits" else logits.softmax(1)

    def _mean(self, images: Tensor, lengths: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """The mean of `function` over the valid frames of each clip (B, D)."""
        valid = valid_steps(lengths, images.shape[1])  # (B, T)
        step = frames_at_once(images.shape[2:], images.device)
        rows = torch.cat([function(some) for some in images[valid].split(step)])
        steps = rows.new_zeros(*valid.shape, rows.shape[1])  # (B, T, D)
        steps[valid] = rows
        return mean_step(steps, lengths)


class StagedNetwork(StillNetwork):
    """A network that is a row of named stages; training shifts and mirrors its images, but not maps.

    A subclass fills `stages` and sets `head`. Images are moved by up to `shift` pixels each way. A `frozen` one trains
    its dense stages (`fc6`, `fc7`) and the softmax layer alone.
    """

    def __init__(self, shape: tuple[int, ...], slot: str = "faces", frozen: bool = False):
        super().__init__(shape, slot)
        self.shape, self.frozen = shape, frozen
        if shape[0] != shape[1]:
            raise WrongUse(f"Expected square faces, but got {shape[0]}x{shape[1]} pixels.")
        self.channels = 3 if len(shape) == 3 else 1
        self.shift, self.augmented = shape[0] // 16, True
        self.stages = nn.ModuleDict()

    def frames(self, images: Tensor, layer: str | None = None) -> Tensor:
        x = images  # (N, H, W[, 3])
        if images.dtype == torch.uint8:
            x = self.scalers[self.slot](images)
            if self.training and self.step_by_step and self.augmented:
                x = shifted(x, self.shift)
        x = x.movedim(3, 1) if self.channels == 3 else x[:, None]  # (N, 1 or 3, H, W)
        x = x.contiguous(memory_format=torch.channels_last)
        for name, stage in self.stages.items():
            x = stage(x)
            if name == layer:
                break
        return x.flatten(1)  # (N, D)

    def train(self, mode: bool = True) -> Self:
        """Frozen convolutions keep their batch normalisation's means too."""
        super().train(mode)
        if self.frozen:
            for name, stage in self.stages.items():
                stage.train(mode and name.startswith("fc"))
        return self

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """All parameters, or those of the dense layers alone when the convolutions are frozen."""
        if not self.frozen:
            return super().parameter_groups(weight_decay)
        dense = [self.head, *(stage for name, stage in self.stages.items() if name.startswith("fc"))]
        return [{"params": [p for part in dense for p in part.parameters()], "weight_decay": weight_decay}]

    def finish(self, width: int, classes: int) -> None:
        """Add the softmax layer and draw all weights: He's for rectified layers, deviation 0.01 for the softmax."""
        self.head = nn.Linear(width, classes)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d):
                # Twice as fast on a CPU as the channels-first order.
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)


def shifted(images: Tensor, most: int) -> Tensor:
    """Each image (N, H, W[, 3]) moved by up to `most` pixels, its border repeated, and mirrored half the time."""
    n, h, w = images.shape[:3]
    # Drawn on the CPU, so that a GPU sees the same pictures.
    down, right = torch.randint(-most, most + 1, (2, n, 1))
    rows = (torch.arange(h) + down).clamp(0, h - 1)  # (N, H)
    columns = (torch.arange(w) + right).clamp(0, w - 1)  # (N, W)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    at = torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]
    return images[tuple(index.to(images.device) for index in at)]


def frames_at_once(shape: tuple[int, ...], device: torch.device) -> int:
    """How many images of `shape` go through a network at once when nothing is learnt."""
    return max(1, min(_FRAMES * memory.more_at_once(device), memory.image_numbers(device) // int(np.prod(shape))))


class StillModel(TorchModel):
    """A network on stills whose `layers` can be read, trained by stochastic gradient descent with momentum.

    Of the hyperparameters it takes lr, decay, weight_decay, batch_size and class_weight. Given weights, a fit starts
    from them; besides emofuse's own names of parameters it knows `namings`.
    """

    def __init__(
        self,
        family: Family,
        hyperparameters: Mapping[str, Any],
        context: Context,
        make: Callable[[], StillNetwork],
        layers: tuple[str, ...],
        namings: tuple[Naming, ...] = (),
    ):
        hp = hyperparameters
        settings = Settings(
            "sgd",
            hp["lr"],
            hp["batch_size"],
            family.max_epochs,
            patience=10,
            momentum=0.9,
            clip=1.0,
            weight_decay=hp["weight_decay"],
            decay=hp["decay"],
            class_weight=hp["class_weight"],
        )
        super().__init__(family, hp, context, make, settings)
        self._namings = namings
        self.layers = (*layers, *_OF_CLASSES)

    def activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """The named layer's output (T, F) float32 for `images` (T, H, W[, 3]) uint8."""
        if layer not in self.layers:
            raise unknown_name(f"layer of {self.family.name}", layer, self.layers)
        expected = tuple(self.context.shapes["faces"])
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            came = f"{images.dtype} {images.shape[1:]}"
            raise WrongUse(f"{self.family.name} expects uint8 images of shape {expected}, but got {came}.")
        network, device = cast(StillNetwork, self.network).eval(), torch.device(self.context.device)
        step = frames_at_once(expected, device)
        # The store's views are read-only, which torch.from_numpy warns of: copied piece by piece.
        pieces = (torch.tensor(images[at : at + step]) for at in range(0, len(images), step))
        with torch.inference_mode(), exact_kernels():
            rows = [network.read(piece.to(device), layer) for piece in pieces]
        return torch.cat(rows).cpu().numpy()

    def width(self, layer: str) -> int:
        """How many numbers the named layer has for one face, told without a fit."""
        image = torch.zeros(1, *self.context.shapes["faces"], dtype=torch.uint8, device="meta")
        return cast(StillNetwork, self._outline()).read(image, layer).shape[1]

    def columns(self, layer: str) -> tuple[str, ...]:
        """The classes, for the layers that hold a number for each of them; else ()."""
        return self.context.classes if layer in _OF_CLASSES else ()

    def _start(self, network: ClipNetwork, fit_rows: Packed) -> None:
        if self.context.weights is None:
            super()._start(network, fit_rows)
        else:
            start_from(network, self.context.weights, self._namings)
