"""What the report says of a run of classes, section by section."""

import json
from dataclasses import replace

import numpy as np
import pytest

import emofuse
from ensembles.evaluation.intervals import compare_right
from ensembles.records.places import find_places
from ensembles.report.blocks import Beside, Chart, Chooser, Code, Details, Drawing, Heading, Heat, Table, Text, Tiles
from ensembles.report.calibrated import expected_error, kept_accuracy, reliability
from ensembles.report.gather import gather
from ensembles.report.page import all_sections
from ensembles.report.sections import headline
from search.run.layout import Layout, Outcome

_once = {}  # no test changes what is made


@pytest.fixture
def run(write_run):
    if "run" not in _once:
        folder = write_run(M=4, skill=(0.4, 1.6))
        emofuse.open_run(folder).fit("uniform", name="best", keep_all=True, test=True)
        _once["run"] = folder
    return _once["run"]


@pytest.fixture
def page(run):
    if "page" not in _once:
        _once["page"] = gather(run, True)
    return _once["page"]


@pytest.fixture
def shown(page):
    if "shown" not in _once:
        _once["shown"] = {section.key: section for section in all_sections(page)}
    return _once["shown"]


def only(blocks, kind):
    return [block for block in blocks if isinstance(block, kind)]


def texts(row):
    return [cell.text for cell in row.cells]


def test_every_section_has_one_sentence_on_what_it_shows(shown):
    assert list(shown) == [
        *("headline", "leaderboard", "ensemble", "confusions", "agreement", "partitions", "history"),
        *("cost", "clips", "calibration", "members", "reproduce"),
    ]
    assert all(len(section.says.split()) > 6 and section.says.endswith(".") for section in shown.values())


def test_the_headline_names_all_three_measures_with_intervals(page, shown):
    lead = page.lead
    own, single = lead.scores["ensemble"], lead.scores["best_single"]
    averages = [lead.scores[who]["nested"].accuracy for who in ("uniform_average", "candidates_average")]
    said = [block.text for block in only(shown["headline"].blocks, Text) if block.tone == "plain"]
    (nested,) = [text for text in said if "by weights of other groups" in text]
    for value in (own["nested"].accuracy, max(averages), single["nested"].accuracy):
        assert f"{100 * value:.1f} % (95 % interval" in nested
    assert any(text.startswith("On 16 test clips that nothing was chosen on (4 groups)") for text in said)
    table = only(shown["headline"].blocks, Table)[0]
    assert all("[" in cell.text for row in table.rows for cell in row.cells[1:])


def test_a_plain_average_that_wins_is_a_warning(page):
    weights = page.lead.weights * np.array([[1.3], [0.9], [0.9], [0.9]])
    lead, how = replace(page.lead, weights=weights), "nested"
    won = headline.warnings(lead, [how])
    own = lead.scores["ensemble"][how].accuracy
    rivals = [lead.scores[who][how].accuracy for who in ("candidates_average", "best_single")]
    assert bool(won) == (max(rivals) >= own)
    better = lead.with_scores("candidates_average", how, lead.scores["ensemble"][how])
    (told,) = headline.warnings(better, [how])
    assert told.startswith(
        f"The ensemble ({100 * own:.1f} %) does not win on held-out clips, nested: the plain average"
    )


def test_an_ensemble_that_is_the_plain_average_is_no_loser_to_it(page, shown):
    (told,) = [b.text for b in only(shown["headline"].blocks, Text) if b.text.startswith("The ensemble is the plain")]
    assert told == "The ensemble is the plain average of all candidates."
    better = page.lead.with_scores("candidates_average", "nested", page.lead.scores["ensemble"]["fit"])
    assert not any("the plain average" in told for told in headline.warnings(better, ["nested"]))


def test_members_have_human_names_intervals_and_a_section(page, shown):
    table = only(shown["leaderboard"].blocks, Table)[0]
    names = [row.cells[0] for row in table.rows[1:]]
    assert sorted(cell.text for cell in names) == ["e0 #1", "e0 #2", "e1 #1", "e1 #2"]
    assert all("/" in cell.title for cell in names), "the key is on hover"
    held_out = [column.name for column in table.columns].index("held-out")
    assert all("[" in row.cells[held_out].text for row in table.rows)
    assert {cell.anchor for cell in names} == {block.anchor for block in shown["members"].blocks}
    assert {column.name for column in table.columns if column.choices} == {"entry", "family", "partitions"}


