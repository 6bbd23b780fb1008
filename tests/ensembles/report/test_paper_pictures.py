"""Figures as the papers have them: filters of motion, CCC over windows, labels and predictions over time."""

import xml.etree.ElementTree as ET

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from safetensors.numpy import save_file
from tracks import small_run, write

import emofuse
from ensembles.comparison.motion_filters import filters_of
from ensembles.continuous.figures import traced, windows_of
from ensembles.continuous.run import read_continuous_run
from ensembles.records.named import named_traces
from ensembles.report.paper_figures import paper_figures
from ensembles.report.paper_pictures import filters_figure, svg_of
from features.errors import EmofuseError, WrongUse
from models.concordance import concordance
from search.run.predictions import Footer, Predictions, write_predictions


def motion_trial(run, key, partition, filters=None, family="activity_svm", entry="activity_svm"):
    footer = Footer(key, f"c{key}", family, entry, {}, partition, ("a", "b"), 1, 1, 1, {"accuracy": 0.5})
    clips = (("x", "y"), ("g", "h"), ("train", "val"), ("fit", "held_out"), ("a", "b"))
    write_predictions(run, Predictions(footer, *clips, np.ones(2, bool), np.full((2, 2), 0.5, np.float32)))
    if filters is not None:
        (run / "models" / key).mkdir(parents=True)
        save_file({"filters": filters}, run / "models" / key / "words.safetensors")


