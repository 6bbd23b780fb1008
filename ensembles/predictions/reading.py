"""Prediction files as one Arrow dataset: footers first, then one scan over all rows, by Arrow's own threads."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from ensembles.predictions.cache import Content
from features.errors import EmofuseError
from search.run.predictions import FOOTER, parse_footer

ROW_COLUMNS = ("clip_id", "group_id", "split", "role", "label")
_TOLERANCE = 1e-3  # of a row's sum
_RECENT = 8  # tables of rows that are compared before a digest is made
_LOCAL = LocalFileSystem()
# The files are small: what is fetched ahead costs more than it saves.
_FORMAT = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False))


def read_files(paths: Mapping[str, Path], shared: "SharedTables") -> dict[str, Content]:
    """What each file holds, by name. Errors: EmofuseError that names a file that is no prediction file, or is broken.

    Predictions of continuous emotion are passed over (ensembles.continuous.run).
    Files with other columns (another order of classes, say) are a dataset of their own.
    """
    opened = {name: _FORMAT.make_fragment(str(path), _LOCAL) for name, path in paths.items()}
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
        schemas = dict(zip(opened, pool.map(_schema, opened.values()), strict=True))
    kinds: dict[tuple, list[str]] = {}
    for name, schema in schemas.items():
        kinds.setdefault((*schema.names, *map(str, schema.types)), []).append(name)
    contents: dict[str, Content] = {}
    for names in kinds.values():
        if parse_footer(schemas[names[0]].metadata, paths[names[0]]).dimensions:
            continue
        columns = _classes(schemas[names[0]], paths[names[0]])
        own = {opened[name].path: name for name in names}
        for path, rows in _scanned([opened[name] for name in names], schemas[names[0]]):
            contents[own[path]] = _content(schemas[own[path]], rows, columns, shared)
            _check_scores(contents[own[path]], path)
    return {name: contents[name] for name in paths if name in contents}


def _schema(fragment: ds.ParquetFileFragment) -> pa.Schema:
    try:
        schema = fragment.physical_schema
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(fragment, error) from None
    if FOOTER not in (schema.metadata or {}):
        raise EmofuseError(f"{fragment.path}: expected a prediction file of emofuse, but its footer is missing.")
    return schema


def _classes(schema: pa.Schema, path: Path) -> list[str]:
    """The columns of the classes in sorted order, after a look at the footer and at what is there."""
    columns = [f"p_{name}" for name in sorted(parse_footer(schema.metadata, path).classes)]
    missing = {*ROW_COLUMNS, "valid", *columns} - set(schema.names)
    if missing:
        names = ", ".join(sorted(missing))
        raise EmofuseError(f"{path}: expected a prediction file, but it lacks the columns {names}.")
    return columns


def _scanned(
    fragments: Sequence[ds.ParquetFileFragment], schema: pa.Schema
) -> Iterator[tuple[str, Sequence[pa.RecordBatch]]]:
    """(path, rows) of all files of one schema."""
    dataset = ds.FileSystemDataset(fragments, schema.remove_metadata(), _FORMAT, _LOCAL)
    seen = set()
    try:
        for path, tagged in groupby(dataset.scanner().scan_batches(), key=lambda tagged: tagged.fragment.path):
            seen.add(path)
            yield path, [one.record_batch for one in tagged]
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(_broken(fragments) or fragments[0], error) from None
    for fragment in fragments:
        if fragment.path not in seen:  # a file without rows has no batch
            yield fragment.path, [pa.RecordBatch.from_pylist([], schema.remove_metadata())]


def _broken(fragments: Sequence[ds.ParquetFileFragment]) -> ds.ParquetFileFragment | None:
    """The file that ended a scan."""
    for fragment in fragments:
        try:
            fragment.to_table()
        except (OSError, pa.ArrowException):
            return fragment
    return None


def _unreadable(fragment: ds.ParquetFileFragment, error: Exception) -> EmofuseError:
    return EmofuseError(f"{fragment.path}: expected a prediction file, but it can't be read as Parquet ({error}).")


def _content(
    schema: pa.Schema, rows: Sequence[pa.RecordBatch], columns: Sequence[str], shared: "SharedTables"
) -> Content:
    table = pa.Table.from_batches(rows)
    P = np.stack([table[name].to_numpy() for name in columns], axis=1)
    return Content(schema.metadata[FOOTER], shared.get(table.select(ROW_COLUMNS)), P, table["valid"].to_numpy())


def _check_scores(content: Content, path: str) -> None:
    """Refuse rows that `search.run.predictions` would not have written: a NaN would count as the first class."""
    P = content.P
    good = (np.abs(P.sum(axis=1, dtype=np.float64) - 1) <= _TOLERANCE) & (P >= 0).all(axis=1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        clip_id = content.rows["clip_id"][row].as_py()
        raise EmofuseError(
            f"{path}: the scores of clip {clip_id!r} are {P[row].tolist()}; expected finite, non-negative numbers that "
            "sum to 1. Remove the file, and train the trial or import its predictions again."
        )


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
