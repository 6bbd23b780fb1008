"""Ctrl-C, SIGTERM and what else ends a search early: running trials keep a checkpoint first; a second signal stops now.

Workers, on whatever host, learn of it by a file in the run's folder, or an object.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from features.errors import EmofuseError
from features.progress import say
from models import pulse
from search.run.layout import EVERY, STOP_MARKS, Layout
from search.run.remote import Remote, remote_of

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A signal to the whole process group (a batch system's) strikes Ray's own processes too, and Ray then waits for them.
GRACE_S = 20.0


class _Terminated(BaseException):
    """Raised where SIGTERM struck; no Exception, so that a trial does not count as failed."""


class Interrupts:
    """While entered, signals stop the search on `run`: at once, or inside `deferred` after the running epochs.

    Leaving turns Ctrl-C into KeyboardInterrupt and SIGTERM into an EmofuseError. What still works after `GRACE_S` is
    left by ending the process, or where that is someone else's (`embedded`: a notebook's kernel) by a second signal.
    """

    def __init__(self, run: Path, embedded: bool = False) -> None:
        self._file, self._embedded, self._remote = Layout(run).stop_file, embedded, remote_of(run)
        self._requested: int | None = None
        self._reason: EmofuseError | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> "Interrupts":
        self._clear()
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            self.install()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._clear()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, _Terminated):
            raise EmofuseError("Stopped by SIGTERM; the same command goes on where this one stopped.") from None

    @property
    def stopping(self) -> bool:
        """The search shall end now."""
        return self._requested is not None or self._reason is not None

    def install(self) -> None:
        """Handle the signals here, also after a library took them over."""
        for number in self._before:
            signal.signal(number, self._handle)

    def give_up(self, reason: EmofuseError) -> None:
        """End the search as a signal does, for this reason; the first one counts."""
        if not self._deferred:
            raise reason
        if not self.stopping:
            self._reason = reason
            self._stop(1, str(reason))

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """The first signal only asks to stop; it is acted on when the block ends, after `GRACE_S` at the latest."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self._requested is not None:
            self._raise(self._requested)
        if self._reason is not None:
            raise self._reason

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferred and not self.stopping:
            self._requested = number
            say(
                "Stopping when the running epochs are done; the same command goes on where this one stopped. Once more "
                "stops at once."
            )
            self._stop(130 if number == signal.SIGINT else 1, "Left in the middle of an epoch.")
            return
        self._raise(number)

    def _stop(self, code: int, last_words: str) -> None:
        pulse.ask_to_stop()
        with suppress(OSError):  # the disk may be what it stops for
            self._file.touch()
        if self._remote is not None:  # which may be slow, and this may be a signal's handler
            threading.Thread(target=self._mark, args=(self._remote,), name="stop-mark", daemon=True).start()

        def leave() -> None:
            # Nothing is lost by leaving in the middle: every file is whole or absent.
            say(f"emofuse: {last_words}")
            if self._embedded:
                # A real signal, which also ends a wait inside the system.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                os._exit(code)

        self._watchdog = threading.Timer(GRACE_S, leave)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _clear(self) -> None:
        pulse.forget_stop()
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            if self._remote is not None:
                self._remote.delete(STOP_MARKS)

    @staticmethod
    def _mark(remote: Remote) -> None:
        with suppress(OSError):
            remote.mark(f"{STOP_MARKS}/{EVERY}")

    @staticmethod
    def _raise(number: int) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else _Terminated
