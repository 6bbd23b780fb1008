"""Which running trials Tune stops: early by ASHA, or all of them when the search ends. Imports Ray."""

from collections.abc import Mapping
from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from search.cluster.jobs import Job, JobQueue
from search.cluster.searcher import NotStored, Running
from search.recipe.limits import Asha


class AshaByEntry(NotStored, FIFOScheduler):
    """One ASHA for each entry and partition: only like learning curves are compared.

    A configuration is stopped as a whole or not at all, since an ensemble needs it on every partition: once it is
    finished on one, or trains to the end there, it is stopped on none.
    """

    def __init__(self, running: Running, asha: Asha | None, max_epochs: Mapping[str, int]):
        super().__init__()
        self.running, self.asha, self.max_epochs = running, asha, max_epochs
        self._schedulers: dict[tuple[str, str], AsyncHyperBandScheduler] = {}
        self._beyond: set[tuple[str, int]] = set()  # configurations that passed the last rung on some partition

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Tell the trial's own ASHA of it."""
        if (scheduler := self._scheduler(trial)) is not None:
            scheduler.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on: not when its configuration was stopped on another partition."""
        scheduler = self._scheduler(trial)
        if scheduler is None or self.asha is None or "epoch" not in result:
            return str(TrialScheduler.CONTINUE)
        source, job = self.running.source, self.running.jobs[trial.trial_id]
        if source.pruned(job):
            return str(TrialScheduler.STOP)
        decision = str(scheduler.on_trial_result(tune_controller, trial, result))
        if job.configuration in self._beyond or (decision == TrialScheduler.STOP and source.finished(job)):
            decision = str(TrialScheduler.CONTINUE)
        if decision == TrialScheduler.CONTINUE and result["epoch"] >= self._rungs(job)[-1]:
            self._beyond.add(job.configuration)
        return decision

    def _rungs(self, job: Job) -> list[int]:
        return self.asha.rungs(self.max_epochs[job.spec.entry]) if self.asha else []

    def _scheduler(self, trial: Any) -> AsyncHyperBandScheduler | None:
        job = self.running.jobs[trial.trial_id]
        if self.asha is None or not self._rungs(job):
            return None
        spec = job.spec
        key = spec.entry, spec.partition
        if key not in self._schedulers:
            self._schedulers[key] = AsyncHyperBandScheduler(
                time_attr="epoch",
                metric="value",
                mode="max",
                max_t=self.max_epochs[spec.entry] - 1,
                grace_period=self.asha.grace_epochs,
                reduction_factor=self.asha.reduction,
                stop_last_trials=False,
            )
        return self._schedulers[key]


class SourceStopper(NotStored, Stopper):
    """Stops everything once the source wants to."""

    def __init__(self, source: JobQueue):
        self.source = source

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Whether the search is stopping."""
        return self.source.stopping()
