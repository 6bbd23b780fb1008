"""Footers are read without pyarrow, whose own way ends the process at a damaged one."""

import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.disk.parquet_header import declared
from features.disk.sizes import read_parquet

TABLE = pa.table(
    {
        "clip_id": [f"c{n}" for n in range(40)],
        "yes": [True, False] * 20,
        "x": [0.5] * 40,
        "many": [[1.0, 2.0, 3.0]] * 40,
        "deep": [{"a": [1], "b": "t"}] * 40,
    }
)


@pytest.fixture
def path(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=16)
    return tmp_path / "t.parquet"


def test_it_declares_what_pyarrow_tells(path):
    metadata = pq.ParquetFile(path).metadata
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    columns = [group.column(c) for group in groups for c in range(group.num_columns)]
    assert len(columns) == 18
    assert declared(path) == [(column.num_values, column.total_uncompressed_size) for column in columns]


def test_many_columns_and_long_lists(tmp_path):
    pq.write_table(pa.table({f"c{n}": [1, 2] for n in range(300)}), tmp_path / "t.parquet")
    assert [values for values, _ in declared(tmp_path / "t.parquet")] == [2] * 300


@pytest.mark.parametrize("text", [b"", b"PAR1", b"PAR1" * 4, b"\xff\xff\xff\x7fPAR1", bytes(9) + b"\x01\0\0\0PAR1"])
def test_what_is_no_footer_is_told(tmp_path, text):
    (tmp_path / "t.parquet").write_bytes(text)
    with pytest.raises(pa.ArrowInvalid, match=r"its footer is damaged|does not end in the footer"):
        declared(tmp_path / "t.parquet")


def test_a_struct_in_a_struct_without_end_is_told(tmp_path):
    footer = b"\x1c" * 200_000
    (tmp_path / "t.parquet").write_bytes(footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(pa.ArrowInvalid, match="its footer is damaged"):
        declared(tmp_path / "t.parquet")


_READ = """
import sys
from pathlib import Path
import pyarrow as pa
from features.disk.sizes import read_parquet
folder, told = Path(sys.argv[1]), 0
for path in sorted(folder.glob("*.parquet")):
    try:
        read_parquet(path)
    except (OSError, UnicodeError, pa.ArrowException):
        told += 1
print(told)
"""


def test_no_flipped_bit_of_a_footer_ends_the_process(path, tmp_path):
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    bad = tmp_path / "bad"
    bad.mkdir()
    draw = random.Random(3)
    for n in range(1000):
        place = len(good) - 8 - draw.randrange(length)
        data = good[:place] + bytes([good[place] ^ 1 << draw.randrange(8)]) + good[place + 1 :]
        (bad / f"{n}.parquet").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", _READ, str(bad)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 100 < int(done.stdout) < 1000
    assert read_parquet(path).equals(TABLE)
