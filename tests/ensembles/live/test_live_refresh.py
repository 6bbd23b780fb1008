"""The state of a run that goes on: what changes is made again, and only that is sent."""

import os
import socket
import time
from dataclasses import asdict

import emofuse
from ensembles.live import refresh
from ensembles.live.refresh import Live
from features.disk.sealed import sealed_line
from search.run.layout import Layout, Outcome
from search.trial.heartbeats import Heartbeat


def section(live, key):
    (found,) = [one for one in live.state.sections if one.key == key]
    return found


def test_first_stands_what_changes(run):
    live = Live(run)
    live.refresh()
    keys = [one.key for one in live.state.sections]
    assert keys[:2] == ["now", "headline"] and {"leaderboard", "members", "reproduce"} <= set(keys)
    assert "6 of 16" in section(live, "now").html and "<svg aria-hidden" not in section(live, "leaderboard").html


def test_a_trial_that_fails_changes_its_sections_alone(run):
    live = Live(run)
    live.refresh()
    before = {one.key: one.mark for one in live.state.sections}
    assert live.state.newer(before)["sections"] == []
    failed = Outcome("f" * 64, "f" * 64, "failed", "Its loss is NaN.", "e0", "e0", "train", kind="diverged")
    Layout(run).write_outcome(failed, "Traceback: here")
    live.refresh()
    news = live.state.newer(before)
    assert {one["key"] for one in news["sections"]} == {"now", "failures", "history", "cost"}
    assert news["order"][:2] == ["now", "failures"] and "Traceback: here" in section(live, "failures").html


def test_failures_that_are_queued_again_go_from_the_page(run):
    layout = Layout(run)
    failed = Outcome("f" * 64, "f" * 64, "failed", "Its loss is NaN.", "e0", "e0", "train", kind="diverged")
    layout.write_outcome(failed, "Traceback: here")
    live = Live(run)
    live.refresh()
    assert "failures" in live.state.newer({})["order"]
    layout.clear_outcome(failed.trial_key)
    live.refresh()
    assert "failures" not in live.state.newer({})["order"] and "6 of 16" in section(live, "now").html


def test_a_running_trial_is_shown_with_its_curve(run):
    curve = tuple({"epoch": n, "loss": 1 / n, "accuracy": 0.1 * n} for n in (1, 2, 3))
    beat = Heartbeat("c" * 64, "d" * 64, "e0", "train", socket.gethostname(), os.getpid(), time.time(), 9, {}, curve)
    live = Live(run)
    live.refresh()
    (run / "running").mkdir()
    (run / "running" / f"{beat.trial_key}.json").write_text(sealed_line(asdict(beat)))
    live.refresh(always=False)
    now = section(live, "now").html
    assert "e0 cccccccc" in now and "3 of 9" in now and '<polyline class="held"' in now


def test_new_predictions_are_read_after_a_rest(run, monkeypatch):
    monkeypatch.setattr(refresh, "_REST", 1e6)
    live = Live(run)
    live.refresh()
    before = section(live, "leaderboard").mark
    emofuse.open_run(run).fit("uniform", name="new", keep_all=True)
    live.refresh(always=False)
    assert section(live, "leaderboard").mark == before, "reading is still fresh"
    monkeypatch.setattr(refresh, "_REST", 0.0)
    live.refresh()
    assert "ensemble new" in section(live, "leaderboard").html


def test_where_nothing_changed_nothing_is_read(run, monkeypatch):
    live = Live(run)
    live.refresh()
    at_s = live.state.at_s
    live.refresh(always=False)
    assert live.state.at_s == at_s
    monkeypatch.setattr(refresh, "_QUIET_S", 0.0)
    live.refresh(always=False)
    assert live.state.at_s > at_s


def test_a_damaged_file_ends_a_report_and_is_told_on_the_live_page(run, capsys):
    path = sorted((run / "predictions").rglob("*.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert emofuse.main(["report", str(run), "-o", str(run / "r.html"), "--static"]) == 1
    assert path.name in capsys.readouterr().err and not (run / "r.html").exists()
    live = Live(run)
    live.refresh()
    assert path.name in live.state.subtitle and path.name in section(live, "failures").html
