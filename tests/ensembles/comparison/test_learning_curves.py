"""Members' learning curves: which trial's, written and drawn."""

import numpy as np
import pyarrow.csv as pa_csv
import pytest

import emofuse
from ensembles.comparison.curves import curves_of
from features.errors import EmofuseError, WrongUse
from search.run.predictions import Footer, Predictions, write_predictions

ROWS = (
    {"epoch": 1, "loss": 1.5, "fit_accuracy": 0.25, "accuracy": 0.5},
    {"epoch": 2, "loss": 0.5, "fit_accuracy": 0.75, "accuracy": 0.25},
)


def trial(run, key, entry="net", partition="train", accuracy=0.5, curve=ROWS):
    footer = Footer(key, f"c{key}", "f", entry, {}, partition, ("a", "b"), 1, 2, 1, {"accuracy": accuracy}, curve=curve)
    p = np.full((2, 2), 0.5, np.float32)
    clips = (("x", "y"), ("g", "h"), ("train", "val"), ("fit", "held_out"), ("a", "b"))
    write_predictions(run, Predictions(footer, *clips, np.ones(2, bool), p))


@pytest.fixture
def run(tmp_path):
    trial(tmp_path, "1", accuracy=0.5)
    trial(tmp_path, "2", accuracy=0.7, curve=({**ROWS[0], "accuracy": 0.7}, ROWS[1]))
    trial(tmp_path, "3", partition="swap", accuracy=0.9, curve=({"epoch": 1, "loss": 1.0},))
    trial(tmp_path, "4", entry="machine", curve=({"epoch": 1, "accuracy": 0.5},))
    return tmp_path


def test_the_best_trial_of_an_entry_or_the_one_that_is_named(run):
    best, named = curves_of(run, ["net", "net/c1"], "train")
    assert (best.name, best.held_out, best.fitted, best.best_epoch) == ("net/c2", (0.7, 0.25), (0.25, 0.75), 1)
    assert (named.name, named.epochs, named.loss) == ("net/c1", (1, 2), (1.5, 0.5))
    assert curves_of(run, ["net"])[0].partition == "swap", "the first by name"


def test_written_and_drawn(run, capsys):
    words = ["ensemble", "curves", str(run), "net", "net/c3", "--csv", str(run / "c.csv")]
    assert emofuse.main([*words, "--picture", str(run / "c.png")]) == 0
    rows = pa_csv.read_csv(run / "c.csv").to_pylist()
    assert [row["member"] for row in rows] == ["net/c3", "net/c3"] and rows[0]["held_out_accuracy"] is None
    assert (run / "c.png").read_bytes().startswith(b"\x89PNG")
    assert emofuse.main(["ensemble", "curves", str(run), "net"]) == 2
    assert "Say where the curves go: --picture FILE.svg, --csv FILE.csv, or both." in capsys.readouterr().err


def test_what_is_wrong_is_told(run):
    with pytest.raises(WrongUse, match="Did you mean 'net'"):
        curves_of(run, ["nett"])
    with pytest.raises(EmofuseError, match="machine/c4 is not trained in epochs, so it has no learning curve"):
        curves_of(run, ["machine"])
    with pytest.raises(EmofuseError, match="no trial of net finished on partition 'fold'"):
        curves_of(run, ["net"], "fold")


def test_an_entrys_name_may_begin_anothers(run):
    trial(run, "5", entry="net_swap", accuracy=0.99)
    assert curves_of(run, ["net"], "train")[0].name == "net/c2"
