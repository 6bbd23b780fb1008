"""A trial that hangs ends its own process, and its end is on record: nothing outside can tell it from a slow one.

A thread looks whether the training still beats, and whether the search is stopping. When native code sits on the
interpreter's lock, no thread of Python's runs any more: then faulthandler's own timer writes the traceback and leaves,
and the next attempt makes the record.
"""

import faulthandler
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from features.progress import say
from models import pulse
from search.run.ending import Ending, ended_outcome
from search.run.layout import Layout, Outcome
from search.run.spec import TrialSpec

# Storage that hangs must not keep the process from leaving.
_LAST_WORDS_S = 30.0
_active: "list[_Watchdog]" = []
# What to do once a hanging trial is on record, before its process ends.
last_words: list[Callable[[], None]] = []


@contextmanager
def watched(spec: TrialSpec) -> Iterator[None]:
    """End this process with the outcome `hung` when the trial stands still for `stall_s` or takes `time_limit_s`."""
    if spec.stall_s is None and spec.time_limit_s is None:
        yield
        return
    dog = _Watchdog(spec)
    _active.append(dog)
    try:
        with pulse.heard(dog.beat):
            yield
    finally:
        _active.remove(dog)
        dog.stop()


@contextmanager
def waiting() -> Iterator[None]:
    """The time in here is somebody else's: it counts as a beat when it is over."""
    for dog in _active:
        dog.waiting = True
    try:
        yield
    finally:
        for dog in _active:
            dog.beat()
            dog.waiting = False


def found_hung(spec: TrialSpec) -> str | None:
    """The traceback that faulthandler's timer left of an earlier attempt; None when there is none."""
    path = _backstop(spec)
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8", errors="replace") or None
    return None


def record_hung(spec: TrialSpec, trace: str, what: str, wall_s: float = 0.0) -> Outcome:
    """Put on record that the trial hung, as `what` tells, after `wall_s`."""
    outcome = ended_outcome(spec, Ending("failed", wall_s=wall_s, reason=f"hung: {what}", kind="hung"))
    layout = Layout(Path(spec.run))
    layout.write_outcome(outcome, trace)
    layout.drop_checkpoint(spec.trial_key)
    _backstop(spec).unlink(missing_ok=True)
    return outcome


def clear_hung(run: Path) -> list[str]:
    """Remove the files of killed processes that tell of no hanging trial any more; returns the trials' keys.

    What faulthandler wrote is kept until the trial's next attempt has read it, or its end is on record.
    """
    layout, cleared = Layout(run), []
    for path in (run / "trials").glob(".*.hung"):
        key = path.name[1 : -len(".hung")]
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by a watchdog that lives
            found = path.stat()
            told = found.st_size and layout.outcome(key) is None and key not in layout.finished()
            if found.st_uid == os.geteuid() and not told:
                path.unlink()
                cleared.append(key)
    return cleared


def held_the_lock(spec: TrialSpec) -> str:
    """The clause for a trial whose process could not even look at itself."""
    return f"native code held Python's lock for {_backstop_s(spec):g} s"


def _backstop_s(spec: TrialSpec) -> float:
    # A machine that is too busy to run the thread in time is no hang.
    return 2 * _limit_s(spec)


def _limit_s(spec: TrialSpec) -> float:
    return min(limit for limit in (spec.stall_s, spec.time_limit_s) if limit is not None)


def _backstop(spec: TrialSpec) -> Path:
    return Path(spec.run) / "trials" / f".{spec.trial_key}.hung"


class _Watchdog:
    def __init__(self, spec: TrialSpec):
        self._spec = spec
        self._started = self._beaten = time.monotonic()
        self.waiting = False
        self._over, self._lock = threading.Event(), threading.Lock()
        self._file = self._open()
        self._rearm()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """The trial goes on."""
        self._beaten = time.monotonic()

    def stop(self) -> None:
        """The trial is over."""
        with self._lock:
            self._over.set()
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        _backstop(self._spec).unlink(missing_ok=True)

    def _open(self) -> IO[str]:
        path = _backstop(self._spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def _rearm(self) -> None:
        faulthandler.dump_traceback_later(_backstop_s(self._spec), exit=True, file=self._file)

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, _limit_s(self._spec) / 4)):
            with self._lock:
                if self._over.is_set():
                    return
                self._rearm()
                layout = Layout(Path(self._spec.run))
                if layout.stop_file.exists() or (layout.stop_marks / self._spec.entry).exists():
                    pulse.ask_to_stop()
                what = self._expired()
                if what is not None:
                    self._leave(what)

    def _expired(self) -> str | None:
        now, spec = time.monotonic(), self._spec
        if spec.stall_s is not None and not self.waiting and now - self._beaten > spec.stall_s:
            return f"no batch or epoch finished for {spec.stall_s:g} s (stall_s under the entry's resources)"
        if spec.time_limit_s is not None and now - self._started > spec.time_limit_s:
            return f"not finished after {spec.time_limit_s:g} s (time_limit_s under the entry's resources)"
        return None

    def _leave(self, what: str) -> None:
        timer = threading.Timer(_LAST_WORDS_S, os._exit, (1,))
        timer.daemon = True
        timer.start()
        faulthandler.cancel_dump_traceback_later()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            outcome = record_hung(self._spec, file.read(), what, round(time.monotonic() - self._started, 3))
        for action in last_words:
            action()
        say(f"{self._spec}: {outcome.reason}; its process ends here, the same command goes on with the next trial")
        os._exit(1)
