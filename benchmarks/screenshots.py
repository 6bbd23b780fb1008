"""Pictures of the report and the live page for the documentation, taken in headless Chromium.

    python benchmarks/screenshots.py DEMO [-o docs/images]

DEMO is a folder that `emofuse demo` made. The report of its run is taken on a desktop, on a phone, in the dark and as
it is printed; for the live page the demo's search is started again in a temporary folder, and taken in the middle.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

_CHROMIUM = "/usr/bin/chromium"
_QUALITY = 80
_DESK, _PHONE = {"width": 1280, "height": 1000}, {"width": 390, "height": 844}


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("demo", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/images"))
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        report = Path(scratch) / "report.html"
        subprocess.run(
            [sys.executable, "-m", "emofuse", "report", asked.demo / "run", "-o", report, "--test"], check=True
        )
        take(browser, report.as_uri(), asked.out / "report.webp", _DESK, height=2000)
        take(browser, report.as_uri(), asked.out / "report-phone.webp", _PHONE, height=1700, scale=1.5)
        take(
            browser,
            report.as_uri(),
            asked.out / "report-dark.webp",
            _DESK,
            dark=True,
            start="#s-confusions",
            height=1700,
        )
        take(
            browser,
            report.as_uri(),
            asked.out / "report-print.webp",
            {"width": 718, "height": 1000},
            printed=True,
            height=1500,
        )
        take_live(browser, asked.demo, Path(scratch) / "live", asked.out / "live.webp")
        browser.close()


def take(
    browser: Any,
    address: str,
    out: Path,
    size: dict[str, int],
    *,
    height: int,
    start: str = "h1",
    dark: bool = False,
    printed: bool = False,
    scale: float = 1.0,
) -> None:
    """One picture of the page from the element `start` on, `height` pixels of it."""
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", device_scale_factor=scale)
    page = context.new_page()
    page.goto(address)
    for y in range(0, page.evaluate("document.body.scrollHeight"), 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(60)
    if printed:
        page.emulate_media(media="print")
    page.wait_for_timeout(1000)
    top = max(0, page.evaluate(f"document.querySelector('{start}').getBoundingClientRect().top + scrollY - 30"))
    save(page, out, top, size["width"], height)
    context.close()


def save(page: Any, out: Path, top: float, width: int, height: int) -> None:
    """Write a part of the page as WebP."""
    page.evaluate("scrollTo(0, 0)")
    height = min(height, int(page.evaluate("document.body.scrollHeight") - top))
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(path=file.name, full_page=True, clip={"x": 0, "y": top, "width": width, "height": height})
        Image.open(file.name).save(out, quality=_QUALITY, method=6)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB", flush=True)


def take_live(browser: Any, demo: Path, run: Path, out: Path) -> None:
    """Search again, and take the live page once some trials have ended and others run."""
    emofuse = [sys.executable, "-m", "emofuse"]
    given = ["--clips", demo / "clips.parquet", "--store", demo / "store", "--stills", demo / "stills.parquet"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Longer than the demo's own, which are over before the page has been looked at.
    recipe = run.with_suffix(".yaml")
    longer = re.sub(
        r"max_epochs: ([34]0)\b", lambda found: f"max_epochs: {10 * int(found[1])}", (demo / "recipe.yaml").read_text()
    )
    recipe.write_text(longer.replace("asha: {grace_epochs: 8, reduction: 3}", "asha: null"))
    search = subprocess.Popen([*emofuse, "search", "run", recipe, *given, "-o", run], **quiet)  # type: ignore[call-overload]
    while not (run / "study.journal").exists():
        time.sleep(0.5)
    shown = subprocess.Popen([*emofuse, "search", "dashboard", run, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert shown.stdout is not None
        (address,) = re.findall(r"http\S+", shown.stdout.readline())
        page = browser.new_page(viewport=_DESK)
        page.goto(address)
        until_s = time.monotonic() + 600
        rows = "document.querySelectorAll('#t-{} tbody tr').length"
        ready = f"{rows.format('latest')} >= 8 && {rows.format('running')} >= 1"
        while not page.evaluate(ready):
            if search.poll() is not None or time.monotonic() > until_s:
                raise SystemExit("expected a page with eight ended trials and a running one, but the search is over.")
            page.wait_for_timeout(200)
        save(page, out, 0, _DESK["width"], 1500)
    finally:
        for process in (shown, search):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(60)


if __name__ == "__main__":
    main()
