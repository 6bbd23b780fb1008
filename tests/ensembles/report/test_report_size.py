"""What the page shows of runs with very many members, that it says so, and how large it is."""

import pytest

from ensembles.report import gather as facts
from ensembles.report.blocks import Table
from ensembles.report.gather import gather
from ensembles.report.page import all_sections, subtitle
from ensembles.report.sections import ensembles, history, leaderboard
from search.run.ended import Ended


@pytest.fixture
def run(write_run):
    import emofuse

    folder = write_run(M=12)
    emofuse.open_run(folder).fit("uniform", name="all", keep_all=True)
    return folder


def _table(section, key):
    (table,) = [block for block in section.blocks if isinstance(block, Table) and block.key == key]
    return table


def test_all_is_shown_of_a_run_of_usual_size(run):
    page = gather(run)
    shown = {section.key: section for section in all_sections(page)}
    assert len(_table(shown["leaderboard"], "leaderboard").rows) == 13 and len(shown["members"].blocks) == 12
    assert "are listed" not in shown["leaderboard"].says and "in full" not in subtitle(page)
    assert "of most weight" not in shown["ensemble"].blocks[0].text


def test_the_best_of_very_many_are_shown(run, monkeypatch):
    for module, name, most in ((facts, "MOST_SHOWN", 2), (leaderboard, "MOST_ROWS", 4), (ensembles, "MOST_WEIGHTS", 3)):
        monkeypatch.setattr(module, name, most)
    page = gather(run)
    section = leaderboard.section(page)
    assert len(_table(section, "leaderboard").rows) == 5
    assert "The 4 best of 12 models are listed: `emofuse ensemble leaderboard` with --top 0 lists all." in section.says
    weights = ensembles.section(page).blocks
    assert len(weights[1].rows) == 3
    assert weights[0].text.endswith("The picture shows the 3 of most weight, ensemble.json all.")
    assert len(page.shown) == 2 * 2, "the ensemble has more members than are drawn"


def test_of_very_many_trials_an_even_choice_and_every_record_are_drawn(run, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(history, "_MOST_TRIALS", 50)
    ended = [
        Ended(f"t{n}", f"c{n}", "e", "train", "finished", 0.2 + 0.001 * n if n % 100 == 0 else 0.1, 1, 1.0, "", 1e9 + n)
        for n in range(1000)
    ]
    section = history.section(replace(gather(run), ended=ended))
    assert "Of 1,000 trials 50 are drawn, evenly over time, and all that were a best so far." in section.says
    rows = section.blocks[0].spec["data"]["values"]
    records = [row["best"] for row in rows if "best" in row and "v" in row]
    assert records == [20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0]
    assert 50 < len(rows) < 65
