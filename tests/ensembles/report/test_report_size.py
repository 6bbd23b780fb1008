"""What the page shows of runs with very many members, and that it says so."""

import math

import pytest

from ensembles.fitting.ensemble import ensemble_path, write_ensemble
from ensembles.fitting.fit import fit_ensemble
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION
from ensembles.report import parts, write_report


@pytest.fixture
def page(write_run, tmp_path):
    run = write_run(M=12)
    ensemble = fit_ensemble(run, FitOptions("uniform", name="all", selection=NO_SELECTION))
    write_ensemble(ensemble, ensemble_path(run, "all"))

    def make():
        return write_report(run, tmp_path / "r.html").read_text()

    return make


def _rows(text, title):
    section = text.split(f"<h2>{title}</h2>")[1].split("</section>")[0]
    return section, section.count("<tr") - section.count("<thead><tr")


def test_all_is_shown_of_a_run_of_usual_size(page):
    text = page()
    assert _rows(text, "Leaderboard")[1] == 13 and _rows(text, "Ensemble all")[1] >= 12
    assert "models are listed" not in text and "so many are drawn" not in text and "of most weight" not in text


def test_the_best_of_very_many_are_shown(page, monkeypatch):
    for name, most in {"_MOST_MEMBERS": 2, "MOST_ROWS": 4, "_MOST_WEIGHTS": 3}.items():
        monkeypatch.setattr(parts, name, most)
    text = page()
    section, rows = _rows(text, "Leaderboard")
    assert rows == 5 and "The 4 best of 12 models are listed: `emofuse ensemble leaderboard` with --top 0" in section
    section, _ = _rows(text, "Ensemble all")
    heat = section.split("</table>")[0]
    assert heat.count("<tr><th title") == 3 and "The picture shows the 3 of most weight, ensemble.json all." in section
    assert "The 2 best models are drawn, 10 more are not." in text


def test_a_strip_of_very_many_trials_keeps_the_worst_and_the_best():
    row = {"entry": "e", "metric": "accuracy", "seconds": 0.0, "best": 0.9}
    row["values"] = [n / 1000 for n in range(900, 0, -1)]
    section = parts.search_section([row])
    assert "Of an entry with more than 300 trials so many are drawn, evenly from worst to best." in section["note"]
    (shown,) = section["rows"]
    assert len(shown["strip"]) == 300
    assert (min(shown["strip"]), max(shown["strip"])) == (round(4 + 0.312, 1), round(4 + 312 * 0.9, 1))


def test_a_strip_of_the_log_loss_shows_what_it_is_the_log_of():
    row = {"entry": "e", "metric": "log_loss", "seconds": 0.0, "best": math.log(0.5), "values": [math.log(0.5)]}
    section = parts.search_section([row])
    assert section["metric"] == "log_loss" and "geometric mean of the true classes' probabilities" in section["note"]
    assert [(row["best"], row["strip"]) for row in section["rows"]] == [("0.693", [160.0])]
