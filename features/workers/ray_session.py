"""Ray for one piece of work: started on this machine, or joined where a cluster runs; all its settings stand here."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.disk.scratch import clear_left_behind, session_folder
from features.errors import EmofuseError
from features.workers.ray_access import (
    LOOPBACK,
    asks_for_token,
    changed_environment,
    cluster_access,
    open_cluster,
    own_access,
)
from features.workers.shadows import refuse_shadows

# Ray reads these when it is imported and when its processes start.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a table even when told to be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Nothing else runs in the process that waits for the control service to start, which takes a second or two.
    "RAY_gcs_server_port_wait_time_s": "20",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the runner stops a search itself
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial has no accuracy
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is ever restored from Tune's own snapshots
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",  # a stopped trial that takes longer to leave costs the next one
    # Ray puts the working directory first on a worker's path, and a folder `models` there must not become ours.
    "RAY_preload_python_modules": "features,models,search,ensembles",
}


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


@contextmanager
def ray_session(address: str | None, cpus: int | None = None, allow_open: bool = False) -> Iterator[None]:
    """Ray on this machine with `cpus` CPUs (None: all), or the cluster at `address`.

    Started here it listens on loopback, asks for a token of its own, and keeps its files where no other user looks. A
    cluster that asks nobody for a token is refused with an EmofuseError unless `allow_open`.
    """
    _refuse_second()
    clear_left_behind()
    with changed_environment({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}):
        if address is None:
            with _started(cpus):
                yield
        else:
            with cluster_access(), _joined(address, allow_open):
                yield


@contextmanager
def _started(cpus: int | None) -> Iterator[None]:
    """Ray on this machine alone."""
    with session_folder() as folder, own_access(folder / "token"):
        import ray

        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=100 * 2**20,  # arrays are memory-mapped from the feature store, never sent
                _node_ip_address=LOOPBACK,
                _temp_dir=str(folder / "ray"),  # Ray opens its own folder to all users
                **_QUIET,
            )
            yield
        finally:
            ray.shutdown()


@contextmanager
def _joined(address: str, allow_open: bool) -> Iterator[None]:
    import ray

    refuse_shadows(Path.cwd())
    try:
        _join(address)
        if not allow_open:
            _refuse_open(address, ray.get_runtime_context().gcs_address)
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    import ray

    try:
        host, _, port = address.rpartition(":")
        if port.isdigit():
            # Ray itself tries for many minutes to reach what isn't there.
            socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()
        ray.init(address=address, **_QUIET)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise EmofuseError(
            f"--address {address}: expected a running Ray cluster, but {reason}; start one with "
            "`ray start --head` (with the same RAY_AUTH_MODE as here), or leave the option out."
        ) from None


def _refuse_open(address: str, service: str) -> None:
    if not asks_for_token(service):
        raise open_cluster(address, service)


def _refuse_second() -> None:
    ray = sys.modules.get("ray")
    if ray is not None and getattr(ray, "is_initialized", bool)():
        raise EmofuseError(
            "Expected a process without Ray, but Ray runs in this one already; end it first (`ray.shutdown()`), or "
            "start the command in a process of its own."
        )
