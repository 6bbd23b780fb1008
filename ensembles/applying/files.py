"""Files of predictions, written row by row: what was interrupted goes on.

A CSV and a JSON Lines file grow by each clip's rows as it is done. A Parquet file can't be read before its end is
written, so its rows lie in `FILE.part.jsonl` beside it until all are there. At the end the rows are put into the order
that was asked for. The column `bundle` tells which bundle a row is of, and rows of another one are never added to.
"""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ensembles.applying.rows import Columns, Row
from features.errors import EmofuseError, WrongUse
from features.files import refuse_uri, replacing
from features.tables.spreadsheets import quoted_text, unquoted_text

RowForm = Literal["csv", "jsonl", "parquet"]
Key = tuple[str, float, float | None]


class RowFile:
    """The predictions in `out`, those of an earlier call included: `done` are the clips that need no other look.

    Clips that failed are tried again. Errors: WrongUse for a file that is none of these predictions.
    """

    def __init__(self, out: Path, form: RowForm, columns: Columns):
        refuse_uri(out)
        if form != "jsonl" and out.suffix.lower() != f".{form}":
            raise WrongUse(f"{out}: the form {form} is written to a file that ends in .{form}.")
        self.out, self._form, self._columns = out, form, columns
        self._grows = out.with_name(f"{out.name}.part.jsonl") if form == "parquet" else out
        self._rows = self._kept()
        self._file: IO[str] | None = None

    @property
    def place(self) -> Path:
        """Where the rows lie until all are there."""
        return self._grows

    @property
    def done(self) -> Collection[Key]:
        """The keys of the clips that have rows."""
        return {self._columns.key(row) for row in self._rows}

    @property
    def rows(self) -> Sequence[Row]:
        """All rows."""
        return self._rows

    def begin(self, asked: Collection[Key]) -> None:
        """Get ready to add rows; refuse a file that holds other parts of the clips `asked`."""
        names = {name for name, _, _ in asked}
        other = next((key for key in self.done if key[0] in names and key not in asked), None)
        if other is not None and not self._columns.dimensions:
            raise WrongUse(f"{self.out}: it holds other parts of {other[0]} (windows); choose another file.")
        self._write(self._rows, self._grows)
        self._file = self._grows.open("a", encoding="utf-8", newline="")

    def add(self, rows: Sequence[Row]) -> None:
        """Write the rows of one clip."""
        assert self._file is not None
        self._rows.extend(rows)
        self._file.write(_text(rows, self._columns, self._grows.suffix.lower() == ".csv", head=False))
        self._file.flush()

    def close(self) -> None:
        """Leave it as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self, order: Sequence[Key]) -> None:
        """All rows are there: put them into `order`, those of other clips behind."""
        self.close()
        places = {key: n for n, key in enumerate(order)}
        before = self._rows
        ordered = self._rows = sorted(before, key=lambda row: places.get(self._columns.key(row), len(places)))
        if self._form != "parquet":
            if ordered != before:
                self._write(ordered, self.out)
            return
        columns = {name: pa.array([row[name] for row in ordered], _kind(name)) for name in self._columns.names}
        with replacing(self.out) as temporary:
            pq.write_table(pa.table(columns), temporary, write_page_checksum=True)
        self._grows.unlink()

    def _write(self, rows: Sequence[Row], place: Path) -> None:
        with replacing(place) as temporary:
            text = _text(rows, self._columns, place.suffix.lower() == ".csv", head=True)
            temporary.write_text(text, encoding="utf-8", newline="")

    def _kept(self) -> list[Row]:
        """The rows that lie there, without those of clips that failed and a last one that was cut off."""
        place = self._grows if self._grows.exists() or not self.out.exists() else self.out
        if not place.exists() or not place.stat().st_size:
            return []
        if place.suffix.lower() == ".parquet":
            rows = _read_parquet(place, self._columns)
        else:
            read = _read_csv if place.suffix.lower() == ".csv" else _read_jsonl
            rows = read(place, self._columns)
        for row in rows:
            if row["bundle"] != self._columns.bundle:
                raise WrongUse(
                    f"{self.out}: it holds predictions of another bundle ({row['bundle']}, not "
                    f"{self._columns.bundle}); choose another file, or remove it."
                )
        if self._columns.dimensions and rows:
            # Whether the last recording's steps are all there can't be seen.
            last = rows[-1]["clip_id"]
            rows = [row for row in rows if row["clip_id"] != last]
        return [self._columns.labelled(row) for row in rows if not self._columns.failed(row)]


def _text(rows: Sequence[Row], columns: Columns, as_csv: bool, *, head: bool) -> str:
    if not as_csv:
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if head:
        writer.writerow([quoted_text(name) for name in columns.names])
    for row in rows:
        cells = (row[name] for name in columns.names)
        writer.writerow(["" if c is None else quoted_text(c) if isinstance(c, str) else c for c in cells])
    return text.getvalue()


def _read_csv(place: Path, columns: Columns) -> list[Row]:
    with place.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = list(csv.reader(file))
    _refuse_others(place, [unquoted_text(name) for name in lines[0]], columns)
    whole = lines[1:] if place.read_bytes().endswith(b"\n") else lines[1:-1]
    rows = [dict(zip(columns.names, line, strict=True)) for line in whole if len(line) == len(columns.names)]
    return [{name: _value(place, name, text) for name, text in row.items()} for row in rows]


def _value(place: Path, name: str, text: str) -> str | float | None:
    if not text:
        return None
    if Columns.is_text(name):
        return unquoted_text(text)
    try:
        return float(text)
    except ValueError:
        raise EmofuseError(f"{place}: expected a number in column {name!r}, but got {text!r}.") from None


def _read_jsonl(place: Path, columns: Columns) -> list[Row]:
    text = place.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            raise WrongUse(f"{place}: expected predictions as JSON Lines; choose another file, or remove it.") from None
        _refuse_others(place, list(row) if isinstance(row, Mapping) else [], columns)
        rows.append(row)
    return rows


def _read_parquet(place: Path, columns: Columns) -> list[Row]:
    try:
        table = pq.read_table(place)
    except (OSError, pa.ArrowException) as error:
        raise WrongUse(f"{place}: expected predictions as Parquet ({error}); choose another file.") from None
    _refuse_others(place, table.column_names, columns)
    return list(table.to_pylist())


def _refuse_others(place: Path, names: Sequence[str], columns: Columns) -> None:
    if tuple(names) != columns.names:
        odd = next(
            iter([n for n in names if n not in columns.names] + [n for n in columns.names if n not in names]), ""
        )
        raise WrongUse(
            f"{place}: it exists with other columns than these predictions have ({odd!r}); choose another file, or "
            "remove it."
        )


def _kind(name: str) -> pa.DataType:
    return pa.string() if Columns.is_text(name) else pa.float64()
