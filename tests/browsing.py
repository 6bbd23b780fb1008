"""Pages in headless Chromium, for the tests that carry the marker `browser`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def browsing(address: str, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> Iterator[Any]:
    """A page that is open at `address`; `page.said` is what its console tells, `page.asked` what it fetches."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        yield page
        browser.close()


def until(page: Any, script: str, seconds: float = 5.0) -> None:
    """Wait until the script is true, at most so many seconds; a page's policy forbids it to wait itself."""
    end_s = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < end_s, f"not within {seconds} s: {script}"
        page.wait_for_timeout(50)


def scrolled(page: Any, seconds: float = 30.0) -> None:
    """Go through the page, so that all pictures are drawn; again where a live one has brought new ones meanwhile."""
    end_s = time.monotonic() + seconds
    missing = "[...document.querySelectorAll('.plot')].filter((p) => !p.querySelector('svg')).map((p) => p.ariaLabel)"
    left = ["everything"]
    while left:
        assert time.monotonic() < end_s, f"seen, but not drawn within {seconds} s: {left}"
        for y in range(0, page.evaluate("document.body.scrollHeight"), 600):
            page.evaluate(f"scrollTo(0, {y})")
            page.wait_for_timeout(50)
        page.wait_for_timeout(500)
        left = page.evaluate(missing)
    page.evaluate("scrollTo(0, 0)")
