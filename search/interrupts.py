"""Ctrl-C and SIGTERM during a search: finish what is being written, then stop; a second signal stops at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from features.errors import EmofuseError
from features.progress import say

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A signal to the whole process group (a batch system's) strikes Ray's own processes too, and Ray then waits for them.
GRACE_S = 20.0


class _Terminated(BaseException):
    """Raised where SIGTERM struck; no Exception, so that a trial does not count as failed."""


class Interrupts:
    """While entered, signals stop the search: at once, or inside `deferred` by setting `requested`.

    Leaving turns Ctrl-C into KeyboardInterrupt and SIGTERM into an EmofuseError.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            self.install()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, _Terminated):
            raise EmofuseError("Stopped by SIGTERM; the same command goes on where this one stopped.") from None

    def install(self) -> None:
        """Handle the signals here, also after a library took them over."""
        for number in self._before:
            signal.signal(number, self._handle)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """The first signal only sets `requested`; it is acted on when the block ends, after `GRACE_S` at the latest."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested is not None:
            self._raise(self.requested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferred and self.requested is None:
            self.requested = number
            say("Stopping; the same command goes on where this one stopped. Once more stops at once.")
            # Nothing is lost by leaving in the middle: every file is whole or absent.
            self._watchdog = threading.Timer(GRACE_S, os._exit, (130 if number == signal.SIGINT else 1,))
            self._watchdog.daemon = True
            self._watchdog.start()
            return
        self._raise(number)

    @staticmethod
    def _raise(number: int) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else _Terminated
