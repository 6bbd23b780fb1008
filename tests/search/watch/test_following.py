"""The next command of a run whose search is done, by the ensembles that lie there."""

import os
import shlex

import numpy as np
import pytest

from ensembles.cli.command import main
from features.files import write_json
from search.run.predictions import Footer, Predictions, write_predictions
from search.watch.following import after_fit


@pytest.fixture
def run(tmp_path):
    def write(inputs):
        footer = Footer("k1", "c1", "svm", "svm", {}, "train", ("a", "b"), 0, 1, 1, {}, inputs=inputs)
        row = (("c",), ("g",), ("val",), ("held_out",), ("a",))
        write_predictions(tmp_path, Predictions(footer, *row, np.array([True]), np.array([[0.5, 0.5]], "f4")))
        return tmp_path

    return write


def fitted(run, name, refit, at_s=0):
    path = run / "ensembles" / name / "ensemble.json"
    write_json(path, {"members": [{"entry": "svm", "trials": {"train": "k1"}, "refit": refit}]})
    os.utime(path, (at_s, at_s))


def test_it_follows_what_was_done(run):
    folder = run({"audio": "functionals"})
    assert after_fit(folder, "r") is None
    fitted(folder, "first", None, 1)
    assert after_fit(folder, "r") == "Next: emofuse ensemble refit r first"
    fitted(folder, "second", "k2", 2)
    told = after_fit(folder, "r")
    assert told == "Next: emofuse ensemble export r second --anyway -o bundle"
    assert main([*shlex.split(told)[2:4], "--help"]) == 0


def test_imported_predictions_cannot_be_refitted(run):
    folder = run({})
    fitted(folder, "e", None)
    assert after_fit(folder, "my run") == "Next: emofuse ensemble predictions 'my run' e -o fused.csv"


def test_a_damaged_ensemble_tells_nothing(run):
    folder = run({})
    (folder / "ensembles" / "e").mkdir(parents=True)
    (folder / "ensembles" / "e" / "ensemble.json").write_text("{")
    assert after_fit(folder, "r") is None
