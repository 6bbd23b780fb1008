"""The page as HTML: self-contained, readable by every kind of reader, without scripts too."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

import emofuse

_VOID = {"meta", "link", "img", "br", "input"}


@pytest.fixture(scope="module")
def style():
    return (files("ensembles.report") / "style.css").read_text()


_once = []


@pytest.fixture
def text(write_run, tmp_path):
    if _once:
        return _once[0]
    run = write_run(M=3)
    emofuse.open_run(run).fit("uniform", name="all", keep_all=True)
    assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html"), "--static"]) == 0
    _once.append((tmp_path / "r.html").read_text())
    return _once[0]


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), tuple(name for name, _ in self.open)))
        if tag not in _VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def elements(text):
    parser = _Elements()
    parser.feed(text)
    assert not parser.open
    return parser.found


def test_tables_have_captions_and_scopes_and_pictures_have_words(text):
    found = elements(text)
    tables = sum(tag == "table" for tag, _, _ in found)
    assert tables > 10 and tables == sum(tag == "caption" for tag, _, _ in found)
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs, _ in found if tag == "th")
    for tag, attrs, inside in found:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and attrs["aria-label"]), inside
        if tag == "img":
            assert attrs["alt"]
        if attrs.get("role") == "img":
            assert len(attrs["aria-label"]) > 20
    assert sum("data-chart" in attrs for _, attrs, _ in found) == sum(tag == "figcaption" for tag, _, _ in found) >= 6
    ids = [attrs["id"] for _, attrs, _ in found if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for tag, attrs, _ in found if tag == "a"}
    assert links <= set(ids), f"lead nowhere: {links - set(ids)}"


def test_nothing_is_fetched_and_a_policy_forbids_it(text):
    assert "default-src &#39;none&#39;" in text and "connect-src" not in text
    for tag, attrs, _ in elements(text):
        for name in ("src", "href", "srcset", "action", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:")), f"<{tag} {name}>"
    assert "@import" not in text and not re.search(r"url\((?!['\"]?#)", text)


def test_without_scripts_every_picture_is_there(text):
    assert "vegaEmbed" not in text
    figures = re.findall(r'<figure class="chart".*?</figure>', text, re.S)
    assert figures and all("<svg" in figure and "NaN" not in figure for figure in figures)


def _colours(style):
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)
    return {name: (light, dark) for name, light, dark in pairs}


def _rgb(colour):
    return [int(colour[n : n + 2], 16) for n in (1, 3, 5)]


def _luminance(rgb):
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [0, 1])
def test_contrast_is_enough_everywhere(style, dark):
    colours = {name: _rgb(pair[dark]) for name, pair in _colours(style).items()}
    for ground in ("card", "page"):
        for ink in ("ink", "soft", "accent", "warm", "good"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, f"{ink} on {ground}"
    (strength,) = re.findall(r"var\(--s, 0\) \* ([\d.]+)%", style)
    for share in range(101):
        mix = share * float(strength) / 100
        cell = [mix * a + (1 - mix) * c for a, c in zip(colours["accent"], colours["card"], strict=True)]
        assert contrast(colours["ink"], cell) >= 4.5, f"a cell of {share} %"


@pytest.mark.parametrize("dark", [0, 1])
def test_marks_stand_out(style, dark):
    colours = {name: _rgb(pair[dark]) for name, pair in _colours(style).items()}
    assert all(contrast(colours[name], colours["card"]) >= 3 for name in ("blue", "orange", "soft"))


def test_print_cuts_nothing(style):
    printed = style.split("@media print")[1]
    assert "overflow: visible" in printed and "details::details-content" in printed
    assert ".scripted .option { display: block; }" in printed
