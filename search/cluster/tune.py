"""Trials on Ray: one machine's processes or a cluster.

Tune only places the trials, and asks ASHA which to stop. What was asked for and what is finished stands in the run's
own folder, so Tune's experiment folder is thrown away, and a killed search needs no `Tuner.restore`.
"""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.ray_session import ray_session
from features.unwritable import Unwritable
from models.metrics import search_value
from models.pulse import Stopped
from search.cluster.capacity import Capacity
from search.cluster.nodes import read_capacity
from search.cluster.oom import MemoryKills
from search.run.remote import remote_of
from search.run.spec import TrialSpec
from search.study.jobs import Ending, Job, Source
from search.trial.attempts import attempt_trial
from search.trial.remote_trial import attempt_remote_trial
from search.trial.watchdog import waiting

if TYPE_CHECKING:
    from search.recipe.recipe import Asha

# A node that is lost takes its trials along; so often one of them is started again.
MAX_LOSSES = 3
# How many trials at least wait for a free place, by whether the cluster grows by what waits.
MIN_WAITING = {False: 2, True: 16}


@contextmanager
def connected(run: Path, address: str | None, cpus: int | None) -> Iterator[Capacity]:
    """Ray on this machine with `cpus` CPUs (None: all), or the cluster at `address`, for one run."""
    with ray_session(run, address, cpus):
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        yield read_capacity(own=address is None)


def work(config: dict[str, Any]) -> None:
    """One trial in a worker process, as Tune calls it; its ending is the last thing it reports."""
    from ray import tune

    rungs, best = set(config["rungs"]), -1.0

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        nonlocal best
        value = search_value(metrics)
        # The best epoch is the one that is kept; a refit has no rungs.
        best = best if value is None else max(best, value)
        if epoch in rungs:
            with waiting():
                tune.report({"epoch": epoch, "value": best})

    spec = TrialSpec.from_dict(json.loads(config["spec"]))
    remote = config["remote"]
    try:
        result = attempt_remote_trial(remote, spec, report) if remote else attempt_trial(spec, report)
    except Unwritable as error:
        tune.report({"unwritable": str(error)})
        return
    except Stopped:
        return
    ending = Ending(result.status, result.value, result.epochs, result.wall_s, result.reason, result.kind)
    tune.report({"ending": json.dumps(asdict(ending))})


