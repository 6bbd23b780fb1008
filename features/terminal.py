"""What is printed: the words of users (names of clips, classes, files) are text, never markup or emoji.

`[/b]` and `:smile:` may be a class. All that goes to a terminal by rich is made here.
"""

import shlex
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from rich import table
from rich.console import Console, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    import typer

_WIDE = 160  # columns of a table that goes to a file or a pipe


def console(stderr: bool = False, wide: int | None = _WIDE, **options: Any) -> Console:
    """A console that prints text as it is; `wide` columns where it is no terminal (None: as many as rich says)."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, **options)
    if wide is not None and not made.is_terminal and "width" not in options:
        return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=wide, **options)
    return made


class Table(table.Table):
    """rich's table with plain cells, headers and title, whichever console prints it; style them by `Text`."""

    def __init__(self, *headers: str, title: str | None = None, **options: Any) -> None:
        named = None if title is None else Text(title, style="table.title")
        super().__init__(title=named, title_justify="left", **options)
        for header in headers:
            self.add_column(header)

    def add_column(self, header: Any = "", *args: Any, **options: Any) -> None:
        """Add a column; see rich."""
        super().add_column(_plain(header), *args, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; see rich."""
        super().add_row(*map(_plain, cells), **options)


def _plain(cell: Any) -> Any:
    return Text(cell) if isinstance(cell, str) else cell


def command(*words: object) -> str:
    """A command of emofuse as it can be pasted into a shell: `command("predict", "my bundle")`."""
    return shlex.join(["emofuse", *map(str, words)])


def order(app: "typer.Typer", *names: str) -> None:
    """Let the help of an app list these commands first, in this order, as work goes."""

    def place(known: Any) -> int:
        name = known.name or known.callback.__name__
        return names.index(name) if name in names else len(names)

    app.registered_commands.sort(key=place)


def print_anything() -> None:
    """Let what the terminal's encoding lacks be printed as `\\u5f00`, where it would otherwise end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
