"""TensorBoard on a run's curves, on this machine's loopback only; one of several dashboards keeps them."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.watch.page_token import guarded, with_token

_EVERY_S = 5.0


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
def alone(run: Path) -> Iterator[bool]:
    """Whether this is the only dashboard on the run here; a second one shows the curves that the first one keeps."""
    with (run / ".dashboard.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
