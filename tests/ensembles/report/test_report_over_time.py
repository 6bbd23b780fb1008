"""The report on a run of continuous emotion: traces, CCC of each recording, CCC over window length, the leaderboard."""

import re

import numpy as np
import pytest
from tracks import DIMENSIONS, small_run, write

import emofuse
from ensembles.fitting.fit_over_time import nested_over_time
from ensembles.report.over_time import section
from models.concordance import concordance


@pytest.fixture
def run(tmp_path):
    small_run(tmp_path / "run")
    for seed, held_out in enumerate([(0, 1, 2), (3, 4, 5)]):
        write(tmp_path / "run", "a", f"fold-{seed}-of-2", held_out, 0.3, seed=seed, window=4)
    return tmp_path / "run"


def points(text):
    return np.array([pair.split(",") for pair in text.split()], float)


def test_traces_are_the_labels_and_the_nested_predictions(run):
    ensemble = emofuse.open_run(run).fit("uniform", name="best", folds=3).record
    shown = section(run)
    assert len(shown["traces"]["pictures"]) == 6 and "ensemble best predicts" in shown["traces"]["note"]
    from ensembles.continuous.run import read_continuous_run

    found = read_continuous_run(run)
    fused, own = nested_over_time(found, ensemble), found.recordings.recording == "r2"
    (picture,) = [picture for picture in shown["traces"]["pictures"] if picture["name"] == "r2"]
    for d, panel in enumerate(picture["panels"]):
        gold, values = found.recordings.Y[own, d], fused[own, d]
        assert panel["dimension"] == DIMENSIONS[d] and panel["score"] == f"CCC {concordance(gold, values):.3f}"
        drawn = [points(panel["gold"]), points(panel["fused"])]
        assert [len(line) for line in drawn] == [39, 39] and (np.diff(drawn[0][:, 0]) > 0).all()
        heights = np.concatenate([line[:, 1] for line in drawn])
        expected = np.concatenate([gold, values])
        scale = (heights.max() - heights.min()) / (expected.max() - expected.min())
        np.testing.assert_allclose(heights, heights.min() + (expected.max() - expected) * scale, atol=0.11)
    row = next(row for row in shown["recordings"]["rows"] if row[0] == "r2")
    assert row[:3] == ["r2", "g2", "39"] and row[3] == f"{concordance(found.recordings.Y[own, 0], fused[own, 0]):.3f}"


def test_a_long_recording_is_drawn_by_few_points():
    from ensembles.report.over_time import _panel

    time_s = np.arange(20_000) / 10
    panel = _panel("arousal", time_s, np.sin(time_s), np.zeros(20_000))
    assert len(points(panel["gold"])) == 500 and panel["ticks"][-1]["text"] == "2000 s"
    flat = _panel("arousal", time_s[:1], np.zeros(1), np.zeros(1))
    assert np.isfinite(points(flat["gold"])).all()


def test_windows_are_drawn_where_an_entry_tried_several(run):
    plots = section(run)["windows"]
    assert [plot["dimension"] for plot in plots] == list(DIMENSIONS)
    (line,) = plots[0]["lines"]
    assert line["entry"] == "a" and [tick["text"] for tick in plots[0]["x"]] == ["0.4 s", "0.8 s"]
    from ensembles.continuous.run import read_continuous_run

    by_window = {
        m.footer.hyperparameters["window"]: m for m in read_continuous_run(run).members if m.footer.entry == "a"
    }
    told = [dot["text"] for dot in line["dots"]]
    assert told == [f"a, {w / 10} s: {by_window[w].metrics['ccc_arousal']:.3f}" for w in (4, 8)]


def test_without_an_ensemble_the_best_model_is_drawn(run):
    shown = section(run)
    best = emofuse.open_run(run).leaderboard().index[0]
    assert f"what {best} predicts" in shown["traces"]["note"] and shown["weights"] == []
    assert [tile["main"] for tile in shown["tiles"]] == [True]


def test_the_page_holds_all_of_it(run, tmp_path, capsys):
    emofuse.open_run(run).fit("concordance", name="best", folds=3, test=True)
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html"), "--test"]) == 0
    page = (tmp_path / "r.html").read_text()
    assert page.count('<svg class="trace"') == 12 and "dimension</h3>" in page
    assert re.search(r"ensemble best</td><td class=\"num\">0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", page)
    for heading in (
        "Labels and predictions over time",
        "CCC of each recording",
        "CCC over window length",
        "The search",
    ):
        assert f"<h2>{heading}</h2>" in page
    assert "Recall of each class" not in page and "<script" not in page and "http" not in page
    assert '"Segoe UI"' in page, "the style sheet is not escaped"
    labels = tmp_path / "labels.csv"
    labels.write_text("clip_id,label\nr9,x\n")
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html"), "--test", "--labels", str(labels)]) == 2
    assert "--labels are classes of clips" in capsys.readouterr().err
