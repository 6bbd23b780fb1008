"""The live page in headless Chromium: what is new comes without loading, what was set stays, buttons ask first."""

import os
import socket
import time
from dataclasses import asdict

import numpy as np
import pytest
from browsing import browsing, scrolled, until

from ensembles.live import server
from ensembles.live.refresh import Live
from ensembles.live.server import LivePage, serve_live
from features.disk.sealed import sealed_line
from search.run.layout import Layout, Outcome
from search.trial.heartbeats import Heartbeat

pytestmark = pytest.mark.browser


@pytest.fixture
def live(run):
    """The page of a run that is under way: `live.address`."""
    live = Live(run)
    live.start()
    links = [("Studies (optuna-dashboard)", "http://127.0.0.1:1/dashboard/?token=t")]
    live.address, close = serve_live(LivePage(live, lambda: links), "127.0.0.1", 0, "t0ken")
    yield live
    live.stop()
    close()


def _fail(run, letter):
    failed = Outcome(letter * 64, letter * 64, "failed", "Its loss is NaN.", "e0", "e0", "train", kind="diverged")
    Layout(run).write_outcome(failed, f"Traceback of {letter}")


def test_new_trials_appear_within_five_seconds_and_what_was_set_stays(live, write_trial):
    with browsing(live.address) as page:
        scrolled(page)
        page.evaluate("window.loaded = 1")
        assert "6 of 16" in page.locator("#s-now").text_content()
        page.locator("#t-entries thead th:nth-child(4) button").click()
        page.locator("#s-leaderboard").get_by_label("contains").fill("e1")
        start = time.monotonic()
        _fail(live.run, "f")
        until(page, "document.querySelector('#s-now').textContent.includes('7 of 16')")
        assert time.monotonic() - start < 5
        page.wait_for_selector("#s-failures details summary")
        assert page.locator("#t-entries th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.locator("#s-failures details summary").click()
        rows = [("clip000", "train0", "train", "fit", "a"), ("clip002", "val2", "val", "held_out", "a")]
        rows += [("clip004", "test4", "test", "test", "a")]
        P = np.full((3, 3), 1 / 3)
        write_trial(rows, P, entry="e1", config=9, classes=("a", "b", "c"), clips_fingerprint="f1")
        until(page, "document.querySelector('#s-now').textContent.includes('8 of 16')")
        assert page.locator("#s-failures details").first.get_attribute("open") is not None
        assert page.locator("#s-leaderboard input").input_value() == "e1"
        assert page.evaluate("window.loaded") == 1, "it was never loaded again"
        assert page.said == []


def test_the_page_leads_to_the_others_and_lives_by_its_own_scripts(live):
    with browsing(live.address) as page:
        scrolled(page)
        assert page.locator("#links a").first.get_attribute("href").startswith("http://127.0.0.1:1/dashboard/")
        assert "token" not in page.url
        place = live.address.partition("?")[0]
        assert all(url.startswith((place, "data:")) for url in page.asked) and page.said == []


def test_a_running_curve_is_legible_on_a_phone(live):
    curve = tuple({"epoch": n, "loss": 1 / n, "accuracy": 0.1 * n} for n in (1, 2, 3))
    beat = Heartbeat("c" * 64, "d" * 64, "e0", "train", socket.gethostname(), os.getpid(), time.time(), 9, {}, curve)
    (live.run / "running").mkdir()
    (live.run / "running" / f"{beat.trial_key}.json").write_text(sealed_line(asdict(beat)))
    live.refresh()
    with browsing(live.address, width=390) as page:
        page.wait_for_selector("#s-now svg.drawing polyline")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        heights = page.eval_on_selector_all(
            "#s-now svg.drawing text", "t => t.map((e) => e.getBoundingClientRect().height)"
        )
        assert min(heights) > 9


def test_buttons_ask_first_and_tell_what_was_done(live, monkeypatch):
    pressed = []

    def stop(run):
        pressed.append(run)
        return "It stops."

    monkeypatch.setitem(server._ACTIONS, "stop", stop)
    with browsing(live.address) as page:
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("button", name="Stop the search gracefully").click()
        assert pressed == []
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Stop the search gracefully").press("Enter")
        until(page, "document.querySelector('#told').textContent === 'It stops.'", 6)
        assert pressed == [live.run]


def test_a_page_whose_server_is_gone_says_so(live):
    with browsing(live.address) as page:
        page.route("**/update*", lambda route: route.abort())
        until(page, "document.querySelector('#pulse').textContent.includes('answer')", 6)
