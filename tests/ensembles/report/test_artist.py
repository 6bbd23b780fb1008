"""Pictures from a process of its own."""

import os
import signal
import sys

import pytest

from ensembles.report import charts
from ensembles.report.artist import Artist, _another_is_quicker
from ensembles.report.blocks import Chart
from ensembles.report.svg import svg_of

CHARTS = [
    Chart(f"a {n}", charts.chart([{"x": k, "y": k * n} for k in range(40 * n)], mark="point", encoding={
        "x": charts.x("x", "ü"), "y": charts.x("y", "y"), "color": charts.x("y", "y")}), "")
    for n in (1, 2, 60)
]  # fmt: skip


@pytest.fixture
def artist(monkeypatch):
    monkeypatch.setattr("ensembles.report.artist._another_is_quicker", lambda: True)
    with Artist() as artist:
        yield artist


def test_another_process_draws_the_same(artist, monkeypatch):
    monkeypatch.setattr("ensembles.report.artist.drawing.svg_of", None)
    for chart in CHARTS:
        artist.begin(chart)
    drawn = [artist.svg(chart) for chart in CHARTS]
    monkeypatch.undo()
    assert drawn == [svg_of(chart.key, chart.spec) for chart in CHARTS]
    assert 'id="a-1-' in drawn[0]


def test_what_it_can_not_is_drawn_here(artist):
    os.kill(artist._process.pid, signal.SIGKILL)
    artist.begin(CHARTS[0])
    assert artist.svg(CHARTS[0]) == svg_of(CHARTS[0].key, CHARTS[0].spec) == artist.svg(CHARTS[0])


def test_what_is_no_spec_is_told_as_ever(artist):
    wrong = Chart("w", {"mark": "nothing", "data": {"values": []}}, "")
    artist.begin(wrong)
    with pytest.raises(ValueError, match="Vega-Lite to SVG"):
        artist.svg(wrong)


@pytest.mark.parametrize(("cores", "loaded", "expected"), [(2, False, True), (1, False, False), (2, True, False)])
def test_one_core_and_who_has_drawn_before_draw_themselves(monkeypatch, cores, loaded, expected):
    monkeypatch.setattr("ensembles.report.artist.cores", lambda: cores)
    monkeypatch.setattr(sys, "modules", {"vl_convert": None} if loaded else {})
    assert _another_is_quicker() == expected