def test_a_members_section_has_its_facts_confusion_and_calibration(page, shown):
    best = page.board.members[0]
    (details,) = [one for one in shown["members"].blocks if page.called(best.name) in one.summary]
    left, right = only(details.blocks, Beside)[0].columns
    assert ["lr", f"{page.predictions.held_out.members[page.places[best.name]].footer.hyperparameters['lr']:.4g}"] in [
        texts(row) for row in left[0].rows
    ]
    counts = [[int(cell.text.split()[0]) for cell in cells[:3]] for _, cells in right[0].rows]
    assert np.trace(counts) / np.sum(counts) == pytest.approx(best.accuracy)
    assert right[1].caption.startswith("Calibration: expected error")


def test_what_a_member_adds_is_the_ensemble_with_it_minus_without_it(page, shown):
    held_out = page.predictions.held_out
    places, _ = find_places(page.lead, held_out.members)
    own = held_out.of_members(places)
    whole = page.lead.predict_proba(own.P, own.valid).argmax(axis=1) == own.y
    without = own.valid.copy()
    without[0] = False
    gain = compare_right(whole, page.lead.predict_proba(own.P, without).argmax(axis=1) == own.y, own.groups)
    (table,) = [t for t in only(shown["ensemble"].blocks, Table) if t.key.startswith("adds")]
    (row,) = [row for row in table.rows if row.cells[0].title == own.members[0].name]
    assert row.cells[1].sort == gain.difference and row.cells[2].text == str(gain.only_first)


def test_subsets_are_there_with_intervals(page, shown):
    (details,) = only(shown["ensemble"].blocks, Details)
    (table,) = only(details.blocks, Table)
    M = len(page.lead.members)
    assert len(table.rows) == sum(min(6, n) for n in ([4, 6, 4, 1] if M == 4 else [3, 3, 1]))
    assert all("[" in row.cells[2].text for row in table.rows)


def test_any_two_confusions_can_be_chosen(shown):
    (chooser,) = only(shown["confusions"].blocks, Chooser)
    names = [name for name, _ in chooser.options]
    assert names[0] == "ensemble best, honest estimate (nested)" and names[1].startswith("e") and len(names) == 8
    assert all(isinstance(block, Heat) for _, block in chooser.options)


def test_clips_that_all_get_wrong_and_the_ensemble_alone_gets_right(page, shown):
    held_out = page.predictions.held_out
    right = held_out.P.argmax(axis=2) == held_out.y
    nobody = int((~right.any(axis=0)).sum())
    headings = [block.text for block in only(shown["clips"].blocks, Heading)]
    assert headings[0] == f"Every model is wrong: {nobody} of {len(held_out.y)} clips"
    table = only(shown["clips"].blocks, Table)[0]
    assert len(table.rows) == len(held_out.y) and table.filters
    choices = [column.name for column in table.columns if column.choices]
    assert choices == ["true", "predicted", "verdict"]
    assert not {row.cells[0].text for row in table.rows} & set(page.predictions.test.ids), "test labels stay sealed"


def test_a_runs_commands_make_it_again(run, shown):
    (code,) = only(shown["reproduce"].blocks, Code)
    lines = code.text.splitlines()
    assert lines[0].startswith("emofuse ensemble fit") and "--method uniform --name best" in lines[0]
    assert lines[0].endswith("--partition swap --partition train --all")
    assert lines[-1] == f"emofuse report {run} -o report.html --test"


@pytest.mark.parametrize(
    "words",
    [
        ["--method", "decision", "--param", "draws=100", "--partition", "train", "--top", "3", "--folds", "4"],
        ["--method", "uniform", "--partition", "swap", "--entry", "e0", "--per-entry", "1", "--metric", "log_loss"],
        ["--method", "uniform", "--member", "e0", "--member", "e1", "--seed", "3", "--fit-split", "train"],
    ],
)
def test_the_printed_options_fit_the_same_ensemble(write_run, words):
    from ensembles.records.stored import open_ensemble
    from ensembles.report.sections.reproduce import fit_words

    run = write_run(M=4)
    assert emofuse.main(["ensemble", "fit", str(run), *words, "--name", "first"]) == 0
    first = open_ensemble(run, "first")
    printed = ["second" if word == "first" else word for word in fit_words(first)]
    assert emofuse.main(["ensemble", "fit", str(run), *printed]) == 0
    second = open_ensemble(run, "second")
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (first.members, first.selection, first.folds, first.seed) == (
        second.members,
        second.selection,
        second.folds,
        second.seed,
    )


