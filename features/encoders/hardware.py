"""Where an encoder computes: on a GPU where there is one, else with weights that are laid out for the CPU."""

import ctypes
import multiprocessing
import os
from typing import Any

import torch

from features.encoders.packed import can_pack, pack

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 1 << 30


def pick_device() -> torch.device:
    """A GPU of those that this process sees, or the CPU; processes spread over several GPUs."""
    count = torch.cuda.device_count()
    return torch.device(f"cuda:{os.getpid() % count}") if count else torch.device("cpu")


def batch_factor() -> int:
    """How many times as much a batch holds on this process' device as on a CPU core."""
    return 8 if pick_device().type == "cuda" else 1


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
