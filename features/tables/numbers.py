"""Columns of numbers as arrays, without pandas: pyarrow's own `to_numpy` imports it, and that takes long."""

import numpy as np
import pyarrow as pa


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column (N,) of numbers or of truth values without nulls, read-only where its memory is shared."""
    whole = column.combine_chunks()
    if pa.types.is_boolean(whole.type):
        return np.from_dlpack(whole.cast(pa.uint8())).view(bool)
    return np.from_dlpack(whole)
