import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.tables.spreadsheets import quoted, unquoted
from features.tables.user_tables import read_csv

DANGEROUS = "=+-@\t\r\n"


def column(*texts: str | None) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string()), "number": pa.array([-1.0] * len(texts))})


@pytest.mark.parametrize("first", DANGEROUS)
def test_no_cell_begins_as_a_formula_does(first):
    cells = quoted(column(f"{first}1+2", f"'{first}", None, "plain", "'plain", ""))["text"].to_pylist()
    assert cells == [f"'{first}1+2", f"''{first}", None, "plain", "'plain", ""]


def test_numbers_stay_numbers():
    assert quoted(column("=1"))["number"].to_pylist() == [-1.0]


TEXTS = st.text(st.sampled_from("'=+-@\t\n a1,\"é") | st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(TEXTS | st.none(), min_size=1, max_size=8))
@example(["'", "''=", "=", "'=", "-1", "a\n=b", None])
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_text_comes_back(texts):
    table = column(*texts)
    assert unquoted(quoted(table)) == table
    assert all(not text or text[0] not in DANGEROUS for text in quoted(table)["text"].to_pylist())
    ids = table.set_column(0, "text", table["text"].dictionary_encode())
    assert unquoted(quoted(ids))["text"].to_pylist() == texts


@given(st.lists(TEXTS.filter(lambda text: text and "\0" not in text), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_file_gives_back_what_was_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    pa_csv.write_csv(quoted(column(*texts)), path)
    assert read_csv(path, {"text": pa.string()})["text"].to_pylist() == texts
