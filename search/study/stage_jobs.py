"""The trials of one stage of a search: handed out, recorded, reported."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from optuna.storages import JournalStorage

from features.errors import EmofuseError
from features.progress import counted, say
from models.family import Resources
from models.metrics import in_words, told
from models.space import Scalar
from search.budget.spending import Spending
from search.cluster.capacity import Capacity
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job
from search.recipe.limits import Asha
from search.recipe.recipe import Stage
from search.run.ended import note_ended
from search.run.ending import Ending, ended_outcome, ended_trial
from search.run.folder import RunFolder
from search.run.remote import remote_of
from search.run.spec import TrialSpec
from search.sampling.folds import FoldRule
from search.sampling.lag import at_once, lag_for
from search.study.account import Account
from search.study.keeping import Keeper
from search.study.plan import entry_spec
from search.study.queue import Queue
from search.study.retries import entry_study
from search.study.source import RunSource
from search.study.turns import turns_of
from search.trial.trial import finished_result


class StageJobs(RunSource):
    """One stage's trials (a `Source`): hands them out, records how they end, and says so."""

    def __init__(
        self, run: RunFolder, stage: Stage, journal: JournalStorage, interrupts: Interrupts, spending: Spending
    ):
        super().__init__(run, interrupts, spending)
        self.stage, self._purse, self._forecast = stage, spending.purse, spending.forecast
        self._specs = {name: entry_spec(run, stage.stage, entry) for name, entry in stage.entries.items()}
        self._partitions = run.recipe.partition_names(stage.stage)
        self._outcomes = {outcome.trial_key: outcome for outcome in run.outcomes()}
        self._keeper = Keeper(run)
        self._seeds = {name: run.recipe.seeds_of(stage.stage, entry) for name, entry in stage.entries.items()}
        configurations = sum(e.planned_configurations * self._seeds[name] for name, e in stage.entries.items())
        self._total = configurations * len(self._partitions)
        self._ended = 0
        self._best: dict[tuple[str, str], float] = {}
        self._studies = studies = {name: entry_study(run, entry, journal) for name, entry in stage.entries.items()}
        self._account = Account(run, stage, self._specs)
        turns = turns_of(run, stage, list(studies.values()), self._account)
        for name, study in studies.items():
            study.known = len(self._account.known(name))
            self._account.note(name, study.points)
        self._rules = self._fold_rules()
        self._queue = Queue(
            list(studies.values()),
            turns,
            self._trials,
            self._known,
            self._record,
            self._reopen,
            {name: entry.choose_on for name, entry in stage.entries.items()},
            self._may_start,
            self._rules,
        )

    @property
    def asked(self) -> str:
        """What the stage asks for, in a line."""
        numbers = {name: entry.planned_configurations for name, entry in self.stage.entries.items()}
        each = ", ".join(f"{name} {number}" for name, number in numbers.items())
        flows = ", as they gain" if self.run.recipe.flows(self.stage.stage) else ""
        return (
            f"stage {self.stage.stage}: {counted(self._total, 'trial')} of "
            f"{counted(sum(numbers.values()), 'configuration')} ({each}{flows}) on {', '.join(self._partitions)}"
        )

    @property
    def exhausted(self) -> bool:
        """Every trial was handed out, or needs none."""
        return self._queue.exhausted

    @property
    def asha(self) -> Asha | None:
        """The recipe's rule for stopping early."""
        return self.run.recipe.asha

    @property
    def max_epochs(self) -> dict[str, int]:
        """The longest that a trial of each entry can train."""
        return {name: spec.max_epochs or 1 for name, spec in self._specs.items()}

    @property
    def requests(self) -> dict[str, Resources]:
        """What each trial of an entry asks of a node, in this stage and the later ones."""
        stages = self.run.recipe.stages
        later = stages[stages.index(self.stage) :]
        return {name: entry.request() for stage in later for name, entry in stage.entries.items()}

    def limit_to(self, capacity: Capacity) -> None:
        """From now on ask for no more than these machines have; TPE runs as far ahead as they need."""
        super().limit_to(capacity)
        self._settle_lags(lambda request: capacity.slots(request))

    def next(self) -> Job | None:
        """The next trial, or None when there is none now."""
        if self._capacity is None:
            self._settle_lags(lambda request: 1)  # in process
        job = self._queue.next()
        if job is None:
            self._none_begun()
            return None
        try:
            spec = replace(job.spec, keep_from=self._keeper.started(job.spec))
        except EmofuseError as error:
            self._queue.put_back(job)
            self.give_up(error)
            return None
        return self._begun(replace(job, spec=spec))

    def _settle_lags(self, slots: Callable[[Resources], int]) -> None:
        """Choose the lags of entries that have none, and write them down: a resume on other machines keeps them."""
        entries = {name: entry for name, entry in self.stage.entries.items() if name not in self.run.lags}
        if not entries or self.run.recipe.lag is not None or self.run.recipe.sampler == "random":
            return
        total = sum(entry.planned_configurations for entry in self.stage.entries.values())
        held = {
            name: at_once(slots(entry.request()), self._side_by_side(name), entry.planned_configurations, total)
            for name, entry in entries.items()
        }
        self.run = self.run.with_lags({name: lag_for(number) for name, number in held.items()})
        for name in entries:
            self._studies[name].lag = self.run.lag(name)

    def peek(self) -> Job | None:
        """The trial that `next` would hand out, or None when there is none now."""
        return self._queue.peek()

    def put_back(self, job: Job) -> None:
        """Hand `job` out again."""
        self._taken_back(job)
        self._queue.put_back(job)

    def stopped(self, job: Job, wall_s: float, gpu_s: float) -> None:
        """Keep what it took so far, and hand it out again when a budget holds it."""
        self._taken_back(job, wall_s, gpu_s)
        self._keeper.ended(job.spec, None)
        self._queue.put_back(job)

    @property
    def cut_short(self) -> bool:
        """Trials are left, but no budget for them."""
        return self._queue.cut_short or (self._spending is not None and self._spending.clock.overdue)

    def end(self, job: Job, ending: Ending) -> None:
        """Record and say how a trial ended."""
        self._record(job, ending)
        self._paid(job, ending)
        self._queue.end(job, ending)
        try:
            self._keeper.ended(job.spec, ending.value if ending.status == "finished" else None)
        except EmofuseError as error:
            self.give_up(error)

    def pruned(self, job: Job) -> bool:
        """Its configuration was stopped early on another partition."""
        return self._queue.pruned(job)

    def finished(self, job: Job) -> bool:
        """Its configuration is finished on another partition."""
        return self._queue.finished(job)

    def _fold_rules(self) -> dict[str, FoldRule]:
        """By entry, where its configurations are compared by more than one partition."""
        stopping = self.run.recipe.fold_stopping
        if stopping is None:
            return {}
        trials = {name: len(self._partitions) * self._seeds[name] for name in self.stage.entries}
        rules = {name: FoldRule(stopping, count, self._seeds[name]) for name, count in trials.items()}
        return {n: rule for n, rule in rules.items() if rule.rungs and not self.stage.entries[n].choose_on}

    def _side_by_side(self, entry: str) -> int:
        """How many trials of a configuration of the entry are handed out at once."""
        rule = self._rules.get(entry)
        return rule.opened(0) if rule else len(self._partitions) * self._seeds[entry]

    def _may_start(self, entry: str, whole: bool, promised: Mapping[str, int]) -> bool:
        trials = len(self._partitions) * self._seeds[entry] if whole else 1
        return self._purse.may_start(entry, trials, promised)

    def _trials(self, entry: str, point: Mapping[str, Scalar]) -> list[TrialSpec]:
        self._account.next(entry, point)
        hyperparameters = self.stage.entries[entry].complete(point)
        base, seeds = self._specs[entry], self._seeds[entry]
        return [base.at(hyperparameters, partition, n) for n in range(seeds) for partition in self._partitions]

    def _known(self, spec: TrialSpec) -> Ending | None:
        done = finished_result(spec)
        outcome = self._outcomes.get(spec.trial_key)
        if done is not None:
            ending = done.ending
        elif outcome is not None:
            ending = Ending(
                outcome.status, outcome.value, outcome.epochs, 0.0, outcome.reason, outcome.kind, 0.0, outcome.folds
            )
        else:
            return None
        self._ended += 1
        self._best_so_far(spec, ending)
        return ending

    def _reopen(self, job: Job) -> None:
        """Take back that a trial was stopped early."""
        self.run.clear_outcome(job.key)
        self._outcomes.pop(job.key, None)
        self._forecast.forget(job.key)
        self._ended -= 1

    def _record(self, job: Job, ending: Ending) -> None:
        # A worker records its own failure, unless it died of it.
        if ending.status == "pruned" or (ending.status == "failed" and self.run.outcome(job.key) is None):
            self.run.write_outcome(ended_outcome(job.spec, ending))
            self.run.drop_checkpoint(job.key)
            if remote := remote_of(self.run.path):
                remote.delete(f"checkpoints/{job.key}")
                remote.soon(f"trials/{job.key}.json", f"trials/{job.key}.txt")
        ended = ended_trial(job.spec, ending)
        note_ended(self.run.path, ended)
        self._forecast.note(ended)
        self._ended += 1
        best = self._best_so_far(job.spec, ending)
        # A job's log is nothing but these lines, without times of its own.
        say(f"{time.strftime('%H:%M:%S')}  {self._ended} of {self._total}  {job}: {_told(job, ending, best)}")

    def _best_so_far(self, spec: TrialSpec, ending: Ending) -> bool:
        if ending.status != "finished" or ending.value is None:
            return False
        before = self._best.get((spec.entry, spec.partition))
        self._best[spec.entry, spec.partition] = ending.value if before is None else max(before, ending.value)
        return before is not None and ending.value > before


def _told(job: Job, ending: Ending, best: bool) -> str:
    if ending.status != "finished":
        return f"{ending.status}: {ending.reason}"
    epochs = f"{ending.epochs} epoch{'s' if ending.epochs != 1 else ''}"
    mark = " (best so far)" if best else ""
    metric = job.spec.metric
    value = told(metric, ending.value or 0.0)
    return f"held-out {in_words(metric)} {value:.3f}{mark}, {epochs}, {ending.wall_s:.1f} s"
