"""A run's trials as runs of MLflow: one parent, a child for each trial."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from features.errors import EmofuseError, MachineFault
from features.masking import masked
from features.progress import progress
from search.watch.tracked_trials import TrackedTrial

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
_KEY, _ENDED, _RUN, _PARENT = "emofuse.trial_key", "emofuse.status", "emofuse.run", "mlflow.parentRunId"
# What MLflow takes in one call, and the longest text of a parameter.
_METRICS, _PARAMS, _TEXT = 1000, 100, 6000


def write_mlflow(trials: Sequence[TrackedTrial], name: str, uri: str) -> int:
    """Bring the trials to the MLflow at `uri`, experiment `emofuse`, under one parent run; the number of new children.

    A trial that is there already, ended the same way, is passed over; one whose export was cut off is made again.
    EmofuseError where MLflow refuses, MachineFault where it isn't installed.
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError:
        raise MachineFault(
            "--to mlflow needs MLflow, which is not installed: run pip install 'emofuse[tracking]'."
        ) from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        return _write(MlflowClient(tracking_uri=uri), trials, name)
    except MlflowException as error:
        raise EmofuseError(f"MLflow at {masked(uri)} refuses: {masked(str(error).splitlines()[0])}") from None


def _write(client: "MlflowClient", trials: Sequence[TrackedTrial], name: str) -> int:
    found = client.get_experiment_by_name("emofuse")
    experiment = found.experiment_id if found else client.create_experiment("emofuse")
    parent = _parent(client, experiment, name)
    known = _children(client, experiment, parent)
    new = []
    for trial in trials:
        there = known.get(trial.trial_key)
        if there is not None and there[1] and there[2] == trial.status:
            continue
        if there is not None:
            client.delete_run(there[0])
        new.append(trial)
    with progress("export trials", len(new)) as counter:
        for trial in new:
            _child(client, experiment, parent, name, trial)
            counter.advance()
    for status in _STATUS:
        client.log_metric(parent, status, sum(trial.status == status for trial in trials))
    client.set_terminated(parent)
    return len(new)


def _parent(client: "MlflowClient", experiment: str, name: str) -> str:
    found = client.search_runs([experiment], f"tags.`{_RUN}` = {_literal(name)} and tags.emofuse_role = 'search'")
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(experiment, run_name=name, tags={_RUN: name, "emofuse_role": "search"})
    return str(made.info.run_id)


def _literal(text: str) -> str:
    if "'" in text and '"' in text:
        raise EmofuseError(f"--name {text}: expected a name without both kinds of quotes.")
    return f'"{text}"' if "'" in text else f"'{text}'"


def _children(client: "MlflowClient", experiment: str, parent: str) -> dict[str, tuple[str, bool, str]]:
    """(run id, whether its export came to its end, how the trial ended) by trial key."""
    children: dict[str, tuple[str, bool, str]] = {}
    token: str | None = None
    while True:
        page = client.search_runs([experiment], f"tags.`{_PARENT}` = '{parent}'", max_results=1000, page_token=token)
        for run in page:
            whole = run.info.status != "RUNNING"
            children[run.data.tags[_KEY]] = (run.info.run_id, whole, run.data.tags[_ENDED])
        token = page.token
        if not token:
            return children


def _child(client: "MlflowClient", experiment: str, parent: str, name: str, trial: TrackedTrial) -> None:
    from mlflow.entities import Metric, Param

    started_ms, ended_ms = round(trial.started_s * 1000), round(trial.ended_s * 1000)
    tags = {
        _KEY: trial.trial_key,
        _ENDED: trial.status,
        _RUN: name,
        _PARENT: parent,
        "config_key": trial.config_key,
        **({"reason": trial.reason} if trial.reason else {}),
        **{name: str(value) for name, value in trial.facts.items()},
    }
    child = client.create_run(experiment, start_time=started_ms, tags=tags, run_name=trial.name)
    run_id = child.info.run_id
    told: dict[str, Any] = {
        "entry": trial.entry,
        "family": trial.family,
        "partition": trial.partition,
        **trial.hyperparameters,
    }
    params = [Param(key, str(value)[:_TEXT]) for key, value in told.items()]
    last = max((int(row["epoch"]) for row in trial.curve), default=1)
    metrics = [
        # When each epoch ended isn't stored; they take about the same time.
        Metric(key, value, round(started_ms + (ended_ms - started_ms) * row["epoch"] / last), int(row["epoch"]))
        for row in trial.curve
        for key, value in row.items()
        if key != "epoch"
    ]
    metrics += [Metric(f"final/{key}", value, ended_ms, 0) for key, value in trial.metrics.items()]
    metrics.append(Metric("wall_s", trial.wall_s, ended_ms, 0))
    for first in range(0, len(params), _PARAMS):
        client.log_batch(run_id, params=params[first : first + _PARAMS])
    for first in range(0, len(metrics), _METRICS):
        client.log_batch(run_id, metrics=metrics[first : first + _METRICS])
    client.set_terminated(run_id, _STATUS[trial.status], end_time=ended_ms)