def test_reliability_and_its_error_against_plain_lines():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(4), 500)
    y = rng.integers(0, 4, 500)
    sure, right = P.max(axis=1), P.argmax(axis=1) == y
    expected = 0.0
    for b in range(10):
        own = (sure > b / 10) & (sure <= (b + 1) / 10)
        if own.any():
            expected += own.mean() * abs(right[own].mean() - sure[own].mean())
    assert expected_error(P, y) == pytest.approx(expected)
    assert sum(b.n for b in reliability(P, y)) == 500
    kept = kept_accuracy(P, y)
    assert kept[-1] == pytest.approx(right.mean()) and kept[0] == right[np.argmax(sure)]


def test_importance_finds_the_hyperparameter_that_matters():
    from ensembles.predictions.sets import Member
    from ensembles.report.sections.importance import importance, varied
    from search.run.predictions import Footer

    rng = np.random.default_rng(0)
    members = []
    for n in range(40):
        lr, hidden = float(10 ** rng.uniform(-4, -1)), int(rng.integers(8, 64))
        told = {"lr": lr, "hidden": hidden, "kind": "same"}
        footer = Footer(f"{n:064d}", f"{n:064d}", "f", "e", told, "train", ("a", "b"), 0, 1, 1, {})
        members.append(Member("e", f"{n:064d}", {"train": footer}, {"train": 0.5 - abs(np.log10(lr) + 2) / 6}))
    assert varied(members) == ["hidden", "lr"]
    found = importance(members, varied(members))
    assert found["lr"] > 0.8 and sum(found.values()) == pytest.approx(1)


def test_a_learning_curve_is_a_drawing_with_words(tmp_path):
    from ensembles.report.sections.members import curve

    rows = [{"epoch": n + 1, "loss": 1 / (n + 1), "accuracy": n / 40, "fit_accuracy": n / 20} for n in range(20)]
    drawing = curve("e #1 on train", rows, 12)
    assert isinstance(drawing, Drawing) and [name for name, _ in drawing.lines] == ["held", "fit"]
    assert drawing.alt == "Learning curve of e #1 on train: accuracy by epoch, last 47.5 %, epoch 12 of 20 was kept."
    assert len(drawing.marks) == 1 and len(drawing.lines[0][1].split()) == 20


def _begun(run):
    """A run's description without any trial."""
    plan = {"stage": "clips", "entry": "svm", "family": "audio_svm", "configurations": 2, "partitions": ["train"]}
    described = {
        "recipe": {"name": "begun", "seed": 3},
        "plan": [plan],
        "clips": str(run / "clips.parquet"),
        "store": str(run / "store"),
    }
    run.mkdir(exist_ok=True)
    (run / "run.json").write_text(json.dumps(described))
    return Layout(run)


def test_a_run_with_failed_trials_only_has_a_page(tmp_path):
    layout = _begun(tmp_path / "run")
    for key in ("a" * 64, "b" * 64):
        failed = Outcome(
            key, key, "failed", "It is <not> finite.", "svm", "audio_svm", "train", {"lr": 1.0}, kind="diverged"
        )
        layout.write_outcome(failed, "Traceback: NaN & co")
    page = gather(layout.path)
    shown = {section.key: section for section in all_sections(page)}
    assert list(shown) == ["now", "failures", "history", "cost", "reproduce"]
    assert page.problem == "No trial has finished yet, so there are no predictions to show."
    table = only(shown["failures"].blocks, Table)[0]
    assert [texts(row)[-1] for row in table.rows] == ["It is <not> finite."] * 2
    out = tmp_path / "r.html"
    assert emofuse.main(["report", str(layout.path), "-o", str(out), "--static"]) == 0
    text = out.read_text()
    assert "<code>emofuse search retry</code> queues them again" in text
    assert "It is &lt;not&gt; finite." in text and "Traceback: NaN &amp; co" in text and "<not>" not in text


