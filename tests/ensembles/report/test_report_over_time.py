"""The report on a run of continuous emotion: traces, CCC of each recording, CCC over window length, the leaderboard."""

import json

import numpy as np
import pytest
from tracks import DIMENSIONS, small_run, write

import emofuse
from ensembles.continuous.concordance import mean_concordance_interval
from ensembles.continuous.run import read_continuous_run
from ensembles.fitting.fit_over_time import nested_over_time
from ensembles.report.blocks import Chart, Table, Text, Tiles
from ensembles.report.gather import gather
from ensembles.report.page import all_sections
from ensembles.report.sections import over_time
from features.errors import EmofuseError
from models.concordance import concordance


@pytest.fixture
def run(tmp_path):
    small_run(tmp_path / "run")
    for seed, held_out in enumerate([(0, 1, 2), (3, 4, 5)]):
        write(tmp_path / "run", "a", f"fold-{seed}-of-2", held_out, 0.3, seed=seed, window=4)
    return tmp_path / "run"


def sections(run):
    return {section.key: section for section in over_time.sections(gather(run))}


def charts(section):
    return [block for block in section.blocks if isinstance(block, Chart)]


def line(chart, what):
    rows = [row for row in chart.spec["data"]["values"] if row["what"] == what]
    return np.array([row["t"] for row in rows]), np.array([row["v"] for row in rows])


def test_traces_are_the_labels_and_the_nested_predictions(run):
    ensemble = emofuse.open_run(run).fit("uniform", name="best", folds=3).record
    shown = sections(run)
    assert len(charts(shown["traces"])) == 6 * len(DIMENSIONS) and "ensemble best predicts" in shown["traces"].says
    found = read_continuous_run(run)
    fused, own = nested_over_time(found, ensemble), found.recordings.recording == "r2"
    for d, name in enumerate(DIMENSIONS):
        gold, values = found.recordings.Y[own, d], fused[own, d]
        (chart,) = [chart for chart in charts(shown["traces"]) if chart.key == f"trace-r2-{name}"]
        assert chart.spec["title"]["text"] == f"{name}, CCC {concordance(gold, values):.3f}"
        assert chart.spec["params"][0]["bind"] == "scales", "it can be zoomed"
        for what, expected in (("labels", gold), ("predictions", values)):
            time_s, drawn = line(chart, what)
            assert len(drawn) == 39 and (np.diff(time_s) > 0).all()
            np.testing.assert_allclose(drawn, expected, atol=1e-4)
    rows = shown["recordings"].blocks[0].rows
    (row,) = [row for row in rows if row.cells[0].text == "r2"]
    told = [cell.text for cell in row.cells]
    assert told[:3] == ["r2", "g2", "39"]
    assert told[3] == f"{concordance(found.recordings.Y[own, 0], fused[own, 0]):.3f}"


def test_a_long_recording_is_drawn_by_few_points():
    time_s = np.arange(20_000) / 10
    drawn, _ = line(over_time.trace("r", "arousal", time_s, np.sin(time_s), np.zeros(20_000)), "labels")
    assert len(drawn) == over_time.MOST_POINTS and drawn[-1] == 1999.9


def test_windows_are_drawn_where_an_entry_tried_several(run):
    (beside,) = sections(run)["windows"].blocks
    by_window = {
        m.footer.hyperparameters["window"]: m for m in read_continuous_run(run).members if m.footer.entry == "a"
    }
    for name, (chart,) in zip(DIMENSIONS, beside.columns, strict=True):
        rows = [(row["entry"], row["window"], row["ccc"]) for row in chart.spec["data"]["values"]]
        assert rows == [("a", w / 10, round(by_window[w].metrics[f"ccc_{name}"], 3)) for w in (4, 8)]


def test_without_an_ensemble_the_best_model_is_drawn(run):
    shown = sections(run)
    best = emofuse.open_run(run).leaderboard().index[0]
    assert best.startswith("a/") and "what a #2 predicts" in shown["traces"].says and "over-time-weights" not in shown
    (tiles,) = [block for block in shown["continuous"].blocks if isinstance(block, Tiles)]
    assert [tile.main for tile in tiles.tiles] == [True]