def run_jobs(
    source: Source, capacity: Capacity, asha: "Asha | None", max_epochs: Mapping[str, int], run: Path
) -> None:
    """Train the trials of `source` until it is exhausted or stops; `max_epochs` of each entry bounds ASHA's rungs."""
    # Tune would keep only one trial of a foreign searcher waiting for a process; an autoscaler sees those that wait.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(MIN_WAITING[capacity.grows], int(capacity.cpus)))
    from ray import tune

    running: dict[str, Job] = {}
    losses: Counter[str] = Counter()
    remote = remote_of(run)
    uri = remote.uri if remote else None
    scratch = run.resolve() / ".tune"
    storage = remote.tune_storage if remote else {"storage_path": str(scratch)}
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        tune.Tuner(
            tune.with_resources(work, _placement),
            tune_config=tune.TuneConfig(
                search_alg=_searcher(source, running, losses, asha, max_epochs, uri, capacity.most),
                scheduler=_scheduler(source, running, asha, max_epochs),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="tune",
                **storage,
                stop=_stopper(source),
                callbacks=[_callback(source, running, losses)],
                failure_config=tune.FailureConfig(max_failures=MAX_LOSSES),
                verbose=0,
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if remote:
            remote.delete(".tune")
    for job in () if source.stopping() else tuple(running.values()):
        source.end(job, Ending("failed", reason="Ray gave the trial up without a word", kind="lost"))


def rungs(asha: "Asha | None", max_epochs: int) -> list[int]:
    """The epochs after which ASHA may stop a trial; the last epoch is none, since nothing would be saved there."""
    found = []
    epoch = asha.grace_epochs if asha else max_epochs
    while asha and epoch < max_epochs:
        found.append(epoch)
        epoch *= asha.reduction
    return found


def _placement(config: dict[str, Any]) -> Any:
    return _placement_of(tuple((name, amount) for name, amount in config["request"].items() if amount))


@cache  # Tune compares every two trials' requests at length unless they are the same object
def _placement_of(request: tuple[tuple[str, float], ...]) -> Any:
    from ray import tune

    return tune.PlacementGroupFactory([dict(request)])


def _name(trial: Any) -> str:
    # The id keeps it apart from an earlier attempt of the same trial.
    return f"{trial.config['name']}-{trial.trial_id}"


class _NotStored:
    """Tune's snapshots shall not take the whole run along, which has locks; nothing is ever restored from them."""

    def __reduce__(self) -> Any:
        return type(None), ()


def _searcher(
    source: Source,
    running: dict[str, Job],
    losses: Counter[str],
    asha: "Asha | None",
    max_epochs: Mapping[str, int],
    remote: str | None,
    most: int | None = None,
) -> Any:
    from ray.tune.search import Searcher

    class Jobs(_NotStored, Searcher):
        """Tune's view of the source."""

        def suggest(self, trial_id: str) -> Any:
            if most is not None and len(running) >= most:
                return None
            job = None if source.stopping() else source.next()
            if job is None:
                # What runs may come back.
                return Searcher.FINISHED if source.stopping() or (source.exhausted and not running) else None
            running[trial_id] = job
            # Only what ASHA looks at is reported: each report costs a round trip.
            epochs = rungs(asha, max_epochs[job.spec.entry])
            spec = job.spec
            request = {"CPU": spec.cpu, "GPU": spec.gpu, "memory": spec.memory_mb * 2**20}
            return {
                "name": str(spec).replace(" ", "-"), "spec": json.dumps(spec.to_dict()), "rungs": epochs,
                "request": request, "remote": remote,
            }

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            if source.stopping() and "ending" not in (result or {}):
                return
            job = running.pop(trial_id)
            if result and "unwritable" in result:
                source.give_up(Unwritable(result["unwritable"]))
            elif (error or not result) and losses[job.key] < MAX_LOSSES:
                # A dead node is told to Tune twice, and what waits to be started again by then it gives up.
                losses[job.key] += 1
                source.put_back(job)
            elif error or not result:
                reason = f"its worker process died more than {MAX_LOSSES} times"
                source.end(job, Ending("failed", reason=reason, kind="lost"))
            elif "ending" in result:
                source.end(job, Ending(**json.loads(result["ending"])))
            else:
                reason = f"stopped early by ASHA after {result['epoch']} epochs"
                wall_s = float(result.get("time_total_s", 0.0))
                source.end(job, Ending("pruned", result["value"], result["epoch"], wall_s, reason))

        def save(self, checkpoint_path: str) -> None:
            """Nothing to save: the run's own files are the truth."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing is ever restored from Tune's files."""

    return Jobs()


def _scheduler(source: Source, running: dict[str, Job], asha: "Asha | None", max_epochs: Mapping[str, int]) -> Any:
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

    class Rungs(_NotStored, FIFOScheduler):
        """One ASHA for each entry and partition: only like learning curves are compared."""

        def __init__(self) -> None:
            super().__init__()
            self._ashas: dict[tuple[str, str], Any] = {}

        def _of(self, trial: Any) -> Any:
            spec = running[trial.trial_id].spec
            last = max_epochs[spec.entry] - 1
            if asha is None or last < asha.grace_epochs:
                return None
            if (spec.entry, spec.partition) not in self._ashas:
                self._ashas[spec.entry, spec.partition] = AsyncHyperBandScheduler(
                    time_attr="epoch",
                    metric="value",
                    mode="max",
                    max_t=last,
                    grace_period=asha.grace_epochs,
                    reduction_factor=asha.reduction,
                    stop_last_trials=False,
                )
            return self._ashas[spec.entry, spec.partition]

        def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
            if (one := self._of(trial)) is not None:
                one.on_trial_add(tune_controller, trial)

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            if "epoch" not in result:
                return TrialScheduler.CONTINUE
            if source.pruned(running[trial.trial_id]):
                return TrialScheduler.STOP
            return self._of(trial).on_trial_result(tune_controller, trial, result)

    return Rungs()


def _callback(source: Source, running: dict[str, Job], losses: Counter[str]) -> Any:
    import ray
    from ray.tune import Callback

    class Losses(_NotStored, Callback):
        """Tells the source of trials that are started again.

        Ray's own monitor says that it killed a process for lack of memory. The kernel says nothing, but counts what it
        killed on this machine.
        """

        def __init__(self) -> None:
            self._kills = MemoryKills() if len(ray.nodes()) == 1 else None

        def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
            if self._kills is not None:
                self._kills.look()

        def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            losses[running[trial.trial_id].key] += 1
            counted = self._kills is not None and self._kills.recent()
            source.lost(running[trial.trial_id], out_of_memory=counted or _told_of_memory(trial))

    return Losses()


def _told_of_memory(trial: Any) -> bool:
    """Whether Ray's monitor ended the trial's process; its words for any other kill are a guess at memory too."""
    return trial.error_file is not None and "running low on memory" in Path(trial.error_file).read_text()


def _stopper(source: Source) -> Any:
    from ray.tune import Stopper

    class Stop(_NotStored, Stopper):
        """Stops everything once the source wants to."""

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return source.stopping()

    return Stop()
