"""Ray for one piece of work: started on this machine, or joined where a cluster runs; all its settings stand here."""

import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from features.files import content_key

# Ray reads these when it is imported and when its processes start.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a table even when told to be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the runner stops a search itself
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial has no accuracy
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is ever restored from Tune's own snapshots
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",  # a stopped trial that takes longer to leave costs the next one
}


@contextmanager
def ray_session(work: Path, address: str | None, cpus: int | None = None) -> Iterator[None]:
    """Ray on this machine with `cpus` CPUs (None: all), or the cluster at `address`, to work on the folder `work`."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Left alone, Ray switches tokens on and writes one into the home folder, and later workers are turned away.
    os.environ.setdefault("RAY_AUTH_MODE", "token" if address and _has_token() else "disabled")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    folder = _session_folder(work)
    try:
        if address is not None:
            _join(address, quiet)
        else:
            folder.mkdir(mode=0o700)
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=100 * 2**20,  # arrays are memory-mapped from the feature store, never sent
                _temp_dir=str(folder),
                **quiet,
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _has_token() -> bool:
    given = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return given or (Path.home() / ".ray" / "auth_token").exists()


def _session_folder(work: Path) -> Path:
    # Ray's sockets lie here, and a socket's path may have 107 bytes. Named after the work, so that the next attempt
    # clears away what a killed one left.
    folder = Path("/tmp") / f"emofuse-{os.getuid()}-{content_key(str(work))[:8]}"
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise EmofuseError(f"{folder}: expected to make this folder for Ray's sockets, but it is there; remove it.")
    return folder


def _join(address: str, quiet: dict[str, Any]) -> None:
    import ray

    try:
        host, _, port = address.rpartition(":")
        if port.isdigit():
            # Ray itself tries for many minutes to reach what isn't there.
            socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise EmofuseError(
            f"--address {address}: expected a running Ray cluster, but {reason}; start one with "
            "`ray start --head` (with the same RAY_AUTH_MODE as here), or leave the option out."
        ) from None
