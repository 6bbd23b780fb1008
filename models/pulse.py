"""The pulse of a training: every batch, fold and epoch is a beat, so that who watches can tell slow from stuck.

The other way round, a training hears here that it shall stop: it ends its epoch and writes its checkpoint first.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []
_stop = threading.Event()


class Stopped(BaseException):
    """Training stopped after an epoch, as it was told to; no Exception, so that a trial does not count as failed."""


def beat() -> None:
    """Tell that the work goes on."""
    for listener in _listeners:
        listener()


@contextmanager
def heard(listener: Callable[[], None]) -> Iterator[None]:
    """Call `listener` at every beat of this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def ask_to_stop() -> None:
    """Let the trainings of this process raise `Stopped` once their checkpoint is written."""
    _stop.set()


def forget_stop() -> None:
    """Let trainings go on to their end again."""
    _stop.clear()


def asked_to_stop() -> bool:
    """Whether training shall stop."""
    return _stop.is_set()
