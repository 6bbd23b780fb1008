import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.disk.sealed import check_folder, check_sealed, open_line, seal_folder, sealed_line, sealing
from features.disk.sealed_tables import read_table, write_table
from features.errors import DamagedFile


def told(check, *arguments) -> str:
    with pytest.raises(DamagedFile) as caught:
        check(*arguments)
    return str(caught.value)


def flips(data: bytes, n: int = 100):
    """`n` copies of `data`, each with one bit turned."""
    draw = random.Random(0)
    for _ in range(n):
        place = draw.randrange(len(data))
        yield place, data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("weights", "sub/config"):
        (tmp_path / name).write_bytes(b"0123456789")
    seal_folder(tmp_path)
    return tmp_path


def check(folder):
    check_folder(folder, "a model", "train it again")


def test_a_folder_as_it_was_sealed_passes(model):
    check(model)


def test_a_folder_that_changed_is_told(model):
    (model / "weights").write_bytes(b"0123456780")
    assert told(check, model) == (
        f"{model}/weights: its bytes are not those that were written for a model; train it again."
    )
    (model / "weights").write_bytes(b"")
    assert told(check, model) == f"{model}/weights: expected a file of a model, but it is empty; train it again."
    (model / "weights").unlink()
    assert told(check, model) == f"{model}/weights: expected this file of a model, but it is not there; train it again."
    (model / "weights").write_bytes(b"0123456789")
    (model / "more").write_bytes(b"x")
    assert told(check, model) == f"{model}/more: expected no such file of a model; train it again."


def test_in_a_folder_without_digests_empty_files_are_told(model):
    (model / "digests.json").unlink()
    (model / "weights").write_bytes(b"another")
    check(model)
    (model / "weights").write_bytes(b"")
    assert "but it is empty" in told(check, model)


def test_a_sealed_file_begins_with_what_was_written(tmp_path):
    path = tmp_path / "state"
    with sealing(path) as file:
        file.write(b"some")
        file.write(b"thing")
    good = path.read_bytes()
    assert good.startswith(b"something")
    check_sealed(path, "a state", "start anew")
    for place, bad in flips(good):
        path.write_bytes(bad)
        if place < len("something"):
            assert told(check_sealed, path, "a state", "start anew") == (
                f"{path}: expected a state, but its bytes are not those that were written; start anew."
            )
    path.write_bytes(b"")
    assert told(check_sealed, path, "a state", "start anew").endswith("but the file is empty; start anew.")
    path.write_bytes(b"of an earlier release")
    check_sealed(path, "a state", "start anew")


def test_a_line_is_what_was_written_or_nothing():
    data = {"name": "é", "value": 0.1, "more": [1, None]}
    line = sealed_line(data)
    assert open_line(line) == data
    for _, bad in flips(line.encode(), 300):
        found = open_line(bad.decode(errors="replace"))
        assert found is None or {name: found[name] for name in data} == data
    assert open_line(line[:-1]) is None and open_line("") is None and open_line("[1]") is None
    assert open_line('{"value": 0.2}') == {"value": 0.2}


TABLE = pa.table({"text": ["a", None, "", "bc"], "x": [0.5, None, 2.0, 3.0], "yes": [True, False, None, True]})


def test_a_table_is_what_was_written_or_told(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(TABLE, path, {"kind": "test"})
    for place, bad in [(0, path.read_bytes()), *flips(path.read_bytes())]:
        path.write_bytes(bad)
        try:
            table, footer = read_table(path, "a table", "make it again")
        except DamagedFile as error:
            assert place and str(error).startswith(f"{path}: expected a table, but ")
            assert str(error).endswith("; make it again.")
        else:
            assert table.equals(TABLE) and (place or footer == {"kind": "test"})


def test_anybodys_table_has_no_footer(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "a table", "") == (TABLE, {})
