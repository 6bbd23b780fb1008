"""What files are read from: a folder on disk, or one whose bytes are checked before anybody parses them."""

from typing import Protocol


class Readable(Protocol):
    """A file or a folder; `pathlib.Path` is one. Its text is what errors call it."""

    def __truediv__(self, name: str, /) -> "Readable":
        """What lies under that name in this folder."""
        ...

    def is_file(self) -> bool:
        """Whether there is a file."""
        ...

    def read_bytes(self) -> bytes:
        """The whole file; FileNotFoundError where there is none."""
        ...
