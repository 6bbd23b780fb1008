"""What the report shall show, with the element of a page that shows it, a line each; exit code 1 where one is absent.

    python benchmarks/page_elements.py REPORT.html [MORE.html ...]

An element is looked for in all the given pages (of runs of classes, of continuous emotion, of a paper's recipe), by
headless Chromium; what only some runs have is told as `other run` where none of the pages has it.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

_CHROMIUM = "/usr/bin/chromium"


class Wanted(NamedTuple):
    """A sentence, the selector of what shows it, and whether each run of classes has it."""

    what: str
    selector: str
    always: bool = True


WANTED = (
    Wanted("headline: ensemble, plain average, best single, with intervals", "#s-headline .tile"),
    Wanted("headline in one sentence, on held-out (nested) and on test", "#s-headline p.plain"),
    Wanted("a warning where the ensemble doesn't win", "#s-headline p.warn, #s-headline p.good"),
    Wanted("each part has one sentence that says what it shows", "section > p.says"),
    Wanted("leaderboard sorts", "#t-leaderboard thead button"),
    Wanted("leaderboard filters by family, entry, partition", "#s-leaderboard .filters select"),
    Wanted("leaderboard filters by text", "#s-leaderboard .filters input[type=search]"),
    Wanted("human names, the key on hover", "#t-leaderboard tbody a[title*='/']"),
    Wanted("intervals for members too", "#t-leaderboard tbody tr:not(.strong) td.num[data-sort]"),
    Wanted("every member opens its own section", "#s-members > details[id]"),
    Wanted("members: learning curves with the kept epoch", "#s-members svg.drawing .mark"),
    Wanted("members: confusion in counts and row percent, recall", "#s-members table.heat"),
    Wanted("members: hyperparameters and calibration", "#s-members table:not(.heat)"),
    Wanted("any two confusions side by side", "#s-confusions .pane select"),
    Wanted("weights model x class", "#s-ensemble table.heat"),
    Wanted("what each member adds, with interval", "[id^='t-adds-'] td[data-sort]"),
    Wanted("table of subsets", "[id^='t-subsets-'] tbody tr"),
    Wanted("agreement between members", "#s-agreement table.heat td"),
    Wanted("partitions against each other", "[data-chart^='partitions-']"),
    Wanted("search: history with ASHA's stops, best so far", "[data-chart='history']"),
    Wanted("search: fused score over time", "[data-chart='fused']"),
    Wanted("search: importance of hyperparameters", "#t-importance tbody tr"),
    Wanted("search: parallel coordinates", "[data-chart^='parallel-']"),
    Wanted("cost by stage and entry, failures", "#t-cost tbody tr"),
    Wanted("worth against time per clip", "[data-chart='latency']", always=False),
    Wanted("clips that every member gets wrong", "#s-clips h3"),
    Wanted("a thumbnail of each", "#s-clips img[alt]"),
    Wanted("probabilities of each member", "#s-clips details table.heat"),
    Wanted("table of clips, filtered by true and predicted class", "#s-clips .filters select"),
    Wanted("a sound player (--sound)", "#s-clips audio", always=False),
    Wanted("reliability diagram", "[data-chart='reliability']"),
    Wanted("risk over coverage", "[data-chart='coverage'], #t-passed"),
    Wanted("how the search stands", "#s-now .tile"),
    Wanted("failures with tracebacks", "#s-failures details pre", always=False),
    Wanted("the paper's tables beside ours", "[id^='t-paper-']", always=False),
    Wanted("continuous: gold and predicted traces with zoom", "[data-chart^='trace-']", always=False),
    Wanted("continuous: CCC per recording", "#t-recordings tbody tr", always=False),
    Wanted("continuous: ensemble, plain average, best single, in one sentence", "#s-continuous p.plain", always=False),
    Wanted("continuous: the same by dimension, with intervals", "#t-continuous tbody td[data-sort]", always=False),
    Wanted("continuous: every member opens its own section", "#s-over-time-members > details[id]", always=False),
    Wanted("how to reproduce: commands, versions, seeds, recipe", "#s-reproduce pre"),
    Wanted("tables have captions", "table caption"),
    Wanted("headers have a scope", "th[scope]"),
    Wanted("pictures have words", ".plot[role=img][aria-label], svg[role=img][aria-label]"),
    Wanted("a picture answers to the pointer", ".vega-embed svg.marks"),
    Wanted("a link past the contents for the keyboard", "a.skip"),
)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", nargs="+", type=Path)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    absent = 0
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        shown = []
        for path in asked.pages:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(path.resolve().as_uri())
            for y in range(0, page.evaluate("document.body.scrollHeight"), 600):
                page.evaluate(f"scrollTo(0, {y})")
                page.wait_for_timeout(50)
            page.wait_for_timeout(500)
            shown.append(page)
        width = max(len(wanted.what) for wanted in WANTED)
        for wanted in WANTED:
            counts = [page.locator(wanted.selector).count() for page in shown]
            found = next((path.name for path, n in zip(asked.pages, counts, strict=True) if n), "")
            absent += wanted.always and not found
            told = f"{sum(counts):>6} in {found}" if found else ("ABSENT" if wanted.always else "other run")
            print(f"{wanted.what:<{width}}  {wanted.selector:<58}  {told}")
        browser.close()
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
