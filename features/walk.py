"""The files below a folder that people filled: without what systems leave there, and each real folder once."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import EmofuseError

# In lower case; what begins with a dot (`.ipynb_checkpoints`, `.DS_Store`, `._a.wav`) or `~$` is passed over too.
_NAMES = """__macosx @eadir @tmp @recycle #recycle #snapshot $recycle.bin recycler recycled lost+found lost.dir
    found.000 thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini autorun.inf __pycache__"""
_LONG_NAMES = ("system volume information", "network trash folder", "temporary items", "icon\r")
_SYSTEM = frozenset((*_NAMES.split(), *_LONG_NAMES))


@dataclass(frozen=True)
class Walk:
    """`files` sorted by path, and what was passed over: names of hidden and system files and folders, and links.

    `again` are links to folders that are read under their own name, or that hold the root; `broken` lead nowhere.
    """

    files: tuple[Path, ...]
    hidden: Counter[str] = field(default_factory=Counter)
    again: tuple[Path, ...] = ()
    broken: tuple[Path, ...] = ()

    def passed_over(self) -> list[str]:
        """What was passed over beside files, in words."""
        told = []
        if self.hidden:
            names = ", ".join(name for name, _ in self.hidden.most_common(3)) + ", ..." * (len(self.hidden) > 3)
            told.append(f"{self.hidden.total()} hidden or system names ({names})")
        for links, what in ((self.again, "to folders that are read already"), (self.broken, "that lead nowhere")):
            if links:
                told.append(f"{len(links)} link{'s' * (len(links) > 1)} {what} ({links[0]})")
        return told


def is_system(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or a system's own."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM


def walk(root: Path, expected: str) -> Walk:
    """All files below `root`, links followed; no such folder is an error that says what was `expected` there.

    A link leads to a folder's content only where this is not below `root` under its own name, nor above it.
    """
    if not root.is_dir():
        raise EmofuseError(f"{root}: no such folder; expected {expected}.")
    whole = root.resolve()
    seen = {_identity(folder) for folder in (whole, *whole.parents)}
    found = _Found([], Counter(), [], [])
    found.enter(root, seen)
    again = []
    while found.links:
        link = found.links.pop(0)
        if _identity(link) in seen:
            again.append(link)
        else:
            seen.add(_identity(link))
            found.enter(link, seen)
    return Walk(tuple(sorted(found.files)), found.hidden, tuple(again), tuple(found.broken))


@dataclass
class _Found:
    files: list[Path]
    hidden: Counter[str]
    links: list[Path]
    broken: list[Path]

    def enter(self, folder: Path, seen: set[tuple[int, int]]) -> None:
        """Go through a folder and the real ones below it; links to folders are for later."""
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            with os.scandir(place) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
            for entry in listed:
                path = place / entry.name
                if is_system(entry.name):
                    self.hidden[entry.name] += 1
                elif Path(path).is_file():  # where links lead in a circle, the entry's own methods fail
                    self.files.append(path)
                elif entry.is_symlink():
                    (self.links if Path(path).is_dir() else self.broken).append(path)
                elif entry.is_dir() and _identity(path) not in seen:
                    seen.add(_identity(path))
                    waiting.append(path)


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino
