"""How much memory a training may fill with its inputs, and how many images go through a network at once."""

import os
from pathlib import Path

import torch

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
# Of what is free when a side of a partition is packed: both sides take half of it at most, the rest is for training.
_SHARE = 4
# As many times as many images at once as on a CPU is a GPU given. It gains little by more (docs/gpu.md).
_TIMES = 8
# Images that hold so many numbers together take 1 GB of a GPU, measured on VGG-16, which takes most.
_IMAGES, _IMAGES_BYTES = 2_500_000, 10**9
# Of a GPU's memory, all of it and not what is free now: the same card gives the same batches, and so the same rounding.
_GPU_SHARE = 8


def image_numbers(device: torch.device) -> int:
    """How many numbers the images hold that go through a network at once when nothing is learnt."""
    return _IMAGES * more_at_once(device)


def more_at_once(device: torch.device) -> int:
    """How many times as many images as on a CPU: 1 there, up to 8 on a GPU, in an eighth of its memory."""
    if device.type != "cuda":
        return 1
    total = torch.cuda.get_device_properties(device).total_memory
    return max(1, min(_TIMES, total // _GPU_SHARE // _IMAGES_BYTES))


def most_bytes() -> int:
    """The largest side of a partition that is copied into memory; a larger one is read from the store."""
    return available_bytes() // _SHARE


def available_bytes() -> int:
    """What is free on this machine, or within its control group's limit if that is less."""
    return min(_machine(), _control_group())


def _machine() -> int:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="utf-8").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _control_group() -> int:
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="utf-8"))
        used = int((_CGROUP / "memory.current").read_text(encoding="utf-8"))
        # Pages of files are given up when memory is needed.
        stat = (_CGROUP / "memory.stat").read_text(encoding="utf-8")
        cache = dict(line.split() for line in stat.splitlines())["inactive_file"]
    except (OSError, ValueError, KeyError):  # no control group, or one without a limit ("max")
        return 2**63
    return max(0, limit - used + int(cache))