def test_the_headline_hides_nothing_that_beats_the_ensemble(run):
    """What is told of the ensemble, the plain average and the best single model is what the record holds."""
    ensemble = emofuse.open_run(run).fit("uniform", name="one", folds=3, test=True).record
    average, single = (ensemble.scores[who]["nested"] for who in ("candidates_average", "best_single"))
    assert single.metrics["ccc"] > ensemble.scores["ensemble"]["nested"].metrics["ccc"], "or there is nothing to hide"
    blocks = sections(run)["continuous"].blocks
    told = [block for block in blocks if isinstance(block, Text)]
    warned = [block.text for block in told if block.tone == "warn"]
    (warned,) = [text for text in warned if "does not win on held-out recordings, nested" in text]
    assert f"the best single model of each dimension ({single.metrics['ccc']:.3f})" in warned
    (sentence,) = [block.text for block in told if block.text.startswith("On 6 held-out recordings")]
    for one in (ensemble.scores["ensemble"]["nested"], average, single):
        bounds = one.intervals["ccc"]
        assert f"{one.metrics['ccc']:.3f} (95 % interval {bounds.low:.3f} to {bounds.high:.3f})" in sentence
    assert "On 1 test recording that nothing was chosen on (1 group)" in "".join(block.text for block in told)
    assert not [block.text for block in told if "/config" in block.text], "people's names"
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert [row.cells[1].text for row in table.rows] == ["mean"] * 3 + ["arousal"] * 3 + ["valence"] * 3


def test_every_model_has_an_interval_and_a_part_of_its_own(run):
    shown = sections(run)
    (table,) = shown["over-time"].blocks
    names = [row.cells[0] for row in table.rows]
    assert sorted(cell.text for cell in names) == ["a #1", "a #2", "b #1"]
    row = next(row for row in table.rows if row.cells[0].text.startswith("a"))
    found = read_continuous_run(run)
    m = found.recordings.members.index(row.cells[0].title)
    Y, P, groups = found.recordings.Y, found.recordings.P[m], found.recordings.group
    bounds = mean_concordance_interval(Y, P, groups)
    assert f"[{bounds.low:.3f}, {bounds.high:.3f}]" in row.cells[2].text
    (lacking,) = [row for row in table.rows if row.cells[0].text == "b #1"]
    assert "[" not in lacking.cells[2].text, "a recording that it could not score has the mean label"
    parts = {part.anchor: part for part in shown["over-time-members"].blocks}
    assert set(parts) == {cell.anchor for cell in names}
    assert parts[row.cells[0].anchor].summary.startswith(f"{row.cells[0].text}, held-out CCC 0.")


def test_the_page_holds_all_of_it(run, tmp_path, capsys):
    emofuse.open_run(run).fit("concordance", name="best", folds=3, test=True)
    shown = {section.key: section for section in over_time.sections(gather(run, True))}
    (table,) = [block for block in shown["over-time"].blocks if isinstance(block, Table)]
    first = table.rows[0].cells
    assert first[0].text == "ensemble best" and first[2].text.count("[") == 1
    assert "test mean" in [column.name for column in table.columns]
    assert any(isinstance(block, Text) and block.tone in ("warn", "good") for block in shown["continuous"].blocks)
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html"), "--test", "--static"]) == 0
    page = (tmp_path / "r.html").read_text()
    for heading in (
        "Labels and predictions over time",
        "CCC of each recording",
        "CCC over window length",
        "The search",
    ):
        assert f">{heading}</h2>" in page
    assert page.count('data-chart="trace-') == 12 and "Recall of each class" not in page
    labels = tmp_path / "labels.csv"
    labels.write_text("clip_id,label\nr9,x\n")
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html"), "--test", "--labels", str(labels)]) == 2
    assert "holds classes of clips, but the members learnt continuous emotion" in capsys.readouterr().err


def test_a_search_that_has_no_member_on_all_partitions_yet_has_a_page(tmp_path):
    run = tmp_path / "run"
    write(run, "a", "fold-0-of-2", (0, 1, 2), 0.3)
    write(run, "b", "fold-1-of-2", (3, 4, 5), 0.3)
    described = {"stage": "clips", "entry": "a", "family": "a", "configurations": 1, "continuous": True}
    plan = [{**described, "partitions": ["fold-0-of-2", "fold-1-of-2"]}]
    recipe = {"name": "begun", "seed": 1}
    (run / "run.json").write_text(json.dumps({"recipe": recipe, "plan": plan, "clips": "c", "store": "s"}))
    keys = [section.key for section in all_sections(gather(run))]
    assert keys[0] == "now" and "continuous" not in keys and keys[-1] == "reproduce"
    (run / "run.json").unlink()
    with pytest.raises(EmofuseError, match="no member has a trial on every one of the partitions"):
        all_sections(gather(run))
