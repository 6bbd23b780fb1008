"""Pretrained parameters from a user's file: names mapped, shapes checked, no code run while it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from features.errors import EmofuseError
from features.progress import say
from models.training.network import ClipNetwork, Standardise

_HEAD = ("head.weight", "head.bias")


@dataclass(frozen=True)
class Naming:
    """How files of one origin name the parameters of a network, and what pixels they were trained on.

    `modules` maps our module to theirs. `mean` and `std` are what was subtracted from RGB values of 0 to 255 and what
    they were divided by; `bgr` tells that blue comes first.
    """

    origin: str
    modules: Mapping[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False

    def theirs(self, name: str) -> str:
        """Their name of our parameter `stages.conv1_1.0.weight`."""
        module, _, part = name.rpartition(".")
        return f"{self.modules.get(module, module)}.{part}"


def start_from(network: ClipNetwork, path: Path, namings: tuple[Naming, ...] = ()) -> None:
    """Give `network` the parameters in `path`, and its inputs the means and deviations that they were trained with.

    The file holds tensors by name: what emofuse saved (`model.safetensors`), or a .safetensors, .pt or .pth file that
    names them as one of `namings` does. The softmax layer is taken where its shape is right, else it begins anew; every
    other parameter must be there, in its shape.
    """
    given = _read(path)
    own = network.state_dict()
    needed = [name for name in own if name not in _HEAD and not name.endswith("num_batches_tracked")]
    if _absent(given, needed):
        parameters = [name for name in needed if not name.startswith("scalers.")]
        naming = min(namings, key=lambda n: len(_absent(given, [n.theirs(name) for name in parameters])), default=None)
        if naming is None or (absent := _absent(given, [naming.theirs(name) for name in parameters])):
            expected = ", ".join(["emofuse", *(naming.origin for naming in namings)])
            first = _absent(given, needed)[0] if naming is None else absent[0]
            raise EmofuseError(
                f"{path}: expected parameters named as by {expected}, but there is no {first!r}; the file's are "
                f"{', '.join(list(given)[:4])}, ... ({len(given)} in all)."
            )
        given = {name: given[naming.theirs(name)] for name in own if naming.theirs(name) in given}
    else:
        naming = None
    for name in needed:
        if name in given and given[name].shape != own[name].shape:
            raise EmofuseError(
                f"{path}: parameter {name!r} has the shape {tuple(given[name].shape)}, but this network's is "
                f"{tuple(own[name].shape)}; take the hyperparameters and the images' size that the file was made with."
            )
    taken = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    network.load_state_dict({**own, **taken})
    if not all(name in taken for name in _HEAD):
        say(f"{path}: the softmax layer begins anew, the file has none for {len(own['head.bias'])} classes")
    if naming is not None:
        _use_pixels(network, naming)


def _use_pixels(network: ClipNetwork, naming: Naming) -> None:
    """Scale images as `naming` does; the first convolution takes red first."""
    scaler = cast(Standardise, network.scalers["faces"])
    scaler.mean.copy_(torch.tensor(naming.mean).expand_as(scaler.mean))
    scaler.std.copy_(torch.tensor(naming.std).expand_as(scaler.std))
    if naming.bgr:
        first = next(p for name, p in network.named_parameters() if p.ndim == 4)
        first.data = first.data.flip(1).contiguous(memory_format=torch.channels_last)


def _read(path: Path) -> dict[str, Tensor]:
    data: Any
    try:
        if path.suffix == ".safetensors":
            data = load_file(path)
        else:
            data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise EmofuseError(f"{path}: no such file, expected pretrained weights.") from None
    except Exception as error:  # both raise half a dozen types for a damaged file
        text = " ".join(str(error).split())[:120]
        raise EmofuseError(
            f"{path}: expected tensors by name (.safetensors, or a PyTorch state_dict that loads with "
            f"weights_only=True), but it can't be read ({type(error).__name__}: {text})."
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
    if not isinstance(data, Mapping):
        raise EmofuseError(f"{path}: expected tensors by name, but it holds a {type(data).__name__}.")
    # DataParallel puts `module.` before every name.
    return {str(k).removeprefix("module."): v for k, v in data.items() if isinstance(v, Tensor)}


def _absent(given: Mapping[str, Tensor], names: list[str]) -> list[str]:
    return [name for name in names if name not in given]
