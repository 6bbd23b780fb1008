"""A thread that keeps a search's time, and stops running trials at their checkpoints when a budget is over."""

import math
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from models import pulse
from search.budget.purse import Purse
from search.budget.worked import Worked
from search.run.layout import STOP_MARKS, Layout
from search.run.remote import remote_of
from search.trial.heartbeats import FOLDER

_LOOK_S = 0.5
_WRITE_S = 5.0
# An epoch that runs may end; a trial that knows no epochs, or hangs, is not waited for any longer.
_GRACE_S = 60.0
# Object stores take money for being asked.
_ASK_EVERY_S = 10.0


class Clock:
    """While entered, the time is kept, and what runs over the budget of `purse` is told to stop.

    Workers learn of it by a file for each entry, or an object; `here` is the entry of the trial that runs in this
    process, if one does.
    """

    def __init__(self, run: Path, entries: Iterable[str], worked: Worked, purse: Purse):
        self._layout, self._entries, self._worked, self._purse = Layout(run), tuple(entries), worked, purse
        self._remote, self._asked_s = remote_of(run), -math.inf
        self._over = threading.Event()
        self._since_s: float | None = None
        self._told: set[str] = set()
        self._marks, self._whole_alone = threading.Lock(), False
        self.here: str | None = None

    def __enter__(self) -> "Clock":
        self._clear()
        self._worked.write()
        self._thread = threading.Thread(target=self._keep, name="budget", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._clear()
        self._worked.write()

    @property
    def overdue(self) -> bool:
        """The whole run's budget is over, and running trials had time enough to stop by themselves."""
        return self._since_s is not None and time.monotonic() - self._since_s > _GRACE_S

    @contextmanager
    def whole_alone(self) -> Iterator[None]:
        """While entered, what runs is no part of an entry's own budget: it stops with the whole run's alone."""
        with self._marks:
            self._whole_alone = True
            self._clear()
        try:
            yield
        finally:
            self._whole_alone = False

    def _keep(self) -> None:
        written = time.monotonic()
        while not self._over.wait(_LOOK_S):
            self._purse.seen(self._running())
            used_up = self._purse.used_up()
            if used_up is None:
                used_up = set(self._entries)
                self._since_s = self._since_s or time.monotonic()
            with self._marks:
                if self._whole_alone and self._since_s is None:
                    used_up = set()
                for entry in used_up - self._told:
                    self._tell(entry)
                if self.here in used_up:
                    pulse.ask_to_stop()
            if time.monotonic() - written > _WRITE_S:
                self._worked.write()
                written = time.monotonic()

    def _running(self) -> list[str]:
        """The keys of the trials that give a sign of life; of an object store only now and then."""
        if self._remote is None:
            return [path.stem for path in (self._layout.path / FOLDER).glob("[!.]*.json")]
        if not self._purse.limited or time.monotonic() - self._asked_s < _ASK_EVERY_S:
            return []
        self._asked_s = time.monotonic()
        with suppress(OSError):
            return [PurePath(name).stem for name in self._remote.marked(FOLDER)]
        return []

    def _tell(self, entry: str) -> None:
        with suppress(OSError):
            if self._remote is None:
                self._layout.stop_marks.mkdir(exist_ok=True)
                (self._layout.stop_marks / entry).touch()
            else:
                self._remote.mark(f"{STOP_MARKS}/{entry}")
            self._told.add(entry)

    def _clear(self) -> None:
        with suppress(OSError):
            if self._remote is None:
                shutil.rmtree(self._layout.stop_marks, ignore_errors=True)
            else:
                self._remote.delete(STOP_MARKS)
        self._told.clear()
