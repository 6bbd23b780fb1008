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
    from search.watch.status import Status


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
    from search.watch.status import read_status
    from search.watch.status_view import full_text

    def read() -> "Status":
        return read_status(Layout(run.resolve()))

    def read_again() -> "Status":
        if remote := remote_of(run):
            remote.pull()
            remote.forget_stale()
        return read()

    if watch:
        _watch(read, read_again, every, as_json)
        return
    found = read()
    print(json.dumps(found.as_data(), indent=2) if as_json else full_text(found))


def _watch(read: "Callable[[], Status]", again: "Callable[[], Status]", every: float, as_json: bool) -> None:
    from rich.live import Live
    from rich.text import Text

    from features.terminal import console
    from search.watch.status_view import full_text

    found = read()
    if as_json or not sys.stdout.isatty():
        while True:
            print(json.dumps(found.as_data()) if as_json else f"{time.strftime('%H:%M:%S')}\n{full_text(found)}\n")
            sys.stdout.flush()
            if not found.left:
                return
            time.sleep(every)
            found = again()
    # Its own screen would take the last picture away at the end.
    with Live(Text(full_text(found)), console=console(), auto_refresh=False, transient=False) as live:
        while found.left:
            time.sleep(every)
            found = again()
            live.update(Text(full_text(found)), refresh=True)
