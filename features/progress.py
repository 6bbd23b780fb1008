"""Progress of long work: a bar on a terminal, one plain line per event elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from features import terminal
from features.masking import masked

console = terminal.console(stderr=True, wide=None)


def say(text: str) -> None:
    """One line about the work, on stderr, so that stdout holds results only; credentials in URIs are masked."""
    console.print(masked(text), soft_wrap=True)


@cache
def say_once(text: str) -> None:
    """`say`, unless this process said it before: what is found again each time that a run is looked at."""
    say(text)


class Counter:
    """Counts finished pieces of work; `advance` after each."""

    def __init__(self, what: str, total: int, bar: Progress | None, every_s: float, estimate: bool = False):
        self.what, self.total, self.done, self.every_s, self._estimate = what, total, 0, every_s, estimate
        self._bar, self._started, self._said = bar, time.monotonic(), time.monotonic()
        self._task = bar.add_task(what, total=total, note="") if bar else None

    def advance(self, count: int = 1, note: str = "") -> None:
        """Tell that `count` more pieces are done; `note` is shown beside the count."""
        self.done += count
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count, note=note)
            return
        now = time.monotonic()
        if now - self._said >= self.every_s or self.done >= self.total:
            self._said = now
            took_s = now - self._started
            note = f", {note}" if note else ""
            if self._estimate and self.done < self.total:
                note = f", about {duration(took_s / self.done * (self.total - self.done))} left{note}"
            say(f"{self.what}: {self.done} of {self.total} after {took_s:.0f} s{note}")


def counted(number: int, noun: str) -> str:
    """`1 trial`, `2,400 trials`."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


@contextmanager
def progress(what: str, total: int, every_s: float = 10.0, estimate: bool = False) -> Iterator[Counter]:
    """A counter for `total` pieces of work: a rich bar on a terminal, else a line every `every_s` seconds.

    With `estimate` such a line tells how long the rest takes, as the bar does anyway.
    """
    if not sys.stderr.isatty():
        yield Counter(what, total, None, every_s, estimate)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        yield Counter(what, total, bar, every_s)
