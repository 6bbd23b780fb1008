"""Arrays in safetensors files, whoever wrote them: read into memory that their own size bounds, and all finite."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from features.errors import EmofuseError
from features.schema import shown
from features.tables.readable import Readable

Array = TypeVar("Array")

# The parameters of a torch model in the folder that it was saved into.
WEIGHTS_FILE = "model.safetensors"

# Ten times what the network with the most parameters needs; each named array costs memory beside its numbers.
_LARGEST_HEADER = 1 << 20


def read_arrays(file: Readable, what: str) -> dict[str, np.ndarray]:
    """numpy arrays by name. Errors: EmofuseError that says `what` was expected, also for NaN and infinity."""
    from safetensors.numpy import load

    return _read(file, what, load, lambda array: array.dtype.kind != "f" or bool(np.isfinite(array).all()))


def read_tensors(file: Readable, what: str) -> dict[str, Any]:
    """The same as torch tensors on the CPU."""
    from safetensors.torch import load

    return _read(file, what, load, lambda tensor: not tensor.is_floating_point() or bool(tensor.isfinite().all()))


def _read(
    file: Readable, what: str, load: Callable[[bytes], dict[str, Array]], finite: Callable[[Array], bool]
) -> dict[str, Array]:
    try:
        data = file.read_bytes()
        header = int.from_bytes(data[:8], "little")
        if header > _LARGEST_HEADER:
            raise ValueError(f"its header claims {header} bytes")
        found = load(data)
    except EmofuseError:
        raise
    except Exception as error:  # a damaged file raises half a dozen types
        text = " ".join(str(error).split())[:200]
        raise EmofuseError(f"{file}: expected {what}, but it can't be read ({text}).") from None
    for name, array in found.items():
        if not finite(array):
            raise EmofuseError(f"{file}: expected {what}, but {shown(name)} holds NaN or infinity.")
    return found
