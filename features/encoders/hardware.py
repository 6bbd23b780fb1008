"""Where an encoder computes, and in which type: a GPU where there is one, float16 on it where that is close enough."""

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import torch

from features.encoders.packed import can_pack, pack

# So far float16 may lie from float32, as a share of the outputs' deviation.
TOLERANCE = 0.02
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 1 << 30


def pick_device() -> torch.device:
    """A GPU of those that this process sees, or the CPU; processes spread over several GPUs."""
    count = torch.cuda.device_count()
    return torch.device(f"cuda:{os.getpid() % count}") if count else torch.device("cpu")


def batch_factor() -> int:
    """How many times as much a batch holds on this process' device as on a CPU core."""
    return 8 if pick_device().type == "cuda" else 1


class Precision:
    """Calls a network, in half precision on a GPU unless its first batch comes out too far from float32."""

    def __init__(self, device: torch.device):
        self.device = device
        # None: not decided yet.
        self.half: bool | None = None if device.type == "cuda" else False

    @torch.inference_mode()
    def __call__(self, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What `compute` gives, float32 on the CPU."""
        if self.half is None:
            exact = self._computed(compute, False)
            close = self._computed(compute, True)
            error = float((close - exact).abs().max())
            self.half = bool(error <= TOLERANCE * float(exact.std()))  # false for NaN
            return exact
        return self._computed(compute, self.half)

    def _computed(self, compute: Callable[[], torch.Tensor], half: bool) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.float16, enabled=half):
            return compute().float().cpu()


def placed(model: Any) -> tuple[Any, torch.device]:
    """The model on this process' device, and the device; on a CPU its weights are packed."""
    device = pick_device()
    if device.type == "cpu" and can_pack():
        pack(model)
        if multiprocessing.parent_process() is not None:
            _keep_memory()
    return model.to(device), device


def _keep_memory() -> None:
    """Let glibc keep what a network's outputs took for the next ones: pages fresh from the kernel cost 4 to 8 %."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