def test_a_run_in_progress_has_a_page(tmp_path):
    import os
    import socket
    import time
    from dataclasses import asdict

    from features.disk.sealed import sealed_line
    from search.trial.heartbeats import Heartbeat
    from search.trial.usage import Usage

    layout = _begun(tmp_path / "run")
    curve = tuple({"epoch": n, "loss": 1 / n, "accuracy": 0.1 * n} for n in (1, 2, 3))
    usage = Usage(1500.0, "0 (H100)", "x", 2000.0, 9000.0, 80000.0, 0.5)
    beat = Heartbeat(
        "c" * 64,
        "d" * 64,
        "svm",
        "train",
        socket.gethostname(),
        os.getpid(),
        time.time() - 60,
        9,
        {},
        curve,
        usage,
        "accuracy",
    )
    (layout.path / "running").mkdir()
    (layout.path / "running" / f"{beat.trial_key}.json").write_text(sealed_line(asdict(beat)))
    shown = {section.key: section for section in all_sections(gather(layout.path))}
    assert list(shown) == ["now", "reproduce"]
    tables = {table.key: table for table in only(shown["now"].blocks, Table)}
    row = texts(tables["running"].rows[0])
    assert row[:5] == ["svm cccccccc", "train", "3 of 9", "0.333", "0.300"]
    assert row[6:8] == ["1.5 GB", "0 (H100): 2.0 of 80.0 GB, busy 50%"] and "nodes" in tables
    (beside,) = only(shown["now"].blocks, Beside)
    assert isinstance(beside.columns[0][1], Drawing)
    tiles = only(shown["now"].blocks, Tiles)[0].tiles
    assert [tile.value for tile in tiles[:2]] == ["0 of 2", "1"] and tiles[1].note == "1 in the queue"


def test_pictures_have_specs_that_draw(shown):
    from ensembles.report.render import specs
    from ensembles.report.svg import svg_of

    drawn = specs(shown.values())
    assert {"board", "cost", "adds-best", "reliability", "coverage"} <= set(drawn)
    for chart in only(shown["calibration"].blocks, Chart):
        svg = svg_of(chart.key, chart.spec)
        assert svg.startswith("<svg aria-hidden") and "NaN" not in svg and "role=" not in svg


def test_the_best_so_far_begins_with_the_first_that_finished():
    from ensembles.report.sections.history import points
    from search.run.ended import Ended

    told = [("pruned", 0.9), ("finished", 0.4), ("finished", 0.3), ("finished", 0.5)]
    trials = [
        Ended(str(n), str(n), "e", "train", how, value, 1, 1.0, "", 1e9 + n) for n, (how, value) in enumerate(told)
    ]
    rows = points(trials, {"e": "accuracy"}, 1e9, 1.0, 100)
    assert [row.get("best") for row in rows] == [None, 40.0, None, 50.0, 50.0]
    losses = [t._replace(value=-(t.value or 0)) for t in trials]
    assert [row.get("best") for row in points(losses, {"e": "log_loss"}, 1e9, 1.0, 1)] == [None, 0.4, 0.3, None, 0.3]


def test_imported_predictions_have_no_search_and_cost_nothing(tmp_path):
    rows = ["sample_id,split,label,model,group_id,p_a,p_b"]
    for n in range(24):
        for model, p in (("x", 0.9 - n % 3 / 4), ("y", 0.6)):
            label = "ab"[n % 2]
            own = p if label == "a" else 1 - p
            rows.append(f"s{n},val,{label},{model},g{n // 4},{own:.2f},{1 - own:.2f}")
    (tmp_path / "other.csv").write_text("\n".join(rows))
    run = tmp_path / "run"
    assert emofuse.main(["ensemble", "import", str(tmp_path / "other.csv"), "-o", str(run)]) == 0
    assert emofuse.main(["ensemble", "fit", str(run), "--name", "best", "--method", "uniform"]) == 0
    shown = {section.key: section for section in all_sections(gather(run))}
    assert not {"history", "cost", "now", "failures"} & set(shown)
    assert {"headline", "leaderboard", "ensemble", "members", "reproduce"} <= set(shown)
