"""Parquet files of ours that tell in their footer what they are, and of which every byte is vouched for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.disk.sealed_parquet import open_sealed, sealed
from features.disk.sizes import read_parquet, refuse_size
from features.errors import DamagedFile
from features.files import write_bytes

_FOOTER = b"emofuse"


def write_table(table: pa.Table, path: Path, footer: Mapping[str, Any]) -> None:
    """Write `table` with `footer` and its seal, whole or not at all."""
    write_bytes(path, sealed(table, {_FOOTER: json.dumps(footer).encode()}))


def read_table(path: Path, what: str, damaged: str) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the footer that `write_table` was given; the footer is empty for anybody's Parquet file.

    DamagedFile, with `damaged` as what to do, for a file that isn't what was written and for one that can't be read as
    Parquet. Files of earlier releases have no seal. WrongUse for one that takes more memory than is allowed, see
    `features.disk.sizes`.
    """
    try:
        refuse_size(path, path.stat().st_size)
        open_sealed(path)  # before pyarrow decodes anything of it
    except ValueError as error:
        raise DamagedFile(f"{path}: expected {what}, but {error}; {damaged}.") from None
    try:
        table = read_parquet(path)
        return table, dict(json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}")))
    except (OSError, ValueError, TypeError, RecursionError, pa.ArrowException) as error:
        why = " ".join(str(error).split())[:200]
        raise DamagedFile(f"{path}: expected {what}, but it can't be read as Parquet ({why}); {damaged}.") from None
