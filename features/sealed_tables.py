"""Parquet files of ours: page checksums, and in the footer what the file is with a digest of all rows."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import DamagedFile
from features.files import replacing
from features.sizes import read_parquet

_FOOTER = b"emofuse"
_DIGEST = "rows_sha256"


def table_digest(table: pa.Table) -> str:
    """sha256 (hex) over names, types and values of all columns, however they are cut into chunks.

    Columns are of text, numbers or booleans.
    """
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(json.dumps([name, str(column.type), len(column)]).encode())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts = column.cast(pa.large_binary()).combine_chunks()
            texts = texts if isinstance(texts, pa.Array) else pa.concat_arrays(texts.chunks)
            lengths = pc.fill_null(pc.binary_length(texts), -1).to_numpy(zero_copy_only=False)
            digest.update(np.ascontiguousarray(lengths, "<i8").tobytes())
            digest.update(_text(pc.fill_null(texts, b"")))
        else:
            digest.update(column.is_null().to_numpy().tobytes())
            zero = pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type)
            digest.update(np.ascontiguousarray(pc.fill_null(column, zero).to_numpy()).tobytes())
    return digest.hexdigest()


def _text(texts: pa.Array) -> bytes:
    data = texts.buffers()[2]
    if data is None or not len(texts):
        return b""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return bytes(memoryview(data)[offsets[0] : offsets[-1]])


def write_table(table: pa.Table, path: Path, footer: Mapping[str, Any]) -> None:
    """Write `table` with `footer` and its digest, whole or not at all."""
    text = json.dumps({**footer, _DIGEST: table_digest(table)}).encode()
    with replacing(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_FOOTER: text}), temporary, compression="zstd", write_page_checksum=True,
        )


def read_table(path: Path, what: str, damaged: str) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the footer that `write_table` was given; the footer is empty for anybody's Parquet file.

    DamagedFile, with `damaged` as what to do, for a file that can't be read as Parquet and for one that doesn't fit its
    digest. Files of earlier releases have none.
    """
    try:
        table = read_parquet(path)
        footer = json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}"))
        digest = footer.pop(_DIGEST, None)
        whole = digest is None or digest == table_digest(table)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        why = " ".join(str(error).split())[:200]
        raise DamagedFile(f"{path}: expected {what}, but it can't be read as Parquet ({why}); {damaged}.") from None
    if not whole:
        raise DamagedFile(f"{path}: expected {what}, but its rows are not those that were written; {damaged}.")
    return table, footer
