"""What the live page may do to a run: stop its search gracefully, and queue failed trials again. Nothing else."""

import os
import signal
import socket
from pathlib import Path

from features.errors import EmofuseError
from search.run.lease import is_locked
from search.run.remote import remote_of
from search.trial.heartbeats import read_search


def stop(run: Path) -> str:
    """Ask the driver to stop as Ctrl-C does: running epochs end, checkpoints are kept. What was done, in a sentence.

    Errors: EmofuseError where no search works on the run, or its driver is on another machine.
    """
    search = read_search(run)
    if search is None:
        raise EmofuseError("No search works on this run, so there is nothing to stop.")
    if search.host != socket.gethostname():
        raise EmofuseError(
            f"The search is process {search.pid} on {search.host}: stop it there, by kill -INT {search.pid}."
        )
    if not is_locked(run):
        raise EmofuseError("The search has just ended.")
    os.kill(search.pid, signal.SIGINT)
    return "The search stops when its running epochs are done; the same `emofuse search run` goes on."


def retry(run: Path) -> str:
    """Queue all failed trials again, as `emofuse search retry` does. What was done, in a sentence.

    Errors: EmofuseError while a search works on the run, and for a run on an object store.
    """
    from search.study.retries import retry_failed

    if remote_of(run) is not None:
        raise EmofuseError("This run lies on an object store: queue its failed trials again by `emofuse search retry`.")
    queued = retry_failed(run)
    if not queued.again:
        return "No failed trial is queued again."
    return f"{len(queued.again)} failed trials are queued again; the same `emofuse search run` trains them."
