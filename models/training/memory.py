"""How much memory a training may fill with its inputs."""

import os
from pathlib import Path

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
# Of what is free when a side of a partition is packed: both sides take half of it at most, the rest is for training.
_SHARE = 4


def most_bytes() -> int:
    """The largest side of a partition that is copied into memory; a larger one is read from the store."""
    return available_bytes() // _SHARE


def available_bytes() -> int:
    """What is free on this machine, or within its control group's limit if that is less."""
    return min(_machine(), _control_group())


def _machine() -> int:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _control_group() -> int:
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        # Pages of files are given up when memory is needed.
        cache = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, ValueError, KeyError):  # no control group, or one without a limit ("max")
        return 2**63
    return max(0, limit - used + int(cache))
