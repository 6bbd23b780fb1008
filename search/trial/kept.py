"""What the trials of one process read again and again, kept open as long as its files are unchanged."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_Stamp = tuple[int, int, int]


class Kept(Generic[T]):
    """The last `size` things that were made from files; `files(thing)` are those that it came from."""

    def __init__(self, size: int, files: Callable[[T], Sequence[Path]]):
        self._size, self._files = size, files
        self._found: OrderedDict[Hashable, tuple[T, list[_Stamp | None]]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was kept under `key`, or else what `make` gives."""
        if key in self._found:
            thing, stamps = self._found[key]
            if stamps == self._stamps(thing):
                self._found.move_to_end(key)
                return thing
        thing = make()
        self._found[key] = thing, self._stamps(thing)
        if len(self._found) > self._size:
            self._found.popitem(last=False)
        return thing

    def _stamps(self, thing: T) -> list[_Stamp | None]:
        return [_stamp(path) for path in self._files(thing)]


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
