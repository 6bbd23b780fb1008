"""The leaderboard's tables in a terminal."""

from types import SimpleNamespace

from rich.console import Console

from ensembles.comparison.tables import classes_tables

CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def test_recalls_of_seven_classes_stay_whole_in_eighty_columns():
    recalls = dict.fromkeys(CLASSES, 1.0)
    means = {"accuracy": 0.543, "unweighted_accuracy": 0.5, "macro_average_precision": 0.5, "fit_accuracy": 1.0}
    member = SimpleNamespace(name="face_pooling/0123456789ab", recalls=recalls, test_recalls=None, **means)
    console = Console(width=80)
    with console.capture() as captured:
        for table in classes_tables(SimpleNamespace(members=[member], ensembles=[]), 0):
            console.print(table)
    lines = captured.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    (header,) = (line.split() for line in lines if "angry" in line)
    (row,) = (line.split()[1:] for line in lines if line.count("100.0") > 1)
    assert header == ["clips", *CLASSES] and row == ["held-out", *["100.0"] * 7]
    assert any("54.3" in line and "held-out" in line for line in lines)
