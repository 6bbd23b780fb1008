"""A thread that says, while a search runs, how many trials are left and when they will be done."""

import threading
import time
from contextlib import suppress
from pathlib import Path

from features.errors import EmofuseError
from features.progress import counted, say
from search.budget.left import left_by_entry, standings
from search.budget.pace import SILENT_S, Pace, measure
from search.budget.told import read_books
from search.goal.history import had_enough
from search.run.ended import Ended, read_ended
from search.run.planned import read_asked, read_no_gain, read_plan
from search.run.remote import remote_of
from search.trial.heartbeats import FOLDER, read_running, read_search

# A line for each minute at first, for each half hour of a day's search; where nothing ends, for ten minutes at least.
FIRST_S, EVERY_S = 30.0, 60.0
_PART, _QUIET_S = 30, 600.0


class Forecast:
    """While entered, a line now and then; none before a trial has ended, as nothing is known by then.

    It counts from what it is told of, since the files of a run on an object store lie there.
    """

    def __init__(self, run: Path):
        self._run = run
        self._ended: dict[str, Ended | None] = {}
        self._earlier: dict[str, Ended] | None = None
        self._news = self._over = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._keep, name="forecast", daemon=True)

    def __enter__(self) -> "Forecast":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._wake:
            self._over = True
            self._wake.notify()
        self._thread.join()

    def note(self, trial: Ended) -> None:
        """A trial ended."""
        with self._wake:
            self._ended[trial.trial_key], self._news = trial._replace(at_s=time.time()), True

    def forget(self, trial_key: str) -> None:
        """A trial that was stopped goes on."""
        with self._wake:
            self._ended[trial_key] = None

    def line(self) -> str:
        """How far the search is, and how far it has to go; empty while that is unknown, or nothing is left."""
        now_s, search = time.time(), read_search(self._run)
        if search is None or (search.heard_s is not None and now_s - search.heard_s > SILENT_S):
            return ""
        if (remote := remote_of(self._run)) is not None:
            remote.pull(FOLDER)
        if self._earlier is None:
            self._earlier = {trial.trial_key: trial for trial in read_ended(self._run)}
        with self._wake:
            ended = [trial for trial in {**self._earlier, **self._ended}.values() if trial is not None]
        over = {trial.trial_key for trial in ended}
        beats = [beat for beat in read_running(self._run) if beat.trial_key not in over]
        enough = had_enough(self._run)
        counted = standings(read_plan(self._run)[0], ended, read_asked(self._run), enough)
        left = left_by_entry(counted, enough)
        sooner = read_no_gain(self._run) is not None
        pace = measure(ended, beats, left, search.started_s, now_s, read_books(self._run, ended), sooner)
        return _told(pace, round(sum(left.values())))

    def _keep(self) -> None:
        began_s = said_s = time.monotonic()
        wait_s = FIRST_S
        while self._sleeps(wait_s):
            now_s = time.monotonic()
            wait_s = max(EVERY_S, (now_s - began_s) / _PART)
            # Telling must not end a search: a store that can't be reached now is told by who needs it.
            with suppress(OSError, EmofuseError):
                if self._news or now_s - said_s >= _QUIET_S:
                    self._news, said_s = False, now_s
                    if text := self.line():
                        say(f"{time.strftime('%H:%M:%S')}  {text}")

    def _sleeps(self, seconds: float) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._over, seconds)
            return not self._over


def _told(pace: Pace | None, left: int) -> str:
    if pace is None or pace.left_s is None or not left:
        return ""
    return f"{counted(left, 'trial')} {'are' if left != 1 else 'is'} left, {pace}"
