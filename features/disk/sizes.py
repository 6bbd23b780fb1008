"""How much memory a file from a stranger may take, told from its headers before anything is unpacked."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.disk.parquet_header import declared
from features.errors import WrongUse

MAX_GB = 2.0
VARIABLE = "EMOFUSE_MAX_GB"
_VALUE_BYTES = 8


def refuse_size(path: Path, size: float, max_gb: float | None = None) -> None:
    """WrongUse where what the file holds takes more bytes than `max_gb` (default: of EMOFUSE_MAX_GB, or 2)."""
    limit = allowed_bytes(max_gb)
    if size > limit:
        needed = max(math.ceil(size / 1e9), 1)
        how = f"set {VARIABLE}={needed}" if max_gb is None else f"give --max-gb {needed}"
        raise WrongUse(
            f"{path}: what it holds takes {size / 1e9:.3g} GB of memory, but {limit / 1e9:g} are allowed; where it is "
            f"meant to be that large, {how}."
        )


def allowed_bytes(max_gb: float | None = None) -> float:
    """The limit in bytes."""
    if max_gb is not None:
        return max_gb * 1e9
    text = os.environ.get(VARIABLE, "")
    try:
        given = float(text) if text else MAX_GB
    except ValueError:
        given = math.nan
    if not given > 0:
        raise WrongUse(f"{VARIABLE} should be a number of GB above 0, but is {text!r}.")
    return given * 1e9


def read_parquet(
    path: Path, columns: Callable[[pa.Schema], list[str]] | None = None, max_gb: float | None = None
) -> pa.Table:
    """The table in a Parquet file, or those of its `columns`.

    One that takes more than `max_gb` is refused (WrongUse). ArrowInvalid for two columns of one name.
    """
    schema = pq.read_schema(path)
    names = schema.names if columns is None else columns(schema)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise pa.ArrowInvalid(f"two columns have the name {twice[0]!r}")
    texts = {field.name: kind for field in schema if (kind := _text_type(field.type)) is not None}
    # A long text that stands in every row is there once, so that its size can be told before it is in every row.
    file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=sorted(texts))
    refuse_parquet(path, file, max_gb)
    table = file.read(columns=names)
    places = [i for i, name in enumerate(table.column_names) if name in texts]
    refuse_size(path, sum(_text_bytes(chunk) for i in places for chunk in table.column(i).chunks), max_gb)
    for i in places:
        name = table.column_names[i]
        table = table.set_column(i, name, table.column(i).cast(texts[name]))
    return table


def _text_type(kind: pa.DataType) -> pa.DataType | None:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return kind if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def _text_bytes(chunk: pa.Array) -> int:
    if not pa.types.is_dictionary(chunk.type):
        return int(chunk.nbytes)
    chunk.validate(full=True)  # a broken file's indices may point beyond the dictionary
    counts = np.bincount(chunk.indices.drop_null().to_numpy(), minlength=len(chunk.dictionary))
    return int(counts @ pc.fill_null(pc.binary_length(chunk.dictionary), 0).to_numpy().astype(np.int64))


def refuse_parquet(path: Path, file: pq.ParquetFile, max_gb: float | None = None) -> None:
    """Refuse a Parquet file whose footer declares more values, or more unpacked bytes, than are allowed."""
    size = sum(max(values * _VALUE_BYTES, unpacked) for values, unpacked in declared(path))
    refuse_size(path, max(size, file.metadata.num_rows * _VALUE_BYTES), max_gb)
