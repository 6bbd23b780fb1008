"""`emofuse search dashboard`: the live page of a run, with optuna-dashboard and TensorBoard beside it."""

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.run.remote import watched_path

if TYPE_CHECKING:
    from ensembles.live.refresh import Live
    from search.watch.curves import Curves

HOST = "127.0.0.1"
_LOOK_S = 1.0
_CURVES_EVERY_S = 5.0


def dashboard(
    run: Annotated[Path, typer.Argument(parser=watched_path, metavar="RUN", help="The run's folder or URI.")],
    port: Annotated[
        int, typer.Option(min=0, max=65533, help="Of the page; studies and curves take the next two.")
    ] = 8080,
    best: Annotated[int, typer.Option(min=0, help="Show the curves of so many finished trials of each entry.")] = 50,
) -> None:
    """Show a run live in the browser until Ctrl-C: running trials, failures, queue and end, and all of the report.

    From there it goes to the studies (optuna-dashboard), the curves (TensorBoard) and Ray's dashboard. All listen on
    127.0.0.1 alone and open with the address that is printed, token included. From elsewhere:
    ssh -L 8080:127.0.0.1:8080 -L 8081:127.0.0.1:8081 -L 8082:127.0.0.1:8082 HOST.

    Example:  emofuse search dashboard run
    """
    from ensembles.live.refresh import Live
    from ensembles.live.server import LivePage, serve_live
    from features.errors import WrongUse
    from search.run.folder import RunFolder
    from search.run.predictions import prediction_names
    from search.trial.heartbeats import read_search
    from search.watch.curves import Curves
    from search.watch.dashboard import alone, serve_curves
    from search.watch.journal_view import serve_journal

    # Predictions of other tools have a page, too; neither studies nor curves.
    folder = RunFolder.open(run) if (run / "run.json").exists() or not prediction_names(run) else None
    links: list[tuple[str, str]] = []
    with alone(run) as mine:
        curves = Curves(run, best) if mine and folder is not None else None
        if curves is not None and folder is not None:
            curves.describe(folder.recipe)
            curves.update()
        live = Live(run, _now_and_then(curves))
        live.start()

        def beside() -> Sequence[tuple[str, str]]:
            search = read_search(run)
            cluster = [("Ray's dashboard", search.dashboard)] if search is not None and search.dashboard else []
            return [*links, *cluster]

        token, close = secrets.token_urlsafe(24), None
        ports = [port + n if port else 0 for n in range(3)]
        try:
            page, close = serve_live(LivePage(live, beside), HOST, ports[0], token)
            if folder is not None and folder.journal.exists():
                links.append(("Studies (optuna-dashboard)", serve_journal(folder.journal, HOST, ports[1], token)))
            if folder is not None:
                links.append(("Curves (TensorBoard)", serve_curves(run / "tensorboard", HOST, ports[2], token)))
        except OSError as error:
            if close is not None:
                close()
            raise WrongUse(
                f"--port {port}: expected three free ports, {port} to {port + 2}, but {error.strerror or error}; "
                "choose another --port, or 0 for any."
            ) from None
        print(f"The run, live:                           {page}")
        for name, address in links:
            print(f"{name + ':':<40} {address}")
        _wait(live)


def _wait(live: "Live") -> None:
    """Until Ctrl-C; the pages are served by threads."""
    try:
        while True:
            sys.stdout.flush()
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        live.stop()
        print("Closed.")


def _now_and_then(curves: "Curves | None") -> Callable[[], None]:
    """Bring the curves up to date, not at every look."""
    last_s = time.monotonic()

    def each() -> None:
        nonlocal last_s
        if curves is not None and time.monotonic() - last_s >= _CURVES_EVERY_S:
            curves.update()
            last_s = time.monotonic()

    return each
