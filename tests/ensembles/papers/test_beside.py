"""A run's numbers beside a paper's: each is that of the stored predictions, or it is said why there is none."""

import numpy as np
import pyarrow.csv as pa_csv
import pytest
import yaml
from small_world import corpus, put_in_place

import emofuse
from ensembles.papers.beside import beside_table, printed, reasons, tables_beside, texts
from ensembles.papers.kept import keep_notes, kept_notes
from ensembles.papers.published import Paper
from ensembles.predictions.later_labels import read_test_labels
from ensembles.predictions.long_format import write_long
from features.terminal import console
from search.run.predictions import prediction_files, read_predictions

COLUMNS = [
    {"name": "training", "split": "train"},
    {"name": "validation", "split": "val"},
    {"name": "test", "split": "test"},
]
ROWS = [
    {"name": "alone", "paper": [50.0, 40.0, None], "ours": {"entry": "one"}},
    {"name": "swapped", "paper": [50.0, 40.0, 30.0], "ours": {"entry": "one", "partition": "swap"}},
    {"name": "of kind b", "paper": [1.0, 2.0, None], "ours": {"entry": "one", "where": {"kind": "b"}}},
    {"name": "fused", "paper": [80.0, 60.0, 44.4], "ours": {"submission": "s1"}},
    {"name": "refitted", "paper": [None, None, 55.5], "ours": {"submission": "s3"}},
    {"name": "absent", "paper": [None, 5.0, None], "ours": {"entry": "two", "where": {"scale": 77}}},
    {"name": "unbuilt", "paper": [None, 5.0, None], "ours": {"submission": "s9"}},
    {"name": "baseline", "paper": [None, 36.0, None], "none": "the organisers' own system"},
]
PAPER = Paper.model_validate(
    {
        "paper": "small",
        "title": "A small paper",
        "corpus": "nothing",
        "recipe": "small",
        "tables": [
            {"name": "Table 1", "title": "all", "columns": COLUMNS, "rows": ROWS},
            {
                "name": "Figure 1",
                "title": "alone",
                "classes": ["Happy", "angry"],
                "ours": {"entry": "one"},
                "confusion": [[60, 40], [30, 70]],
            },
        ],
    }
)
FAST = {"draws": 200, "sigma_min": 0.3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two submissions; two of its four test clips have labels."""
    folder = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patch:
        put_in_place(patch)
        patch.chdir(folder)
        corpus(folder)
        entries = {name: {"family": "centroid", "configurations": 2} for name in ("one", "two")}
        recipe = {
            "name": "small",
            "seed": 3,
            "asha": None,
            "partitions": ["train", "swap"],
            "stages": [{"stage": "clips", "entries": entries}],
            "submissions": [
                {"name": "s1", "partition": "train", "members": ["one", "two"], "params": FAST},
                {"name": "s3", "refit_of": "s1"},
            ],
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        words = ["--clips", "clips.parquet", "--features", "store", "-o", "run", "--in-process"]
        assert emofuse.main(["search", "run", "recipe.yaml", *words]) == 0
        assert emofuse.main(["ensemble", "submissions", "run", "--in-process"]) == 0
    return folder / "run"


def by_hand(run, entry, partition, split, **where):
    """The accuracies on a split of an entry's trials, of the best on its held-out clips."""
    found = []
    for path in prediction_files(run):
        rows = read_predictions(path)
        own = rows.footer
        if (own.entry, own.partition) == (entry, partition) and where.items() <= own.hyperparameters.items():
            right = {"held_out": [], split: []}
            for n, label in enumerate(rows.label):
                if label is not None:
                    hit = own.classes[int(rows.probabilities[n].argmax())] == label
                    for name in {rows.role[n], rows.split[n]} & right.keys():
                        right[name].append(hit)
            found.append((np.mean(right["held_out"]), 100 * np.mean(right[split])))
    return max(found)[1]


def cells(tables):
    return {(cell.row, cell.column): cell for row in tables[0].rows for cell in row}


def test_numbers_are_those_of_the_stored_predictions(run):
    found = cells(tables_beside(PAPER, run, True))
    for row, partition in (("alone", "train"), ("swapped", "swap")):
        for column, split in (("training", "train"), ("validation", "val")):
            own = found[row, column]
            assert own.ours == pytest.approx(by_hand(run, "one", partition, split)), (row, column)
            assert own.low <= own.ours <= own.high and (own.n_clips, own.n_groups) == (8, 4)
            assert own.difference == pytest.approx(own.ours - own.paper)
    assert found["swapped", "test"].n_clips == 2
    kind = found["of kind b", "validation"]
    assert kind.ours == pytest.approx(by_hand(run, "one", "train", "val", kind="b"))
    assert found["refitted", "test"].ours is not None and found["refitted", "training"].ours is None


def test_what_is_absent_is_told_with_its_reason(run):
    tables = tables_beside(PAPER, run)
    told = reasons(tables)
    assert "Table 1 (absent): no trial of two finished on train with scale 77." in told
    assert "Table 1 (unbuilt): the run has no ensemble s9; `emofuse ensemble submissions` builds it." in told
    assert "Table 1 (baseline): the organisers' own system." in told
    assert "Table 1 (swapped, fused, refitted): the test clips were not looked at (--test)." in told


def test_labels_that_come_later_count(run, tmp_path):
    (tmp_path / "later.csv").write_text("clip_id,label\nclips-test-2,angry\nclips-test-3,happy\n")
    found = cells(tables_beside(PAPER, run, read_test_labels(tmp_path / "later.csv")))
    assert found["fused", "test"].n_clips == 4


def test_a_confusion_matrix_is_in_row_percent_whatever_the_spelling_of_classes(run):
    matrix = tables_beside(PAPER, run)[1]
    assert matrix.confusion and [row[0].row for row in matrix.rows] == ["Happy", "angry"]
    for row in matrix.rows:
        assert sum(cell.ours for cell in row) == pytest.approx(100)
        assert all(cell.low <= cell.ours <= cell.high and cell.n_clips == 4 for cell in row)
    right = sum(row[n].ours for n, row in enumerate(matrix.rows)) / 2
    assert right == pytest.approx(by_hand(run, "one", "train", "val"))


def test_they_are_printed_and_written(run, tmp_path, capsys):
    tables = tables_beside(PAPER, run)
    for table in tables:
        console(width=200).print(printed(table))
    shown = capsys.readouterr().out
    assert "Table 1: all (ours: [95 % interval over groups] difference)" in shown
    alone = cells(tables)["alone", "validation"]
    assert f"{alone.ours:.1f} [{alone.low:.1f}, {alone.high:.1f}] {alone.ours - 40:+.1f}" in shown
    assert texts(cells(tables)["baseline", "validation"], 1) == ("36", "-")
    write_long(tmp_path / "t.csv", beside_table(PAPER, tables))
    written = pa_csv.read_csv(tmp_path / "t.csv").to_pylist()
    assert len(written) == 3 * len(ROWS) + 4
    assert written[1]["difference"] == pytest.approx(alone.ours - 40)
    assert written[22]["why_not"] == "the organisers' own system"


def test_notes_are_kept_for_the_report(run):
    assert kept_notes(run) == []
    keep_notes(run, ["No weights."])
    assert kept_notes(run) == ["No weights."]


def test_the_report_of_a_papers_recipe_shows_its_tables(run, tmp_path, monkeypatch):
    monkeypatch.setattr("ensembles.report.sections.paper.paper_of", lambda recipe: {"small": PAPER}.get(recipe))
    keep_notes(run, ["No weights."])
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    own = cells(tables_beside(PAPER, run))["alone", "validation"]
    assert "A small paper: its tables" in page and "The paper&#39;s corpus: nothing." in page
    assert f"{own.ours:.1f} [{own.low:.1f}, {own.high:.1f}] {own.ours - 40:+.1f}" in page
    assert "<li>No weights.</li>" in page and "Table 1 (baseline): the organisers&#39; own system." in page


def test_the_report_of_any_other_recipe_has_no_such_section(run, tmp_path):
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html")]) == 0
    assert "Beside the paper" not in (tmp_path / "r.html").read_text()
