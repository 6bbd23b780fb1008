"""A paper's tables beside a run's numbers: cell by cell, as tables, as CSV, and what is not there in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ensembles.continuous.later import seen_over_time
from ensembles.evaluation.intervals import Interval
from ensembles.papers.measured import ClassMeasures, Measures, NotMeasured
from ensembles.papers.over_time import CccMeasures
from ensembles.papers.published import Paper, PaperTable
from ensembles.predictions.sealed_scores import Look
from features.spelling import key
from features.terminal import Table

_DASH = "-"


@dataclass(frozen=True)
class Cell:
    """A number of the paper (None: it prints none) and ours in the same unit, or `why` there is no such.

    Ours may be a mean over `seeds`, with the standard deviation `sd`.
    """

    row: str
    column: str
    paper: float | None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n_clips: int | None = None
    n_groups: int | None = None
    why: str = ""
    seeds: int = 1
    sd: float | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper


@dataclass(frozen=True)
class Beside:
    """A table of the paper with its cells, row by row; `confusion` where they are shares of a confusion matrix."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    confusion: bool
    digits: int


def tables_beside(paper: Paper, run: Path, look: Look = False) -> list[Beside]:
    """All tables of a paper beside what a run reached; test clips are looked at as `look` says."""
    measures: Measures = CccMeasures(run, seen_over_time(look)) if paper.unit == "ccc" else ClassMeasures(run, look)
    return [_beside(paper, table, measures) for table in paper.tables]


def _beside(paper: Paper, table: PaperTable, measures: Measures) -> Beside:
    if table.confusion:
        return Beside(table.name, table.title, table.classes, _confusion_cells(table, measures), True, 1)
    rows: list[tuple[Cell, ...]] = []
    for row in table.rows:
        if not table.columns:
            rows.append((Cell(row.name, "", None, why=row.none),))
            continue
        cells = []
        for c, column in enumerate(table.columns):
            source, stated = row.source(c), row.paper[c]
            if stated is None:
                cells.append(Cell(row.name, column.name, None))
                continue
            if source is None:
                cells.append(Cell(row.name, column.name, stated, why=row.none))
                continue
            try:
                own = measures.number(source, column)
            except NotMeasured as absent:
                cells.append(Cell(row.name, column.name, stated, why=str(absent)))
                continue
            scale = 100.0 if paper.unit == "percent" and column.best is None else 1.0
            low, high = _bounds(own.interval, scale)
            sd = None if own.sd is None else scale * own.sd
            found = (scale * own.value, low, high, own.n_clips, own.n_groups)
            cells.append(Cell(row.name, column.name, stated, *found, seeds=own.seeds, sd=sd))
        rows.append(tuple(cells))
    columns = tuple(column.name for column in table.columns)
    return Beside(table.name, table.title, columns, tuple(rows), False, 1 if paper.unit == "percent" else 3)


def _confusion_cells(table: PaperTable, measures: Measures) -> tuple[tuple[Cell, ...], ...]:
    def absent(why: str) -> tuple[tuple[Cell, ...], ...]:
        rows = zip(table.classes, table.confusion, strict=True)
        return tuple(
            tuple(Cell(name, other, value, why=why) for other, value in zip(table.classes, line, strict=True))
            for name, line in rows
        )

    assert table.ours is not None  # its model refuses a matrix without
    try:
        own = measures.confusion(table.ours, table.split)
    except NotMeasured as why:
        return absent(str(why))
    place = {key(name): c for c, name in enumerate(own.classes)}
    if lacking := [name for name in table.classes if key(name) not in place]:
        return absent(f"the run has no class {lacking[0]}")
    rows = []
    for i, name in enumerate(table.classes):
        line = []
        for j, other in enumerate(table.classes):
            at = place[key(name)], place[key(other)]
            share, paper = float(own.shares[at]), table.confusion[i][j]
            if share != share:
                line.append(Cell(name, other, paper, why=f"no clip of {name}"))
                continue
            low, high = _bounds(own.intervals.get(at), 100.0)
            total = sum(own.counts[at[0]])
            line.append(Cell(name, other, paper, 100 * share, low, high, total))
        rows.append(tuple(line))
    return tuple(rows)


def _bounds(interval: Interval | None, scale: float) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (scale * interval.low, scale * interval.high)


def texts(cell: Cell, digits: int, confusion: bool = False) -> tuple[str, str]:
    """The paper's number and ours with its interval and the difference, as they are printed."""
    stated = _DASH if cell.paper is None else f"{cell.paper:g}"
    if cell.ours is None:
        return stated, _DASH
    own = f"{cell.ours:.{digits}f}"
    if confusion:
        return stated, own
    bounds = "" if cell.low is None else f" [{cell.low:.{digits}f}, {cell.high:.{digits}f}]"
    spread = "" if cell.sd is None else f" ± {cell.sd:.{digits}f}"
    return stated, f"{own}{spread}{bounds} {cell.difference:+.{digits}f}"


def printed(beside: Beside) -> Table:
    """One table for the terminal: each of the paper's columns, and ours beside it."""
    told = "paper / ours, row percent" if beside.confusion else "ours: [95 % interval over groups] difference"
    table = Table(
        title=f"{beside.name}: {beside.title} ({told})" if beside.columns else f"{beside.name}: {beside.title}"
    )
    table.add_column("", overflow="fold")
    for name in beside.columns or ("",):
        table.add_column(name, justify="right")
        if not beside.confusion and beside.columns:
            table.add_column("ours", justify="right")
    for row in beside.rows:
        cells: list[str] = []
        for cell in row:
            pair = texts(cell, beside.digits, beside.confusion)
            if not beside.columns:
                cells.append(cell.why)
            else:
                cells += [" / ".join(pair)] if beside.confusion else pair
        table.add_row(row[0].row, *cells)
    return table


def reasons(tables: Sequence[Beside]) -> list[str]:
    """What is not there, a sentence for each reason with the tables that it concerns."""
    found: dict[str, dict[str, list[str]]] = {}
    for table in tables:
        for row in table.rows:
            for why in dict.fromkeys(cell.why for cell in row if cell.why):
                found.setdefault(why, {}).setdefault(table.name, []).append(row[0].row)
    sentences = []
    for why, places in found.items():
        where = "; ".join(
            name if len(rows) == len(next(t for t in tables if t.name == name).rows) else f"{name} ({', '.join(rows)})"
            for name, rows in places.items()
        )
        sentences.append(f"{where}: {why}.")
    return sentences


def beside_table(paper: Paper, tables: Sequence[Beside]) -> pa.Table:
    """All cells, a row each, for a file."""
    rows = [
        {
            "paper": paper.paper,
            "table": table.name,
            "row": cell.row,
            "column": cell.column,
            "stated": cell.paper,
            "ours": cell.ours,
            "difference": cell.difference,
            "low": cell.low,
            "high": cell.high,
            "seeds": cell.seeds if cell.ours is not None else None,
            "sd": cell.sd,
            "clips": cell.n_clips,
            "groups": cell.n_groups,
            "why_not": cell.why,
        }
        for table in tables
        for row in table.rows
        for cell in row
    ]
    numbers = ("stated", "ours", "difference", "low", "high", "sd")
    kinds = {**dict.fromkeys(rows[0], pa.string()), **dict.fromkeys(numbers, pa.float64())}
    kinds |= {"seeds": pa.int64(), "clips": pa.int64(), "groups": pa.int64()}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
