"""Reading many prediction files: same contents as one by one, and every bad file told by name."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ensembles.predictions.reading import SharedTables, read_files
from ensembles.predictions.scan import scan
from features.errors import DamagedFile, EmofuseError
from search.run.predictions import FOOTER, read_predictions

ROWS = [(f"clip{n}", "g", "val", "held_out", "ab"[n % 2]) for n in range(6)]


@pytest.fixture
def files(write_trial):
    """Files of several kinds: two alike, classes in another order, other clips."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet([1, 1], (4, 6))
    return [
        write_trial(ROWS, P[0], config=0),
        write_trial(ROWS, P[1], config=1, valid=[True, False] * 3),
        write_trial(ROWS, P[2], config=2, classes=("b", "a")),
        write_trial(ROWS[:2], P[3, :2], config=3),
    ]


def rewrite(path, change=None, rows=None, lacking=(), rows_changed=lambda table: table, **how):
    """Write the file again as an older program did, without a seal, with a change to its footer."""
    table = pq.read_table(path, partitioning=None)
    footer = json.loads(pq.read_schema(path).metadata[FOOTER]) | {"schema_version": 1}
    if change is not None:
        change(footer)
    table = rows_changed(table.drop_columns(lacking).slice(0, rows))
    pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), path, **how)


def test_contents_are_those_of_the_files_one_by_one(files):
    rewrite(files[0], row_group_size=4)  # two batches
    contents = read_files({path.name: path for path in files}, SharedTables([]))
    assert list(contents) == [path.name for path in files]
    for path in files:
        content, plain = contents[path.name], read_predictions(path)
        order = np.argsort(plain.footer.classes)
        P, valid = content.scores()
        assert (plain.probabilities[:, order] == P).all() and (valid == plain.valid).all()
        assert content.rows["clip_id"].to_pylist() == list(plain.clip_id)
        assert json.loads(content.footer)["trial_key"] == plain.footer.trial_key == path.stem
    rows = [contents[path.name].rows for path in files]
    assert rows[0] is rows[1] is rows[2] is not rows[3]


def test_a_file_without_rows_and_no_files(files, tmp_path):
    rewrite(files[1], rows=0)
    content = read_files({path.name: path for path in files}, SharedTables([]))[files[1].name]
    P, valid = content.scores()
    assert P.shape == (0, 2) and content.rows.num_rows == len(valid) == 0 and content.accuracy is None
    assert read_files({}, SharedTables([])) == {}


def _cut(path):
    path.write_bytes(path.read_bytes()[:300])


def _rot(path):
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, "can't be read as Parquet"),
        (_rot, "its bytes are not those that were written"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: rewrite(path, lacking=["valid", "p_b"]), "lacks the columns p_b, valid"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "but its footer is missing"),
        (lambda path: rewrite(path, lambda f: f.update(schema_version=0)), "prediction file of schema version 0"),
        (lambda path: rewrite(path, lambda f: f.pop("epochs")), "footer: epochs: this key is required"),
    ],
)
def test_a_bad_file_is_named(files, tmp_path, at, spoil, message):
    spoil(files[at])
    with pytest.raises(EmofuseError, match=rf"{files[at].name}: .*{message}"):
        scan(tmp_path)


def test_a_file_that_is_being_written_is_not_looked_at(files, tmp_path):
    files[0].with_name(f".{files[0].name}.123.abcd").write_bytes(b"half")
    files[0].with_name(f".{files[0].name}").write_bytes(b"half")
    assert [trial.path for trial in scan(tmp_path)] == sorted(map(str, files))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 0.9])
def test_scores_that_no_trial_writes_are_refused(files, bad):
    def spoil(table):
        scores = table["p_a"].to_numpy().copy()
        scores[3] = bad
        return table.set_column(table.column_names.index("p_a"), "p_a", pa.array(scores))

    rewrite(files[2], rows_changed=spoil)
    for read in (read_predictions, lambda path: read_files({"x": path}, SharedTables([]))):
        with pytest.raises(DamagedFile, match=r"scores of clip 'clip3' are .*expected finite, non-negative") as told:
            read(files[2])
        assert str(files[2]) in str(told.value) and "which trains the trial anew" in str(told.value)
