import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clips import read_clips
from features.datasets import read_dataset
from features.disk.sizes import allowed_bytes, read_parquet
from features.errors import DamagedFile, EmofuseError, WrongUse
from features.tables.user_tables import read_user_table


@pytest.fixture
def rows(tmp_path):
    """`rows(text, n)` is a Parquet file that says the same in n rows: a few kB, however many they are."""

    def make(text: str, n: int):
        indices = pa.array(np.zeros(n, np.int32))
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table({"clip_id": pa.DictionaryArray.from_arrays(indices, pa.array([text]))}), path)
        return path

    return make


def test_a_long_text_in_every_row_is_refused_before_it_is_in_every_row(rows):
    path = rows("x" * 100_000, 100_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(WrongUse, match=r"takes 10 GB of memory, but 2 are allowed; .* set EMOFUSE_MAX_GB=10\."):
        read_user_table(path, {}, "clips")
    with pytest.raises(WrongUse, match="takes 10 GB"):
        read_clips(path)


def test_many_values_are_refused_by_the_footer(rows):
    with pytest.raises(WrongUse, match=r"takes 0.016 GB of memory, but 0.01 are allowed; .* give --max-gb 1\."):
        read_user_table(rows("x", 2_000_000), {}, "clips", max_gb=0.01)


def test_the_limit_can_be_raised(rows, monkeypatch):
    path = rows("x" * 1000, 1000)
    monkeypatch.setenv("EMOFUSE_MAX_GB", "0.0005")
    with pytest.raises(WrongUse, match=r"but 0\.0005 are allowed"):
        read_parquet(path)
    assert len(read_parquet(path, max_gb=1)) == 1000
    monkeypatch.setenv("EMOFUSE_MAX_GB", "1")
    assert read_parquet(path)["clip_id"].type == pa.string()
    monkeypatch.setenv("EMOFUSE_MAX_GB", "many")
    with pytest.raises(WrongUse, match="EMOFUSE_MAX_GB should be a number of GB above 0, but is 'many'"):
        allowed_bytes()


def test_a_large_csv_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("clip_id,split\n" + "a,train\n" * 1000)
    with pytest.raises(WrongUse, match="but 1e-06 are allowed"):
        read_dataset("table", path, max_gb=1e-6)


def test_a_packed_csv_is_unpacked_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOFUSE_MAX_GB", "0.1")
    path = tmp_path / "fer2013.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(110):
            file.write(bytes(1_000_000))
    with pytest.raises(WrongUse, match=r"takes 0.1\d* GB of memory, but 0.1 are allowed"):
        read_dataset("fer2013", path)


def test_two_columns_of_one_name(tmp_path):
    path = tmp_path / "clips.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["clip_id", "clip_id"]), path)
    with pytest.raises(DamagedFile, match="two columns have the name 'clip_id'"):
        read_clips(path)
    with pytest.raises(EmofuseError, match="two columns have the name 'clip_id'"):
        read_user_table(path, {}, "clips")
