"""Trials whose worker processes died and that Tune starts again: told to the source, with the cause. Imports Ray."""

import time
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback

from search.cluster.searcher import NotStored, Running

# A process' death is noticed within seconds.
_RECENT_S = 10.0


class LossCallback(NotStored, Callback):
    """Tells the source of trials that are started again.

    Ray's own monitor says that it killed a process for lack of memory. The kernel says nothing, but counts what it
    killed on this machine.
    """

    def __init__(self, running: Running):
        self.running = running
        self._kills = MemoryKills() if len(ray.nodes()) == 1 else None

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look at the kernel's count."""
        if self._kills is not None:
            self._kills.look()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the loss and tell the source."""
        job = self.running.jobs[trial.trial_id]
        self.running.lost(job.key)
        counted = self._kills is not None and self._kills.recent()
        self.running.source.lost(job, out_of_memory=counted or _told_of_memory(trial))


def _told_of_memory(trial: Any) -> bool:
    """Whether Ray's monitor ended the trial's process; its words for any other kill are a guess at memory too."""
    if trial.error_file is None:
        return False
    return "running low on memory" in Path(trial.error_file).read_text(encoding="utf-8", errors="replace")


def killed_for_memory(vmstat: Path = Path("/proc/vmstat")) -> int:
    """How many processes of this machine were killed for lack of memory since it started; 0 where that isn't told."""
    try:
        lines = vmstat.read_text(encoding="utf-8").splitlines()
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
