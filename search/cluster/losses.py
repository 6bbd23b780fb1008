"""Trials whose worker processes died and that Tune starts again: told to the source, with the cause. Imports Ray."""

from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback

from search.cluster.oom import MemoryKills
from search.cluster.searcher import NotStored, Running


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
        self.running.losses[job.key] += 1
        counted = self._kills is not None and self._kills.recent()
        self.running.source.lost(job, out_of_memory=counted or _told_of_memory(trial))


def _told_of_memory(trial: Any) -> bool:
    """Whether Ray's monitor ended the trial's process; its words for any other kill are a guess at memory too."""
    return trial.error_file is not None and "running low on memory" in Path(trial.error_file).read_text()
