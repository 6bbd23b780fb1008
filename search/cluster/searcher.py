"""Tune's view of the trials that are to be trained: it asks for the next one, and says how each ended.

Ray is imported here when the module is; who needs no Ray doesn't import this module.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.tune.search import Searcher

from features.errors import MachineFault
from models.family import Resources
from search.cluster.jobs import Job, JobQueue
from search.recipe.limits import Asha
from search.run.ending import Ending

# A node that is lost takes its trials along; so often one of them is started again.
MAX_LOSSES = 3
# Ray may take so long to notice a node's death; what it hands there until then dies of the same.
NOTICED_S = 30.0


class NotStored:
    """Tune's snapshots shall not take the whole run along, which has locks; nothing is ever restored from them."""

    def __reduce__(self) -> Any:
        return type(None), ()


@dataclass
class Running(NotStored):
    """The trials that Tune has in hand, by its own ids, and how often each (by its key) lost its process.

    Where there are other `machines` than this one, a trial loses its process once for a node's death, though it may be
    handed to the dying node several times.
    """

    source: JobQueue
    machines: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    _counted_s: dict[str, float] = field(default_factory=dict)

    def lost(self, key: str) -> int:
        """Count that the trial of this key lost its process; returns how often it did."""
        now_s = time.monotonic()
        if not (self.machines and now_s - self._counted_s.get(key, -math.inf) < NOTICED_S):
            self._counted_s[key] = now_s
            self.losses[key] += 1
        return self.losses[key]


class JobSearcher(NotStored, Searcher):
    """Hands out the trials of a source, at most `max_concurrent` at a time.

    `asha` and `max_epochs` (by entry) say after which epochs a trial reports; `remote` is the URI of a run that lies on
    an object store.
    """

    def __init__(
        self,
        running: Running,
        asha: Asha | None,
        max_epochs: Mapping[str, int],
        remote: str | None,
        max_concurrent: int | None = None,
    ):
        super().__init__()
        self.running, self.asha, self.max_epochs = running, asha, max_epochs
        self.remote, self.max_concurrent = remote, max_concurrent

    def suggest(self, trial_id: str) -> Any:
        """The next trial as Tune's config; None: none now; Searcher.FINISHED: none any more."""
        source, jobs = self.running.source, self.running.jobs
        if self.max_concurrent is not None and len(jobs) >= self.max_concurrent:
            return None
        job = None if source.stopping() else source.next()
        if job is None:
            # What runs may come back.
            return Searcher.FINISHED if source.stopping() or (source.exhausted and not jobs) else None
        jobs[trial_id] = job
        spec = job.spec
        asked = Resources(spec.cpu, spec.gpu, spec.memory_mb)
        return {
            "name": str(spec).replace(" ", "-"),
            "spec": json.dumps(spec.to_dict()),
            # Only what ASHA looks at is reported: each report costs a round trip.
            "rungs": self.asha.rungs(self.max_epochs[spec.entry]) if self.asha else [],
            "request": {"CPU": spec.cpu, "GPU": spec.gpu, "memory": asked.main_mb * 2**20},
            "remote": self.remote,
            "start_by_s": job.start_by_s,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the source how the trial ended, or hand it out again when only its process did."""
        source = self.running.source
        if source.stopping() and "ending" not in (result or {}):
            return
        job = self.running.jobs.pop(trial_id)
        if result and "machine_fault" in result:
            source.give_up(MachineFault(result["machine_fault"]))
        elif result and "stopped" in result:
            wall_s = float(result["stopped"])
            source.stopped(job, wall_s, wall_s * job.spec.gpu)
        elif (error or not result) and self.running.lost(job.key) <= MAX_LOSSES:
            # A dead node is told to Tune twice, and what waits to be started again by then it gives up.
            source.put_back(job)
        elif error or not result:
            reason = f"its worker process died more than {MAX_LOSSES} times"
            source.end(job, Ending("failed", reason=reason, kind="lost"))
        elif "ending" in result:
            source.end(job, Ending(**json.loads(result["ending"])))
        else:
            reason = f"stopped early by ASHA after {result['epoch']} epochs"
            wall_s = float(result.get("time_total_s", 0.0))
            gpu_s = wall_s * job.spec.gpu
            source.end(job, Ending("pruned", result["value"], result["epoch"], wall_s, reason, gpu_s=gpu_s))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the run's own files are the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is ever restored from Tune's files."""
