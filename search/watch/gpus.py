"""How the GPUs of a search are used, as its trials last saw them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from search.trial.heartbeats import Heartbeat


@dataclass(frozen=True)
class GpuUse:
    """One GPU: the trials on it, the memory that all processes hold there, and the share of time that it computes."""

    host: str
    gpu: str
    trials: int
    used_mb: float
    total_mb: float
    busy: float | None


def gpu_use(beats: Iterable[Heartbeat]) -> tuple[GpuUse, ...]:
    """The GPUs that trials run on, by host and name."""
    found: dict[tuple[str, str, str], list[Heartbeat]] = defaultdict(list)
    for beat in beats:
        if beat.usage.gpu:
            found[beat.host, beat.usage.gpu, beat.usage.gpu_id].append(beat)
    uses = []
    for (host, gpu, _), group in sorted(found.items()):
        busy = [beat.usage.gpu_busy for beat in group if beat.usage.gpu_busy is not None]
        uses.append(
            GpuUse(
                host,
                gpu,
                len(group),
                max(beat.usage.gpu_used_mb for beat in group),
                group[0].usage.gpu_total_mb,
                sum(busy) / len(busy) if busy else None,
            )
        )
    return tuple(uses)
