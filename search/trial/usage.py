"""What a worker process uses of its machine, as it sees it itself."""

import os
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Main memory of the process (`memory_mb`), and the GPU that it computes on, if there is one.

    `gpu` is its name with the number that the machine knows it by, `gpu_id` unique. `gpu_own_mb` is what this process
    holds, `gpu_used_mb` of `gpu_total_mb` what all processes hold together. `gpu_busy` is a share of time between 0 and
    1, None where the driver doesn't tell.
    """

    memory_mb: float = 0.0
    gpu: str = ""
    gpu_id: str = ""
    gpu_own_mb: float = 0.0
    gpu_used_mb: float = 0.0
    gpu_total_mb: float = 0.0
    gpu_busy: float | None = None


def read_usage() -> Usage:
    """The usage now."""
    memory_mb = round(_memory_mb(), 1)
    # Looked up, not imported: the trial may be importing it at this moment, in another thread.
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return Usage(memory_mb)
    device = torch.cuda.current_device()
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    busy = None
    # NVML is absent in some containers, and knows nothing of other makers' devices.
    with suppress(Exception):
        busy = torch.cuda.utilization(device) / 100
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    number = visible[device] if device < len(visible) and visible[device] else str(device)
    return Usage(
        memory_mb,
        f"{number} ({properties.name})",
        str(properties.uuid),
        torch.cuda.memory_reserved(device) / 2**20,
        (total - free) / 2**20,
        total / 2**20,
        busy,
    )


def _memory_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return pages * resource.getpagesize() / 2**20
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # the peak: no /proc here
