"""The report in headless Chromium: sorting, filtering, choosing, keyboard, phone, contrast as it is drawn, print."""

import re

import pytest
from browsing import browsing, scrolled, until

import emofuse

pytestmark = pytest.mark.browser

_CONTRAST = """() => {
  const rgba = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    const all = text.startsWith("color(") ? found.slice(0, 3).map((c) => 255 * c).concat(found.slice(3)) : found;
    return [...all.slice(0, 3), all[3] ?? 1];
  };
  const light = (c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const worst = { ratio: 99 };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.checkVisibility()) continue;
    if (e.closest("script, noscript, title, svg, .vega-actions, option")) continue;
    const [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    count += 1;
    if (ratio < worst.ratio) Object.assign(worst, { ratio, text: e.textContent.slice(0, 40), tag: e.tagName });
  }
  return { ...worst, count };
}"""


_once = []


@pytest.fixture
def address(write_run, tmp_path):
    """One report for all tests of this module."""
    if not _once:
        run = write_run(M=4, skill=(0.4, 1.6))
        emofuse.open_run(run).fit("uniform", name="best", keep_all=True)
        assert emofuse.main(["report", str(run), "-o", str(tmp_path / "r.html")]) == 0
        _once.append((tmp_path / "r.html").as_uri())
    return _once[0]


def column(page, table, n):
    return page.eval_on_selector_all(
        f"#t-{table} tbody tr:not([hidden])", f"rows => rows.map((row) => row.cells[{n}].textContent.trim())"
    )


def test_nothing_is_told_on_the_console_and_nothing_is_asked(address):
    with browsing(address) as page:
        scrolled(page)
        assert page.said == [] and [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
        assert page.locator(".vega-embed svg.marks").count() == page.locator("[data-chart]").count() >= 6


def test_the_leaderboard_sorts_by_click_and_by_keyboard(address):
    with browsing(address) as page:
        names = [text.rstrip(" ↕↑↓") for text in page.locator("#t-leaderboard thead th").all_text_contents()]
        n = names.index("log-loss")
        button = page.locator(f"#t-leaderboard thead th:nth-child({n + 1}) button")
        button.click()
        values = [float(text) for text in column(page, "leaderboard", n)]
        assert values == sorted(values, reverse=True) and len(values) == 5
        button.press("Enter")
        values = [float(text) for text in column(page, "leaderboard", n)]
        assert values == sorted(values)
        assert page.locator("#t-leaderboard th[aria-sort]").get_attribute("aria-sort") == "ascending"
        page.locator("#t-leaderboard thead th:nth-child(1) button").focus()
        page.keyboard.press("Space")
        assert column(page, "leaderboard", 0) == sorted(column(page, "leaderboard", 0))


def test_tables_are_filtered_by_choice_and_by_text(address):
    with browsing(address) as page:
        bar = page.locator("#s-leaderboard .filters")
        bar.get_by_label("entry").select_option("e1")
        assert (
            set(column(page, "leaderboard", 1)) == {"e1"} and bar.get_by_role("status").text_content() == "2 of 5 rows"
        )
        bar.get_by_label("contains").fill("#2")
        assert column(page, "leaderboard", 0) == ["e1 #2"]
        clips = page.locator("#s-clips .filters")
        clips.get_by_label("true").select_option("a")
        clips.get_by_label("predicted").select_option("b")
        assert set(column(page, "clips", 2)) <= {"a"} and set(column(page, "clips", 3)) <= {"b"}


def test_a_member_opens_by_its_link(address):
    with browsing(address) as page:
        link = page.locator("#t-leaderboard tbody a").nth(2)
        target = link.get_attribute("href")
        link.focus()
        page.keyboard.press("Enter")
        until(page, f"document.querySelector('{target}').open")
        assert page.locator(f"{target} table").first.is_visible()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_two_confusions_are_chosen(address):
    with browsing(address) as page:
        panes = page.locator("#s-confusions .pane")
        assert panes.count() == 2 and "honest estimate" in panes.nth(0).locator("select").input_value()
        second = panes.nth(1).locator("select")
        other = second.locator("option").last.text_content()
        second.select_option(other)
        assert other.split(",")[0] in panes.nth(1).locator("caption").text_content()


def test_the_keyboard_reaches_everything_in_order(address):
    with browsing(address) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.tagName"))
        assert {"A", "BUTTON", "SELECT", "INPUT"} <= reached


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_is_enough_as_it_is_drawn(address, dark):
    with browsing(address, dark=dark) as page:
        page.evaluate("document.querySelectorAll('main details').forEach((d) => d.open = true)")
        worst = page.evaluate(_CONTRAST)
        assert worst["count"] > 800 and worst["ratio"] >= 4.5, worst


def test_a_phone_has_nothing_beside_the_screen(address):
    with browsing(address, width=390) as page:
        scrolled(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        sizes = page.eval_on_selector_all(
            ".plot svg text", "texts => texts.map((t) => t.getBoundingClientRect().height).filter((h) => h > 0)"
        )
        assert min(sizes) > 8, "the letters of pictures are legible"


def test_without_scripts_the_page_says_the_same(address):
    with browsing(address, scripts=False) as page:
        assert page.locator(".plot svg").count() == page.locator("[data-chart]").count()
        assert page.locator("#s-confusions .option").first.is_visible()
        assert page.locator("#t-leaderboard tbody tr").count() == 5


# Of an entry, its family and its hyperparameters, in the table that is widest.
_LONG_NAMES = """() => document.querySelectorAll("#t-leaderboard tbody tr").forEach((row) => {
  for (const n of [1, 2]) row.cells[n].textContent = "temporal_pooling_".repeat(4);
  row.cells[row.cells.length - 1].textContent = "batch_size=16, class_weights=balanced, dropout=0.5";
})"""


def test_print_opens_what_is_closed_and_cuts_nothing(address, tmp_path):
    with browsing(address, width=718) as page:
        scrolled(page)
        page.evaluate(_LONG_NAMES)
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
        wide = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth)"
        assert page.evaluate(f"{wide}.map((e) => e.ariaLabel)") == []
        assert page.locator("main details:not([open]):not(.vega-embed details)").count() == 0
        page.pdf(path=str(tmp_path / "r.pdf"), format="A4")
        pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "r.pdf").read_bytes()))
        assert pages > 3
