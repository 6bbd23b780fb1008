"""Prediction files read one by one, a few at a time: held against their seals and checked, equal clips shared."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensembles.predictions.cache import Content
from features.errors import DamagedFile, EmofuseError
from features.tables.numbers import numbers
from search.run.predictions import (
    FOOTER,
    ROW_COLUMNS,
    Footer,
    check_clips,
    check_scores,
    class_schema,
    damaged,
    footer_of,
    open_predictions,
    read_rows,
    scores_of,
    stored_in,
    trial_name,
)

_RECENT = 8  # tables of rows that are compared before a digest is made
_TOLD = 3  # damaged files that are named
_CHUNK = 1024  # files that are on their way at once


def read_files(
    paths: Mapping[str, Path], shared: "SharedTables", known: Mapping[bytes, Content] | None = None
) -> dict[str, Content]:
    """What each file holds, by name; one whose digest is `known` is not decoded.

    Predictions of continuous emotion are passed over (ensembles.continuous.run). Errors: EmofuseError that names the
    files that are no prediction files, or are damaged.
    """
    found: dict[str, Content] = {}
    bad: list[DamagedFile] = []
    checked: dict[tuple[int, tuple[str, ...]], _Clips] = {}
    for name, read in _each(paths, known or {}):
        if isinstance(read, DamagedFile):
            bad.append(read)
        elif isinstance(read, Content):
            found[name] = read
        elif read is not None:
            try:
                found[name] = read.content(shared, checked)
            except DamagedFile as error:
                bad.append(error)
    if bad:
        raise _told(bad)
    return found


def read_content(path: Path) -> Content:
    """What one file of class probabilities holds."""
    return read_files({"": path}, SharedTables([]))[""]


class _Clips:
    """The clips that files share: their ids, and which of them have a held-out label, of which class."""

    def __init__(self, name: str, classes: Sequence[str], rows: pa.Table):
        ids, roles, labels = (rows[column].to_pylist() for column in ("clip_id", "role", "label"))
        check_clips(name, classes, ids, roles, labels)
        self.ids = ids
        number = {text: c for c, text in enumerate(classes)}
        own = [(n, number[label]) for n, label in enumerate(labels) if label is not None and roles[n] == "held_out"]
        self._places, self._y = np.array(own, int).reshape(-1, 2).T

    def accuracy(self, P: np.ndarray) -> float | None:
        """The accuracy on the labelled held-out clips; None without one."""
        return float((P[self._places].argmax(axis=1) == self._y).mean()) if len(self._y) else None


@dataclass(frozen=True, eq=False)
class _Read:
    """A file whose rows are decoded and not yet checked; `P` has its columns in the order of `classes`, sorted."""

    path: Path
    digest: bytes
    text: bytes
    footer: Footer
    classes: tuple[str, ...]
    rows: pa.Table
    P: np.ndarray
    valid: np.ndarray

    def content(self, shared: "SharedTables", checked: dict[tuple[int, tuple[str, ...]], _Clips]) -> Content:
        """Checked; clips that were `checked` with the same classes before are not looked at again."""
        rows, name = shared.get(self.rows), trial_name(self.footer)
        with stored_in(self.path):
            clips = checked.get((id(rows), self.classes))
            if clips is None:
                clips = checked[id(rows), self.classes] = _Clips(name, self.classes, rows)
            check_scores(name, self.classes, clips.ids, self.P)
        own = self.P, self.valid
        return Content(self.digest, self.text, rows, clips.accuracy(self.P), lambda: own)


def _each(
    paths: Mapping[str, Path], known: Mapping[bytes, Content]
) -> Iterator[tuple[str, "Content | _Read | DamagedFile | None"]]:
    def read(path: Path) -> "Content | _Read | DamagedFile | None":
        try:
            return _read(path, known)
        except DamagedFile as error:
            return error

    names = list(paths)
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
        for start in range(0, len(names), _CHUNK):
            some = names[start : start + _CHUNK]
            yield from zip(some, pool.map(read, [paths[name] for name in some]), strict=True)


def _read(path: Path, known: Mapping[bytes, Content]) -> "Content | _Read | None":
    opened = open_predictions(path)
    if opened.digest in known:
        return known[opened.digest]
    footer = footer_of(path, opened)
    if footer.dimensions:
        return None
    if not footer.classes:
        raise damaged(path, "its footer names no classes")
    classes = tuple(sorted(footer.classes))
    table = read_rows(path, opened, class_schema(classes))
    rows, P, valid = table.select(ROW_COLUMNS), scores_of(table, classes), numbers(table["valid"])
    return _Read(path, opened.digest, opened.metadata[FOOTER], footer, classes, rows, P, valid)


def _told(bad: list[DamagedFile]) -> EmofuseError:
    if len(bad) == 1:
        return bad[0]
    more = f" (and {len(bad) - _TOLD} more)" if len(bad) > _TOLD else ""
    return DamagedFile(f"{len(bad)} prediction files can't be used{more}:\n" + "\n".join(map(str, bad[:_TOLD])))


class SharedTables:
    """Equal tables as one: most trials of a run have the same clips."""

    def __init__(self, tables: Iterable[pa.Table]):
        self._found: dict[bytes, pa.Table] = {}
        self._recent: list[pa.Table] = []
        for table in {id(table): table for table in tables}.values():
            self.get(table)

    def get(self, table: pa.Table) -> pa.Table:
        """The first table that equals this one, which is this one itself if there was none."""
        for known in self._recent:
            if known.equals(table):
                return known
        batches = table.combine_chunks().replace_schema_metadata().to_batches()
        digest = hashlib.blake2b(b"".join(batch.serialize().to_pybytes() for batch in batches)).digest()
        found = self._found.setdefault(digest, table)
        self._recent = [found, *self._recent[: _RECENT - 1]]
        return found
