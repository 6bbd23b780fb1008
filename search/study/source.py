"""What the sources of trials for one run have in common."""

from dataclasses import replace

from features.errors import EmofuseError
from features.progress import say
from search.budget.parts import Part, note_part
from search.budget.spending import Spending
from search.cluster.capacity import Capacity
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job
from search.run.ending import Ending
from search.run.folder import RunFolder
from search.trial.attempts import after_loss


class RunSource:
    """The base of a `Source`: its run, when it stops, what its trials may ask of the machines, what they cost.

    Without `spending` no budget rules them; those that do not `count` end with the whole run's, and use up none.
    """

    counts = True

    def __init__(self, run: RunFolder, interrupts: Interrupts, spending: Spending | None = None):
        self.run, self._interrupts, self._spending = run, interrupts, spending
        self._capacity: Capacity | None = None

    def limit_to(self, capacity: Capacity) -> None:
        """From now on ask for no more than these machines have."""
        self._capacity = capacity

    def stopping(self) -> bool:
        """A signal came, the trials can't go on, or the budget is over and some didn't stop by themselves."""
        return self._interrupts.stopping or (self._spending is not None and self._spending.clock.overdue)

    def give_up(self, reason: EmofuseError) -> None:
        """Stop, for this reason."""
        self._interrupts.give_up(reason)

    def lost(self, job: Job, out_of_memory: bool) -> None:
        """Say what becomes of the trial."""
        if told := after_loss(job.spec, out_of_memory):
            say(f"{job}: {told}")

    def _requested(self, job: Job) -> Job:
        """The job with its request as it is made on these machines."""
        return job if self._capacity is None else replace(job, spec=self._capacity.with_request(job.spec))

    def _begun(self, job: Job) -> Job:
        """The job as it is handed out; from now on it counts."""
        job = self._requested(job)
        if self._spending is None:
            return job
        purse, clock, entry = self._spending.purse, self._spending.clock, job.spec.entry
        if self.counts:
            purse.begin(job.key, entry, job.spec.gpu)
        if self._capacity is None:  # in this process, and at once
            clock.here = entry
            purse.seen([job.key])
        return replace(job, start_by_s=purse.latest_start_s(entry))

    def _none_begun(self) -> None:
        """Nothing runs in this process."""
        if self._spending is not None:
            self._spending.clock.here = None

    def _taken_back(self, job: Job, wall_s: float = 0.0, gpu_s: float = 0.0) -> None:
        """It was stopped after so long, and will go on."""
        if self._spending is None or not self.counts:
            return
        if wall_s:
            note_part(self.run.path, Part(job.key, job.spec.entry, wall_s, gpu_s))
        self._spending.purse.end(job.key, job.spec.entry, wall_s, gpu_s, ended=False)

    def _paid(self, job: Job, ending: Ending) -> None:
        """It ended."""
        if self._spending is not None and self.counts:
            finished = ending.status == "finished"
            self._spending.purse.end(job.key, job.spec.entry, ending.wall_s, ending.gpu_s, finished=finished)
