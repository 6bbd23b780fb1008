"""Single trials that stand outside a search: refits of members, a fusion's encoders again, the best with more seeds."""

from collections import deque
from collections.abc import Sequence

from features.errors import EmofuseError
from features.progress import say
from models.family import Resources
from search.budget.spending import Spending
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job
from search.cluster.workers import Workers
from search.recipe.recipe import Stage
from search.run.ending import Ending, ended_trial
from search.run.folder import RunFolder
from search.run.remote import remote_of
from search.run.spec import TrialSpec
from search.study.best import best_trials
from search.study.plan import entry_spec
from search.study.source import RunSource
from search.trial.trial import TrialResult, finished_result
from search.trial.watchdog import clear_hung


class Refits(RunSource):
    """A list of trials as a `Source` of jobs; a failed one is said and kept as an outcome.

    With `spending` they are trials as others are, and further ones of a configuration (those of one seed) begin when
    the budgets hold them on all partitions.
    """

    def __init__(
        self, run: RunFolder, specs: Sequence[TrialSpec], interrupts: Interrupts, spending: Spending | None = None
    ):
        super().__init__(run, interrupts, spending)
        self._waiting = deque(Job(number, spec) for number, spec in enumerate(specs))
        self._total, self._ended = len(specs), 0
        self.reasons: dict[str, str] = {}

    @property
    def asha(self) -> None:
        """A refit runs for the epochs that it was given."""

    @property
    def exhausted(self) -> bool:
        """Every trial was handed out, or no budget holds it."""
        return self.peek() is None

    @property
    def left(self) -> bool:
        """Some wait."""
        return bool(self._waiting)

    @property
    def max_epochs(self) -> dict[str, int]:
        """Refits have no rungs."""
        return {job.spec.entry: 1 for job in self._waiting}

    @property
    def requests(self) -> dict[str, Resources]:
        """What the refits of each entry ask of a node."""
        specs = [job.spec for job in self._waiting]
        return {spec.entry: Resources(spec.cpu, spec.gpu, spec.memory_mb) for spec in specs}

    def next(self) -> Job | None:
        """The next trial."""
        job = self.peek()
        if job is None:
            self._none_begun()
            return None
        self._waiting.remove(job)
        self.run.clear_outcome(job.key)
        return self._begun(job)

    def peek(self) -> Job | None:
        """The trial that `next` would hand out."""
        return next((job for job in self._waiting if self._may_start(job)), None)

    def _may_start(self, job: Job) -> bool:
        if self._spending is None:
            return True
        together = sum((j.spec.entry, j.spec.repeat) == (job.spec.entry, job.spec.repeat) for j in self._waiting)
        return self._spending.purse.may_start(job.spec.entry, together)

    def put_back(self, job: Job) -> None:
        """Hand `job` out again."""
        self._taken_back(job)
        self._waiting.appendleft(job)

    def stopped(self, job: Job, wall_s: float, gpu_s: float) -> None:
        """Keep what it took so far; it goes on when a budget holds it."""
        self._taken_back(job, wall_s, gpu_s)
        self._waiting.appendleft(job)

    def end(self, job: Job, ending: Ending) -> None:
        """Say how a refit ended."""
        self._paid(job, ending)
        if self._spending is not None and self.counts:
            self._spending.forecast.note(ended_trial(job.spec, ending))
        self._ended += 1
        if ending.status != "finished":
            self.reasons[job.key] = ending.reason
        epochs = f"{ending.epochs} epoch{'s' if ending.epochs != 1 else ''}, {ending.wall_s:.1f} s"
        say(f"{self._ended} of {self._total}  {job}: {ending.reason or epochs}")

    def pruned(self, job: Job) -> bool:
        """Never: refits are not compared."""
        return False

    def finished(self, job: Job) -> bool:
        """Never: a refit has one partition."""
        return False


def train_refits(run: RunFolder, specs: Sequence[TrialSpec], workers: Workers) -> list[TrialResult]:
    """Train `specs` (finished ones are kept as they are); their results in order, failed ones with a reason."""
    todo = {spec.trial_key: spec for spec in specs if finished_result(spec) is None}
    reasons: dict[str, str] = {}
    if todo:
        with Interrupts(run.path, workers.embedded) as interrupts, workers:
            clear_hung(run.path)
            refits = Refits(run, list(todo.values()), interrupts)
            workers.train(refits, interrupts)
            if remote := remote_of(run.path):
                remote.pull("predictions", "models", "encodings")
            reasons = refits.reasons
    return [_result(spec, reasons) for spec in specs]


def train_more_seeds(
    run: RunFolder, stage: Stage, workers: Workers, interrupts: Interrupts, spending: Spending
) -> bool:
    """Train the best configuration of each entry with the further seeds that it asks for, unless that is done.

    Which is the best is told by the seeds that all configurations have, so it stays the same. Returns whether no budget
    was left for some.
    """
    todo: list[TrialSpec] = []
    for entry in stage.entries.values():
        every, best = run.recipe.seeds_of(stage.stage, entry), run.recipe.best_seeds_of(stage.stage, entry)
        if best <= every or interrupts.stopping:
            continue
        base = entry_spec(run, stage.stage, entry)
        try:
            trials = best_trials(base, run.recipe.partition_names(stage.stage), entry.choose_on, every)
        except EmofuseError:
            continue  # none is finished, which `search run` tells
        specs = (base.at(f.hyperparameters, p, n) for n in range(every, best) for p, f in trials.items())
        todo += [s for s in specs if finished_result(s) is None and run.outcome(s.trial_key) is None]
    jobs = Refits(run, todo, interrupts, spending)
    if not jobs.exhausted:
        say(f"further seeds of the best configuration of {', '.join(dict.fromkeys(s.entry for s in todo))}")
        workers.train(jobs, interrupts)
    return jobs.left


def _result(spec: TrialSpec, reasons: dict[str, str]) -> TrialResult:
    done = finished_result(spec)
    if done is not None:
        return done
    reason = reasons.get(spec.trial_key, "it did not finish")
    return TrialResult(spec.trial_key, spec.config_key, spec.entry, spec.partition, "failed", reason=reason)
