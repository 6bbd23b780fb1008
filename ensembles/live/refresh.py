"""The sections of a run that goes on, made again whenever its files change.

A look takes a little at every change (how trials ended, what runs now), and more where there are new predictions or
ensembles: these are read again after a pause that grows with what reading took, so that watching stays cheap.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ensembles.report.blocks import Section
from ensembles.report.gather import Page, gather, gather_state
from ensembles.report.page import STATE, all_sections, subtitle
from ensembles.report.render import section_html, specs
from features.disk.stores import in_a_line
from features.errors import EmofuseError
from features.progress import say_once
from search.run.predictions import prediction_names
from search.run.remote import remote_of

EVERY_S = 1.5
_MOST = 60  # members in full: a page that is sent again and again is smaller than a report
_REST = 4.0  # times what reading predictions took
_QUIET_S = 5.0  # signs of life of running trials are written so often


@dataclass(frozen=True)
class Shown:
    """A section as it is sent; `mark` tells one state of it from another."""

    key: str
    title: str
    html: str
    specs: Mapping[str, Any]
    mark: str


@dataclass(frozen=True)
class State:
    """The whole page at a time; `trouble` is why it is not as of now."""

    title: str = ""
    subtitle: str = ""
    sections: tuple[Shown, ...] = ()
    running: bool = False
    at_s: float = 0.0
    trouble: str = ""

    def newer(self, known: Mapping[str, str]) -> dict[str, Any]:
        """What a browser lacks that has the sections `known`, key and mark."""
        fresh = [one for one in self.sections if known.get(one.key) != one.mark]
        told = [{"key": s.key, "title": s.title, "html": s.html, "specs": s.specs, "mark": s.mark} for s in fresh]
        order = [one.key for one in self.sections]
        facts = {"subtitle": self.subtitle, "running": self.running, "at_s": self.at_s, "trouble": self.trouble}
        return {"sections": told, "order": order, **facts}


@dataclass
class _Read:
    """The last reading of predictions: of which files and ensembles, how long it took, and when it ended."""

    page: Page
    files: tuple[object, ...]
    took_s: float
    at_s: float
    sections: dict[str, Shown] = field(default_factory=dict)


class Live:
    """The state of a run, kept up to date by a thread of its own."""

    def __init__(self, run: Path, each: Callable[[], None] = lambda: None):
        """`each` is called at every look, for what else lives by the run's files."""
        self.run, self._each = run, each
        self.state = State()
        self._read: _Read | None = None
        self._touched: tuple[object, ...] = ()
        self._looked_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live page", daemon=True)

    def start(self) -> None:
        """Make the first state, then go on in the background."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """No more looks."""
        self._over.set()

    def refresh(self, *, always: bool = True, rested: bool = False) -> None:
        """Look at the files once; not `always` leaves it where nothing was added or removed of late.

        `rested` reads new predictions without the pause that they get else.
        """
        touched, now_s = _touched(self.run), time.monotonic()
        if not always and touched == self._touched and now_s - self._looked_s < _QUIET_S:
            return
        self._touched, self._looked_s = touched, now_s
        files = _files(self.run)
        read = self._read
        rested = rested or read is None or time.monotonic() - read.at_s >= _REST * read.took_s
        whole = read is None or (files != read.files and rested)
        if whole:
            start = time.monotonic()
            page = gather(self.run, fast=True, most=_MOST, pictures=False)
        else:
            assert read is not None
            page = gather_state(read.page)
        sections = all_sections(page, state_only=not whole)
        made = {section.key: _made(section) for section in sections}
        if whole:
            self._read = _Read(page, files, time.monotonic() - start, time.monotonic(), made)
        else:
            assert read is not None
            # What is made of predictions stays as it was made.
            made = {**{key: old for key, old in read.sections.items() if key not in STATE}, **made}
        order = [key for key in page_order(page, made)]
        running = page.status is not None and page.status.running
        self.state = State(page.title, subtitle(page), tuple(made[key] for key in order), running, time.time())

    def look(self) -> None:
        """Fetch what is new where the run lies on an object store, and look at the files; what fails is `trouble`."""
        try:
            if (remote := remote_of(self.run)) is not None:
                remote.follow()
            self.refresh(always=False)
            self._each()
        except (EmofuseError, OSError) as error:  # a file that is written just now, a store that is away
            trouble = in_a_line(error)
            say_once(f"The page stays as it was: {trouble}")
        else:
            trouble = ""
        if trouble != self.state.trouble:
            self.state = replace(self.state, trouble=trouble)

    def _follow(self) -> None:
        while not self._over.wait(EVERY_S):
            self.look()


def page_order(page: Page, made: Mapping[str, Shown]) -> list[str]:
    """The keys of the sections in the order of the page: what changes stands first."""
    first = ("now", "failures", "headline", "continuous", "history", "fused")
    return [key for key in first if key in made] + [key for key in made if key not in first]


def _made(section: Section) -> Shown:
    html = section_html(section)
    drawn = specs([section])
    mark = hashlib.sha256((html + json.dumps(drawn, sort_keys=True)).encode()).hexdigest()[:12]
    return Shown(section.key, section.title, html, drawn, mark)


def _touched(run: Path) -> tuple[object, ...]:
    """What changes when a trial begins or ends, or an ensemble is fitted."""
    folders = [*(run / "predictions").glob("family=*"), *(run / name for name in ("trials", "running", "asked.jsonl"))]
    return (*(_changed_ns(path) for path in folders), _files(run))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _files(run: Path) -> tuple[object, ...]:
    """What changes with predictions and ensembles."""
    ensembles = tuple(
        sorted((p.parent.name, p.stat().st_mtime_ns) for p in (run / "ensembles").glob("*/ensemble.json"))
    )
    return (len(prediction_names(run)), ensembles)
