"""Tables that fit a terminal: the less important columns go, and are named."""

from collections.abc import Sequence

from rich.text import Text

from features.terminal import Table, console

NARROWEST = 80  # columns that every terminal has


def room(wide: bool) -> int | None:
    """The columns that a table may have: those of the terminal, 80 of a file; None with `wide`."""
    if wide:
        return None
    shown = console(wide=NARROWEST)
    return max(NARROWEST, shown.width)


def narrowed(table: Table, width: int | None, droppable: Sequence[str]) -> list[str]:
    """Take columns out of the table until it is at most `width` wide, the first of `droppable` first; their names."""
    gone: list[str] = []
    for name in droppable:
        if width is None or _width(table) <= width:
            break
        kept = [column for column in table.columns if str(column.header) != name]
        if len(kept) < len(table.columns):
            gone.append(name)
        for n, column in enumerate(kept):
            column._index = n
        table.columns = kept
    return gone


def _width(table: Table) -> int:
    """Without a line break in any cell."""
    widths = [max([len(str(c.header)), *(len(_text(cell)) for cell in c.cells)]) for c in table.columns]
    return sum(widths) + 3 * len(widths) + 1


def _text(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