def test_filters_are_those_of_the_refit_the_strongest_first(tmp_path):
    rng = np.random.default_rng(0)
    filters = (rng.normal(size=(2560, 5)) * np.array([1, 5, 2, 4, 3])).astype(np.float32)
    motion_trial(tmp_path, "kept", "train", filters=filters * 0)
    motion_trial(tmp_path, "refit", "full", filters=filters)
    found = filters_of(tmp_path, "activity_svm")
    assert found.name == "activity_svm/refit full" and found.filters.shape == (5, 10, 16, 16)
    for rank, h in enumerate((1, 3, 4, 2, 0)):
        assert (found.filters[rank] == filters[:, h].reshape(10, 16, 16)).all()
    assert filters_of(tmp_path, "activity_svm/kept").filters.max() == 0
    image = np.asarray(filters_figure(found, 3).axes[0].images[0].get_array())
    first = filters[:, 1].reshape(10, 16, 16)[[0, 2, 4, 6, 8]]
    assert image[:16, :16] == pytest.approx((first[0] - first.min()) / np.ptp(first), abs=1e-5)
    picture = tmp_path / "f.png"
    assert emofuse.main(["ensemble", "filters", str(tmp_path), "activity_svm", "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_has_no_filters_is_told(tmp_path):
    motion_trial(tmp_path, "lost", "train")
    motion_trial(tmp_path, "net", "train", family="cnn_irnn", entry="net")
    with pytest.raises(EmofuseError, match=r"no model of activity_svm is kept.*search replay .* lost --write"):
        filters_of(tmp_path, "activity_svm")
    with pytest.raises(WrongUse, match="net is of family 'cnn_irnn'; filters of motion are learnt by"):
        filters_of(tmp_path, "net")
    with pytest.raises(WrongUse, match="Unknown member 'activity'"):
        filters_of(tmp_path, "activity")


@pytest.fixture
def run(tmp_path):
    """Entry `a` with windows of .4 and .8 s, of the former with two seeds."""
    small_run(tmp_path)
    for repeat in (0, 1):
        for fold, held_out in ((0, (0, 1, 2)), (1, (3, 4, 5))):
            write(tmp_path, "a", f"fold-{fold}-of-2", held_out, 0.5, seed=fold, window=4, repeat=repeat)
    return tmp_path


def test_a_line_for_each_entry_that_tried_several_windows(run, tmp_path):
    found = read_continuous_run(run, test=True)
    for test in (False, True):
        lines = windows_of(found, test)
        assert [(line.entry, line.dimension, line.seconds) for line in lines] == [
            ("a", "arousal", (0.4, 0.8)),
            ("a", "valence", (0.4, 0.8)),
        ]
        by_window = {m.footer.hyperparameters["window"]: m for m in found.members if m.footer.entry == "a"}
        seeds = by_window[4].test_over_seeds if test else by_window[4].over_seeds
        alone = by_window[8].test if test else by_window[8].metrics
        assert lines[1].ccc == pytest.approx((seeds["ccc_valence"].mean, alone["ccc_valence"]))
    words = ["ensemble", "windows", str(run), "--csv", str(tmp_path / "w.csv"), "--picture", str(tmp_path / "w.svg")]
    assert emofuse.main(words) == 0
    assert pa_csv.read_csv(tmp_path / "w.csv").num_rows == 4
    assert ET.parse(tmp_path / "w.svg").getroot().tag.endswith("svg")


def test_labels_and_predictions_of_one_recording(run, tmp_path, capsys):
    names = [m.name for m in read_continuous_run(run).members if m.footer.entry in "ab"][:2]
    predicted = {name: named_traces(run, name, "test") for name in names}
    (one,) = traced(run, predicted, "r9", "valence")
    known = ~np.isnan(one.gold)
    assert known.sum() == len(one.time_s) - 3 and list(one.predicted) == names
    assert one.ccc(names[0]) == pytest.approx(concordance(one.gold[known], one.predicted[names[0]][known]))
    csv, svg = tmp_path / "t.csv", tmp_path / "t.svg"
    words = ["ensemble", "traces", str(run), *names, "--recording", "r9", "--test"]
    assert emofuse.main([*words, "--csv", str(csv), "--picture", str(svg)]) == 0
    table = pa_csv.read_csv(csv)
    assert table.num_rows == 2 * len(one.time_s) and set(names) <= set(table.column_names)
    assert emofuse.main([*words, "--dimension", "liking", "--csv", str(csv)]) == 2
    assert "Unknown dimension 'liking'" in capsys.readouterr().err
    assert emofuse.main(words) == 2
    assert "Say where it goes" in capsys.readouterr().err
    with pytest.raises(WrongUse, match=f"Unknown recording that {names[0]} predicts 'r7'"):
        traced(run, predicted, "r7")


def test_a_papers_figures_are_those_that_the_run_has_something_for(tmp_path, monkeypatch):
    assert paper_figures(tmp_path, "guo2019") == []
    motion_trial(tmp_path, "refit", "full", filters=np.eye(2560, 3, dtype=np.float32))
    (figure,) = paper_figures(tmp_path, "kahou2015")
    assert figure.title == "Figure 2" and figure.svg.startswith("<svg")
    assert ET.fromstring(figure.svg.replace("xlink:", "")).tag.endswith("svg")


def test_huangs_figures(tmp_path):
    for entry, noise in (("conv3d_temporal", 0.3), ("convlstm_temporal", 0.2)):
        for window in (6, 8):
            write(tmp_path, entry, "train", (0, 1, 2), noise, seed=window, window=window)
    held_out, test = (paper_figures(tmp_path, "huang2018", test) for test in (False, True))
    assert [figure.title for figure in held_out] == [figure.title for figure in test] == ["Figure 4", "Figure 5"]
    assert "r9, a test recording" in test[1].note and "r0, a held-out recording" in held_out[1].note
    assert test[1].svg.count("conv3d_temporal/") == 2, "a panel for each dimension"


def test_names_in_a_figure_are_escaped(tmp_path):
    motion_trial(tmp_path, "refit", "full", filters=np.eye(2560, 3, dtype=np.float32))
    found = filters_of(tmp_path, "activity_svm")
    svg = svg_of(filters_figure(type(found)("<script>$x$", found.filters)))
    assert "<script>" not in svg and "&lt;script&gt;$x$" in svg
