"""Trials on Ray: one machine's processes or a cluster.

Tune only places the trials, and asks ASHA which to stop. What was asked for and what is finished stands in the run's
own folder, so Tune's experiment folder is thrown away, and a killed search needs no `Tuner.restore`.
"""

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import MachineFault
from features.plugins.shipping import Sources, install, sources
from features.workers.ray_session import ray_session
from models import pulse
from models.metrics import search_value
from models.pulse import Stopped
from search.cluster.capacity import Capacity
from search.cluster.jobs import JobQueue
from search.cluster.nodes import read_capacity
from search.run.ending import Ending
from search.run.layout import Layout
from search.run.remote import remote_of
from search.run.spec import TrialSpec
from search.trial.attempts import attempt_trial
from search.trial.remote_trial import attempt_remote_trial
from search.trial.watchdog import waiting

if TYPE_CHECKING:
    from search.recipe.limits import Asha

# How many trials at least wait for a free place, by whether the cluster grows by what waits.
MIN_WAITING = {False: 2, True: 16}


@contextmanager
def connected(address: str | None, cpus: int | None, allow_open: bool = False) -> Iterator[Capacity]:
    """Ray on this machine with `cpus` CPUs (None: all), or the cluster at `address`, as `ray_session` gives them."""
    with ray_session(address, cpus, allow_open):
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        yield read_capacity(own=address is None)


def work(config: dict[str, Any], shipped: Sources | None = None) -> None:
    """One trial in a worker process, as Tune calls it; its ending is the last thing it reports.

    `shipped` is the code of plug-in files.
    """
    from ray import tune

    install(shipped or {})
    spec = TrialSpec.from_dict(json.loads(config["spec"]))
    rungs, best = set(config["rungs"]), -math.inf

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        nonlocal best
        value = search_value(metrics, spec.metric)
        # The best epoch is the one that is kept; a refit has no rungs.
        best = best if value is None else max(best, value)
        if epoch in rungs:
            with waiting():
                tune.report({"epoch": epoch, "value": best})

    pulse.forget_stop()  # the last trial of this process may have ended before it heard of it
    remote, began = config["remote"], time.time()
    if config["start_by_s"] is not None and began > config["start_by_s"]:
        tune.report({"stopped": 0.0})
        return
    try:
        result = attempt_remote_trial(remote, spec, report) if remote else attempt_trial(spec, report)
    except MachineFault as fault:
        tune.report({"machine_fault": str(fault)})
        return
    except Stopped:
        if not Layout(Path(spec.run)).stop_file.exists():
            # Not the whole search stops.
            tune.report({"stopped": time.time() - began})
        return
    tune.report({"ending": json.dumps(asdict(result.ending))})


def run_jobs(
    source: JobQueue, capacity: Capacity, asha: "Asha | None", max_epochs: Mapping[str, int], run: Path
) -> None:
    """Train the trials of `source` until it is exhausted or stops; `max_epochs` of each entry bounds ASHA's rungs."""
    # Tune would keep only one trial of a foreign searcher waiting for a process; an autoscaler sees those that wait.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(MIN_WAITING[capacity.grows], int(capacity.cpus)))
    from ray import tune

    from search.cluster.losses import LossCallback
    from search.cluster.scheduler import AshaByEntry, SourceStopper
    from search.cluster.searcher import MAX_LOSSES, JobSearcher, Running

    running = Running(source, machines=not capacity.own)
    shipped = sources()
    trainable = partial(work, shipped=shipped) if shipped else work
    remote = remote_of(run)
    scratch = run.resolve() / ".tune"
    storage = remote.tune_storage if remote else {"storage_path": str(scratch)}
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        tune.Tuner(
            tune.with_resources(trainable, _placement),
            tune_config=tune.TuneConfig(
                search_alg=JobSearcher(
                    running, asha, max_epochs, remote.uri if remote else None, capacity.max_concurrent
                ),
                scheduler=AshaByEntry(running, asha, max_epochs),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="tune",
                **storage,
                stop=SourceStopper(source),
                callbacks=[LossCallback(running)],
                failure_config=tune.FailureConfig(max_failures=MAX_LOSSES),
                verbose=0,
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if remote:
            remote.delete(".tune")
    for job in () if source.stopping() else tuple(running.jobs.values()):
        source.end(job, Ending("failed", reason="Ray gave the trial up and reported no reason", kind="lost"))


def _placement(config: dict[str, Any]) -> Any:
    return _placement_of(tuple((name, amount) for name, amount in config["request"].items() if amount))


@cache  # Tune compares every two trials' requests at length unless they are the same object
def _placement_of(request: tuple[tuple[str, float], ...]) -> Any:
    from ray import tune

    return tune.PlacementGroupFactory([dict(request)])


def _name(trial: Any) -> str:
    # The id keeps it apart from an earlier attempt of the same trial.
    return f"{trial.config['name']}-{trial.trial_id}"
