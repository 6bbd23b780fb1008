"""How large the report is, and how quick the live page, of runs with very many trials.

    python benchmarks/pages.py [--trials 1000 10000] [--clips 383] [--run FOLDER]

Of each number of trials: the report's size and time; of the live page how long the first look takes, one where a trial
has ended since and one where predictions were read again, what the server needs for a page and for an update, and when
headless Chromium first paints (where it is installed). Files are made in a temporary folder, or in FOLDER, where they
stay.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from scale import CLASSES, write_all, write_models

from ensembles.live.refresh import Live
from ensembles.live.server import LivePage, serve_live
from ensembles.report import write_report

_TIMES = 20


def describe(run: Path, trials: int) -> None:
    """A run.json that asks for these trials and a few more."""
    plan = [
        {
            "stage": "clips",
            "entry": f"entry{n}",
            "family": f"entry{n}",
            "configurations": trials // 10 + 1,
            "partitions": ["train"],
        }
        for n in range(10)
    ]
    text = {
        "recipe": {"name": "made up", "seed": 0},
        "plan": plan,
        "clips": str(run / "clips.parquet"),
        "store": str(run),
    }
    (run / "run.json").write_text(json.dumps(text), encoding="utf-8")


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock and of this process."""
    start, busy = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - start, time.process_time() - busy


def first_paint(address: str) -> float | None:
    """Seconds from opening the page to its first contentful paint; None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if not Path("/usr/bin/chromium").exists():
        return None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
        found = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        browser.close()
    return float(found) / 1000


def measure_live(run: Path, trials: int, clips: int) -> None:
    """Print what a look and a request take."""
    live = Live(run)
    print(f"  live page, first look: {timed(live.refresh)[0]:.2f} s", flush=True)
    looks = [timed(live.refresh) for _ in range(5)]
    print(
        f"  a look without new predictions: {statistics.median(s for _, s in looks):.2f} s of a processor", flush=True
    )
    write_models(run, trials, trials + 1, clips)
    print(f"  a look that finds a trial more: {timed(live.refresh)[1]:.2f} s of a processor", flush=True)
    app = LivePage(live)
    marks = "&".join(f"{one.key}={one.mark}" for one in live.state.sections)
    for name, path, query in (
        ("the whole page", "/", ""),
        ("an update of all", "/update", ""),
        ("an update of none", "/update", marks),
    ):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query}
        size = sum(map(len, app(environ, lambda *_: None)))
        took = max(timed(lambda e=environ: app(e, lambda *_: None))[0] for _ in range(_TIMES))  # type: ignore[misc]
        print(f"  {name}: {1000 * took:.1f} ms at most of {_TIMES}, {size / 1e6:.2f} MB", flush=True)
    address, close = serve_live(app, "127.0.0.1", 0, "t")
    painted = [first_paint(address) for _ in range(3)]
    if painted[0] is not None:
        print(f"  first paint: {', '.join(f'{s:.2f} s' for s in painted)}", flush=True)
    close()


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--clips", type=int, default=383)
    parser.add_argument("--run", type=Path, help="keep the files there, in a folder for each number")
    asked = parser.parse_args()
    for trials in asked.trials:
        with nullcontext(asked.run) if asked.run else tempfile.TemporaryDirectory() as name:
            run = Path(name) / str(trials)
            if not run.is_dir():
                run.mkdir(parents=True)
                write_all(run, trials, asked.clips)
                describe(run, trials)
                time.sleep(2.1)  # the youngest files are left out of the cache
            print(f"{trials:,} trials x {asked.clips} clips x {len(CLASSES)} classes", flush=True)
            out = run / "report.html"
            took = timed(lambda run=run, out=out: write_report(run, out))[0]  # type: ignore[misc]
            print(f"  report: {out.stat().st_size / 1e6:.2f} MB in {took:.1f} s", flush=True)
            measure_live(run, trials, asked.clips)


if __name__ == "__main__":
    main()
