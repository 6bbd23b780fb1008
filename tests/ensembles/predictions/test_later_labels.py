"""Labels of test clips that arrive later, in a file."""

import json

import pytest

import emofuse
from ensembles.fitting.fit import fit_on
from ensembles.fitting.options import FitOptions
from ensembles.predictions.later_labels import read_test_labels
from ensembles.predictions.sets import read_run
from ensembles.records.stored import open_ensemble
from search.run.predictions import prediction_files, read_predictions, write_predictions


def run(*words):
    return emofuse.main([str(word) for word in words])


@pytest.fixture
def two(write_run, tmp_path):
    """The same run twice: with labels of its test clips, and without them but with a file of labels."""
    labelled = write_run(partitions=("train", "swap"), C=3)
    blind, labels = tmp_path / "blind", {}
    for path in prediction_files(labelled):
        rows = read_predictions(path)
        test = [role == "test" for role in rows.role]
        labels |= {clip: label for clip, label, one in zip(rows.clip_id, rows.label, test, strict=True) if one}
        own = tuple(None if one else label for label, one in zip(rows.label, test, strict=True))
        write_predictions(blind, type(rows)(**{**vars(rows), "label": own}))
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["clip_id,label", *(f"{clip},{label}" for clip, label in labels.items())]) + "\n")
    return labelled, blind, file


def printed(capsys, *words):
    capsys.readouterr()
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_they_give_the_scores_of_labels_in_the_table(two, capsys):
    labelled, blind, file = two
    later = ["--labels", file]
    fit = ["--method", "uniform", "--all", "--test"]
    assert printed(capsys, "ensemble", "fit", labelled, *fit) == printed(capsys, "ensemble", "fit", blind, *fit, *later)
    board = printed(capsys, "ensemble", "leaderboard", labelled, "--test")
    assert printed(capsys, "ensemble", "leaderboard", blind, "--test", *later) == board
    assert board["members"][0]["test_accuracy"] > 0.3
    compare = ["--method", "best", "--method", "uniform", "--test"]
    known = printed(capsys, "ensemble", "compare", labelled, *compare)
    assert printed(capsys, "ensemble", "compare", blind, *compare, *later) == known
    for folder, words in ((labelled, []), (blind, later)):
        assert run("report", folder, "-o", folder / "r.html", "--test", *words) == 0
    pages = [(folder / "r.html").read_text().replace(str(folder), "").replace(folder.name, "") for folder in two[:2]]
    assert pages[0] == pages[1]
    assert "test unweighted" in pages[0] and "Recall of each class" in pages[0]


def test_stored_ensembles_are_scored_by_them(two, capsys):
    _, blind, file = two
    assert run("ensemble", "fit", blind, "--method", "uniform", "--all") == 0
    assert "test" not in open_ensemble(blind, "uniform").scores["ensemble"]
    board = printed(capsys, "ensemble", "leaderboard", blind, "--test", "--labels", file)
    assert board["ensembles"][0]["scores"]["ensemble"]["test"]["n_clips"] == 16
    assert "test" not in open_ensemble(blind, "uniform").scores["ensemble"], "a look stores nothing"


def test_nothing_is_fitted_on_them(two):
    _, blind, file = two
    labels = read_test_labels(file)
    assert not [name for name in dir(labels) if not name.startswith("_") and name != "source"]
    for what in (labels, read_run(blind).test.labelled_by(labels)):
        with pytest.raises(AttributeError):
            fit_on(what, FitOptions("uniform"))
        assert not hasattr(what, "y")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "clip_id,label\nclip999,a",
            "'clip999' is no test clip of the run; expected the clip_id of one of its 16 test clips.",
        ),
        ("clip_id,label\nclip004,z", "'clip004' is labelled 'z'; expected one of a, b, c."),
        ("clip_id,label\nclip004,a\nclip004,b", "clip 'clip004' is labelled 'a' and 'b'."),
        ("clip_id,label\nclip004,", "clip 'clip004' has the label None; every row needs both."),
        ("clip,label\nclip004,a", "expected the columns clip_id and label, but clip_id is missing among clip, label."),
    ],
)
def test_wrong_files_are_told(two, tmp_path, capsys, text, told):
    (tmp_path / "wrong.csv").write_text(text + "\n")
    assert run("ensemble", "leaderboard", two[1], "--test", "--labels", tmp_path / "wrong.csv") == 1
    assert f"wrong.csv: {told}" in capsys.readouterr().err


def test_they_may_not_contradict_the_table_and_need_a_look(two, tmp_path, capsys):
    labelled, _, file = two
    rows = file.read_text().splitlines()
    clip, label = rows[1].split(",")
    other = "a" if label != "a" else "b"
    (tmp_path / "other.csv").write_text(f"clip_id,label\n{clip},{other}\n")
    assert run("ensemble", "leaderboard", labelled, "--test", "--labels", tmp_path / "other.csv") == 1
    told = f"{clip!r} is labelled {other!r}, but the run's clip table says {label!r}."
    assert told in capsys.readouterr().err
    assert run("ensemble", "leaderboard", labelled, "--labels", file) == 2
    assert "--labels are labels of test clips: give --test too" in capsys.readouterr().err


def test_every_column_of_the_papers_is_in_the_file_and_on_the_terminal(two, tmp_path, capsys):
    labelled, _, _ = two
    assert run("ensemble", "fit", labelled, "--method", "uniform", "--all", "--test") == 0
    capsys.readouterr()
    out = tmp_path / "board.csv"
    assert run("ensemble", "leaderboard", labelled, "--test", "--recall", "--wide", "--csv", out) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("macro average precision", "of its fit", "clips of training"):
        assert text in shown
    head = set(out.read_text().splitlines()[0].replace('"', "").split(","))
    assert head >= {"fit_accuracy", "macro_average_precision", "test_unweighted_accuracy", "recall_a", "test_recall_a"}
    assert "train_accuracy" in head, "of the ensemble"
