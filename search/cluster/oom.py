"""What the kernel says of processes that it killed for lack of memory: not which, but how many."""

import time
from pathlib import Path

# A process' death is noticed within seconds.
_RECENT_S = 10.0


def killed_for_memory(vmstat: Path = Path("/proc/vmstat")) -> int:
    """How many processes of this machine were killed for lack of memory since it started; 0 where that isn't told."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


class MemoryKills:
    """Tells whether the kernel killed a process of this machine for lack of memory in the last seconds."""

    def __init__(self) -> None:
        self._before = self._now = killed_for_memory()
        self._at = time.monotonic()

    def look(self) -> None:
        """Forget what is older than some seconds; call it now and then."""
        if time.monotonic() - self._at > _RECENT_S:
            self._before, self._now, self._at = self._now, killed_for_memory(), time.monotonic()

    def recent(self) -> bool:
        """Whether there was one."""
        return killed_for_memory() > self._before
