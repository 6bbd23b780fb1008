from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.annotations import load_annotations
from features.datasets import read_dataset
from features.errors import EmofuseError
from features.tables.user_tables import column_names, id_texts, label_texts

WORDS = ["NA", "null", "None", "nan", "N/A"]
PATH = Path("t.csv")


def labels(values) -> list:
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return label_texts(PATH, "label", pa.chunked_array([column]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (WORDS, WORDS),
        (["a", None], ["a", None]),
        ([1, None, 3], ["1", None, "3"]),
        ([1.0, None, float("nan"), 3.0], ["1", None, None, "3"]),
        (["1.0", None, "3.00"], ["1", None, "3"]),
        (["1.0", "b"], ["1.0", "b"]),
        (["1.5", "2.0"], ["1.5", "2.0"]),
        ([True, None, False], ["True", None, "False"]),
        (["true", None, "FALSE"], ["True", None, "False"]),
        ([None, None], [None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    ],
)
def test_labels_are_text_by_one_rule(values, expected):
    assert labels(values) == expected


def test_labels_that_are_no_names_are_refused():
    with pytest.raises(EmofuseError, match=r"column 'label' should hold names or whole numbers, but holds 1.5\."):
        labels([1.5])
    with pytest.raises(EmofuseError, match="should hold text, but holds values of type struct"):
        labels([{"a": 1}])


def test_ids_of_text_stay_as_they_are():
    ids = [pa.array(["1.0", "2.0", "007"]), pa.array([1.0, 2.0, 7.0])]
    assert [id_texts(PATH, "clip_id", pa.chunked_array([i])) for i in ids] == [["1.0", "2.0", "007"], ["1", "2", "7"]]


def test_names_of_columns():
    assert column_names(PATH, ["clip_id", "x", "__index_level_0__", "__index_level_1__"]) == ["clip_id", "x"]
    for names in (["", "x"], ["Unnamed: 0", "x"]):
        with pytest.raises(EmofuseError, match="its first column has no name"):
            column_names(PATH, names)


def table(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_clip_tables_lose_no_label(tmp_path):
    rows = [f"c{i},train,{word}" for i, word in enumerate([*WORDS, ""])]
    (tmp_path / "t.csv").write_text("\n".join(["clip_id,split,label", *rows]) + "\n")
    found = read_dataset("table", tmp_path / "t.csv", no_media=True)
    assert [clip.label for clip in found.clips] == [*WORDS, None]
    columns = {"clip_id": [1.0, 2.0], "split": ["train"] * 2, "label": [0.0, 3.0], "group_id": [5.0, None]}
    path = table(tmp_path / "t.parquet", **columns)
    found = read_dataset("table", path, no_media=True)
    assert [(c.clip_id, c.label, c.group_id) for c in found.clips] == [("1", "0", "5"), ("2", "3", None)]


def test_annotations_take_no_row_number_and_no_word(tmp_path):
    columns = {"clip_id": ["NA", "NA"], "time_s": [0.0, 0.1], "valence": [0.5, None]}
    found = load_annotations(table(tmp_path / "a.parquet", **columns, __index_level_0__=[0, 1]))
    assert found.dimensions == ("valence",) and list(found.series) == ["NA"]
    assert np.isnan(found.series["NA"][1][1, 0])
    path = tmp_path / "a.csv"
    for content, message in [
        (",clip_id,time_s,valence\n0,a,0,1\n", "its first column has no name"),
        ("clip_id,time_s,valence\na,0,NA\n", "expected numbers in every column but clip_id"),
        ("clip_id,time_s,valence\n,0,1\n", "1 rows have no clip_id"),
        ("clip_id,time_s,v,v\na,0,1,1\n", "two columns have the name 'v'"),
    ]:
        path.write_text(content)
        with pytest.raises(EmofuseError, match=message):
            load_annotations(path)
