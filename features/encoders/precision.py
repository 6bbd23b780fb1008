"""In which type an encoder computes: float32, or half of its bits where they are native and come out close enough."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.encoders.packed import can_pack, keep, lowered

# So far outputs may lie from those in float32: root mean square, as a share of the deviation of each layer's.
TOLERANCE = 0.02
# What /proc/cpuinfo calls products of bfloat16 (x86, x86's AMX, ARM).
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
_CPUINFO = Path("/proc/cpuinfo")


class Precision:
    """Calls a network in the precision that is `wanted`, unless its first batch comes out too far from float32.

    `auto` is float16 on a GPU and float32 on a CPU, whose features so are those of other CPUs. A type that the device
    has no instructions for is never emulated: then it is float32, too.
    """

    def __init__(self, device: torch.device, wanted: str = "auto", model: Any = None):
        self.device, self._model = device, model
        half = {"auto": "float16" if device.type == "cuda" else "", "float32": ""}.get(wanted, wanted)
        self._half = half if half and is_native(device, half) else ""
        self._decided = not self._half
        # What is told with the features.
        self.computed = f"float32, as the device has no {half} of its own" if half and not self._half else "float32"

    @torch.inference_mode()
    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        """What `compute` gives, float32 on the CPU; of several layers it is (B, T, L, F)."""
        if self._decided:
            return self._in(self._half, compute)
        exact, close = self._in("", compute), self._in(self._half, compute)
        self._decided = True
        if is_close(close, exact):
            self.computed = self._half
        else:
            self.computed = f"float32, as {self._half} came out more than {100 * TOLERANCE:g} % from it"
            self._half = ""
        if self.device.type == "cpu":
            keep(self._model, low=bool(self._half))
        return close if self._half else exact

    def _in(self, half: str, compute: Callable[[], Tensor]) -> Tensor:
        how: AbstractContextManager[Any] = nullcontext()
        if self.device.type == "cpu":
            how = lowered(self._model) if half else how
        else:
            how = torch.autocast(self.device.type, getattr(torch, half or "float16"), enabled=bool(half))
        with how:
            return compute().float().cpu()


def is_close(found: Tensor, exact: Tensor) -> bool:
    """Whether each layer's outputs lie within the tolerance; never where one is NaN or infinite."""
    every = tuple(range(exact.ndim))
    within = (*every[:-2], every[-1]) if exact.ndim == 4 else every
    apart = (found - exact).square().mean(within).sqrt()
    return bool((apart <= TOLERANCE * exact.std(within, correction=0)).all())


def is_native(device: torch.device, kind: str) -> bool:
    """Whether the device itself computes in `kind`, float16 or bfloat16, and not by other instructions."""
    if device.type == "cuda":
        return kind == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "bfloat16" and can_pack(torch.bfloat16) and bool(_BFLOAT16_FLAGS & _processor_flags())


def _processor_flags() -> set[str]:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
