"""What the sources of trials for one run have in common."""

from dataclasses import replace

from features.errors import EmofuseError
from features.progress import say
from search.cluster.capacity import Capacity
from search.cluster.interrupts import Interrupts
from search.cluster.jobs import Job
from search.run.folder import RunFolder
from search.trial.attempts import after_loss


class RunSource:
    """The base of a `Source`: its run, when it stops, what its trials may ask of the machines."""

    def __init__(self, run: RunFolder, interrupts: Interrupts):
        self.run, self._interrupts = run, interrupts
        self._capacity: Capacity | None = None

    def limit_to(self, capacity: Capacity) -> None:
        """From now on ask for no more than these machines have."""
        self._capacity = capacity

    def stopping(self) -> bool:
        """A signal came, or the trials can't go on."""
        return self._interrupts.stopping

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
