"""`emofuse search status`: how a search stands, once or until it is done."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.run.remote import remote_of, run_path

if TYPE_CHECKING:
    from search.watch.fused import FusedCurve
    from search.watch.status import Status

    Look = tuple[Status, FusedCurve | None]


def status(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until nothing is left or Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How often --watch looks.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch one line each time.")] = False,
) -> None:
    """Tell how a search stands, while it runs or afterwards; no cluster is asked, the run's files tell it all.

    Example:  emofuse search status run --watch
    """
    from search.run.layout import Layout
    from search.watch.fused import fused_over_time
    from search.watch.status import read_status

    def read() -> "Look":
        layout = Layout(run.resolve())
        return read_status(layout), fused_over_time(layout)

    def read_again() -> "Look":
        if remote := remote_of(run):
            remote.pull()
            remote.forget_stale()
        return read()

    if watch:
        _watch(read, read_again, every, as_json)
        return
    print(_shown(read(), as_json, indent=2))


def _shown(look: "Look", as_json: bool, indent: int | None = None) -> str:
    from search.watch.status_view import full_text

    status, curve = look
    if as_json:
        return json.dumps({**status.as_data(), "fused": curve and curve.as_data()}, indent=indent)
    return full_text(status, curve)


def _watch(read: "Callable[[], Look]", again: "Callable[[], Look]", every: float, as_json: bool) -> None:
    from rich.live import Live
    from rich.text import Text

    from features.terminal import console

    found = read()
    if as_json or not sys.stdout.isatty():
        while True:
            text = _shown(found, as_json)
            print(text if as_json else f"{time.strftime('%H:%M:%S')}\n{text}\n")
            sys.stdout.flush()
            if not found[0].left:
                return
            time.sleep(every)
            found = again()
    # Its own screen would take the last picture away at the end.
    with Live(Text(_shown(found, False)), console=console(), auto_refresh=False, transient=False) as live:
        while found[0].left:
            time.sleep(every)
            found = again()
            live.update(Text(_shown(found, False)), refresh=True)
