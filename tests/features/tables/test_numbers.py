"""Columns of numbers as arrays."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from features.tables.numbers import numbers

COLUMNS = [
    pa.chunked_array([pa.array([0.5, 1.5], pa.float32()), pa.array([2.5], pa.float32())]),
    pa.chunked_array([pa.array([True, False, True, True])]).slice(1),
    pa.chunked_array([pa.array([True] * 9), pa.array([False])]),
    pa.chunked_array([pa.array([1, -2, 3], pa.int64())]).slice(2),
    pa.chunked_array([], pa.float64()),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_they_are_what_pyarrow_gives(column):
    found, expected = numbers(column), column.to_numpy()
    assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_pandas_stays_away():
    code = (
        "import sys\n"
        "import numpy as np, pyarrow as pa\n"
        "from features.tables.numbers import numbers\n"
        "buffers = [None, pa.py_buffer(np.arange(4, dtype=np.float32).tobytes())]\n"
        "for kind in (pa.float32(), pa.bool_()):\n"  # pa.array itself would look for pandas
        "    numbers(pa.chunked_array([pa.Array.from_buffers(kind, 4, buffers)]))\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
