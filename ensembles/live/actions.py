"""What the live page may do to a run: stop its search gracefully, and queue failed trials again. Nothing else."""

import os
import signal
import socket
from pathlib import Path

from features.errors import EmofuseError
from search.run.layout import Layout
from search.run.remote import opened, remote_of
from search.trial.heartbeats import is_running, read_search


def stop(run: Path) -> str:
    """Ask the driver to stop as Ctrl-C does: running epochs end, checkpoints are kept. What was done, in a sentence.

    Of a run on an object store the driver may be anywhere. Errors: EmofuseError where no search works on the run, or
    the driver of a run in a folder is on another machine.
    """
    search = read_search(run)
    if search is None:
        raise EmofuseError("No search works on this run, so there is nothing to stop.")
    if (remote := remote_of(run)) is not None:
        remote.ask_to_stop(search.host, search.pid)
        return (
            "The search is asked to stop; it looks within ten seconds, and stops when its running epochs are done. The "
            "same `emofuse search run` goes on."
        )
    if search.host != socket.gethostname():
        raise EmofuseError(
            f"The search is process {search.pid} on {search.host}: stop it there, by kill -INT {search.pid}."
        )
    if not is_running(run, search):
        raise EmofuseError("The search has just ended.")
    if Layout(run).stop_file.exists():
        return "The search is stopping already; once more would not wait for its running epochs."
    os.kill(search.pid, signal.SIGINT)
    return "The search stops when its running epochs are done; the same `emofuse search run` goes on."


def retry(run: Path) -> str:
    """Queue all failed trials again, as `emofuse search retry` does. What was done, in a sentence.

    Errors: EmofuseError while a search works on the run.
    """
    from search.study.retries import retry_failed

    if is_running(run, read_search(run)):
        raise EmofuseError("A search works on this run; stop it first, then its failed trials can be queued again.")
    if (remote := remote_of(run)) is not None:
        # A mirror of its own, since the page's is brought up to date all the while.
        own = opened(remote.uri, "button")
        own.pull("run.json", "recipe.yaml")
        run = own.local
    queued = retry_failed(run)
    if not queued.again:
        return "No failed trial is queued again."
    return f"{len(queued.again)} failed trials are queued again; the same `emofuse search run` trains them."
