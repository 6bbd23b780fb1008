"""The same numbers every time: seeds for what draws, deterministic kernels for what computes."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

# cuDNN's recurrent layers add up in one order only where cuBLAS has a workspace of fixed size. It is read when a
# process first uses a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed`, deterministic kernels; the caller's generators are as before afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), exact_kernels():
        torch.default_generator.manual_seed(seed)
        if cuda:
            index = torch.cuda.current_device() if device.index is None else device.index
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def exact_kernels() -> AbstractContextManager[None]:
    """cuDNN without its choice by timing and without TF32: the same numbers every time, and a CPU's within rounding."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
