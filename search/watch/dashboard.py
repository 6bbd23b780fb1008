"""`emofuse search dashboard`: optuna-dashboard and TensorBoard on a run, on this machine's loopback only."""

import fcntl
import logging
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from search.run.remote import remote_of, run_path
from search.watch.page_token import guarded, with_token

HOST = "127.0.0.1"
_EVERY_S = 5.0


def dashboard(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    port: Annotated[int, typer.Option(min=0, max=65534, help="Of the studies; the curves take the next one.")] = 8080,
    best: Annotated[int, typer.Option(min=0, help="Show the curves of so many finished trials of each entry.")] = 50,
) -> None:
    """Show a run's studies (optuna-dashboard) and curves (TensorBoard) in the browser until Ctrl-C.

    Both listen on 127.0.0.1 alone and open with the address that is printed, token included. From elsewhere:
    ssh -L 8080:127.0.0.1:8080 -L 8081:127.0.0.1:8081 HOST.

    Example:  emofuse search dashboard run
    """
    from features.errors import WrongUse
    from search.run.folder import RunFolder
    from search.trial.heartbeats import read_search
    from search.watch.curves import Curves
    from search.watch.journal_view import serve_journal

    folder = RunFolder.open(run)
    with _alone(folder.path) as alone:
        curves = Curves(folder.path, best) if alone else None
        if curves is not None:
            curves.describe(folder.recipe)
            curves.update()
        token = secrets.token_urlsafe(24)
        try:
            studies = serve_journal(folder.journal, HOST, port, token)
            pictures = serve_curves(folder.path / "tensorboard", HOST, port + 1 if port else 0, token)
        except OSError as error:
            raise WrongUse(
                f"--port {port}: expected two free ports, {port} and {port + 1}, but {error.strerror or error}; choose "
                "another --port, or 0 for any."
            ) from None
        print(f"Studies (which hyperparameters matter):  {studies}")
        print(f"Curves (how each trial learns):          {pictures}")
        cluster = ""
        try:
            while True:
                search = read_search(folder.path)
                if search is not None and search.dashboard not in ("", cluster):
                    cluster = search.dashboard
                    print(f"Cluster (nodes, the driver's log):       {cluster}")
                sys.stdout.flush()
                time.sleep(_EVERY_S)
                if remote := remote_of(folder.path):
                    remote.pull()
                if curves is not None:
                    curves.update()
        except KeyboardInterrupt:
            print("Closed.")


def serve_curves(folder: Path, host: str, port: int, token: str) -> str:
    """Serve the event files below `folder` in a thread to who shows `token`; returns the address.

    OSError when the port is taken.
    """
    from tensorboard import default, program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    def server(app: Any, flags: Any) -> Any:
        return program.WerkzeugServer(guarded(app, token), flags)

    board = program.TensorBoard(default.get_plugins(), server_class=server)
    # The fast loader is a process of its own, which would outlive this one when it is killed.
    board.configure(
        argv=[
            "tensorboard",
            "--logdir",
            str(folder),
            "--host",
            host,
            "--port",
            str(port),
            "--load_fast",
            "false",
            "--reload_interval",
            str(int(_EVERY_S)),
        ]
    )
    try:
        return with_token(board.launch(), token)
    except program.TensorBoardServerException as error:
        raise OSError(str(error)) from None


@contextmanager
def _alone(run: Path) -> Iterator[bool]:
    """Whether this is the only dashboard on the run here; a second one shows the curves that the first one keeps."""
    with (run / ".dashboard.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
