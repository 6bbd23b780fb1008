"""The pulse of a training: every batch, fold and epoch is a beat, so that who watches can tell slow from stuck."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []


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
