"""A folder that a stranger may have packed: its plain files are read, checked against their digests, and nothing else.

The folder is opened once and all below it by descriptors that follow no link, so that neither a link nor one that
takes a file's place meanwhile leads outside. What is parsed are the very bytes whose digest was checked.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from features.errors import EmofuseError

# More than any bundle of ours has: bounds for how long a look at a folder takes.
_MOST_FILES, _MOST_BYTES, _DEEPEST = 10_000, 16 << 30, 4
_BLOCK = 1 << 22
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without NONBLOCK, opening a pipe that took a file's place would wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def plain_files(folder: Path) -> dict[str, int]:
    """The size of every file below `folder` by its relative name, as `members/00-svm/model.json`.

    Errors: EmofuseError for a link, a device or a pipe among them, before it is opened; too many, large or deep ones.
    """
    found: dict[str, int] = {}
    with _opened(folder) as top, _blaming(folder):
        left = _MOST_BYTES
        for seen, (name, size) in enumerate(_walk(folder, top, "", 1)):
            left -= size
            if seen > _MOST_FILES or left < 0:
                raise EmofuseError(f"{folder}: expected a bundle, but it holds more files or bytes than any bundle.")
            if not name.endswith("/"):
                found[name] = size
    return found


@contextmanager
def opened_file(folder: Path, name: str) -> Iterator[BinaryIO]:
    """The plain file of that relative name, for reading; no component of the name may be a link."""
    *parents, last = name.split("/")
    with _opened(folder) as number:
        held = []
        try:
            for parent in parents:
                number = os.open(parent, _FOLDER, dir_fd=number)
                held.append(number)
            file = os.open(last, _FILE, dir_fd=number)
        except OSError as error:
            raise EmofuseError(f"{folder}: {name} can't be opened as a plain file ({error.strerror}).") from None
        finally:
            for each in held:
                os.close(each)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise EmofuseError(f"{folder}: {name} is no plain file.")
        yield opened


class StrangersFile:
    """A file or folder in a `folder` of digests; a `features.tables.readable.Readable`."""

    def __init__(self, folder: "StrangersFolder", name: str):
        self._folder, self._name = folder, name

    def __str__(self) -> str:
        return str(self._folder.path / self._name)

    def __truediv__(self, name: str) -> "StrangersFile":
        return StrangersFile(self._folder, f"{self._name}/{name}" if self._name else name)

    def is_file(self) -> bool:
        """Whether it is listed."""
        return self._name in self._folder.digests

    def read_bytes(self) -> bytes:
        """The file's bytes, after their digest was checked. Errors: FileNotFoundError for one that isn't listed."""
        if not self.is_file():
            raise FileNotFoundError(str(self))
        return self._folder.read(self._name)


class StrangersFolder:
    """The files below `path` that `digests` (sha256 by relative name) list."""

    def __init__(self, path: Path, digests: Mapping[str, str]):
        self.path, self.digests = path, digests

    def check(self, found: Mapping[str, int]) -> None:
        """Refuse a file that is missing, not listed or changed; `found` is what `plain_files` told."""
        for name in sorted({*self.digests, *found}):
            if name not in found:
                raise EmofuseError(f"{self.path}: the bundle lacks {_shown(name)}; copy or export it again.")
            if name not in self.digests:
                raise EmofuseError(
                    f"{self.path}: {_shown(name)} does not belong to the bundle; remove it or export the bundle again."
                )
        for name in self.digests:
            with opened_file(self.path, name) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            self._refuse_changed(name, digest)

    def read(self, name: str) -> bytes:
        """The bytes of a listed file; EmofuseError where they are not those of its digest."""
        with opened_file(self.path, name) as file:
            data = file.read()
        self._refuse_changed(name, hashlib.sha256(data).hexdigest())
        return data

    def copy(self, name: str, target: Path) -> None:
        """Write a listed file's bytes to `target`; EmofuseError where it isn't listed or they are not its digest's."""
        if name not in self.digests:
            raise EmofuseError(f"{self.path}: the bundle lacks {_shown(name)}; copy or export it again.")
        digest = hashlib.sha256()
        with opened_file(self.path, name) as file, target.open("wb") as written:
            while block := file.read(_BLOCK):
                digest.update(block)
                written.write(block)
        self._refuse_changed(name, digest.hexdigest())

    def __truediv__(self, name: str) -> StrangersFile:
        return StrangersFile(self, name)

    def _refuse_changed(self, name: str, digest: str) -> None:
        if digest != self.digests[name]:
            raise EmofuseError(
                f"{self.path}: {name} was changed after the export (its sha256 differs); export it again."
            )


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        # The folder's own name is the user's word, and may be a link.
        number = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise EmofuseError(f"{folder}: expected a bundle's folder, but there is none ({error.strerror}).") from None
    try:
        yield number
    finally:
        os.close(number)


@contextmanager
def _blaming(folder: Path) -> Iterator[None]:
    """For what can't be looked at: no permission, a link that has just taken a folder's place."""
    try:
        yield
    except OSError as error:
        raise EmofuseError(f"{folder}: a folder in it can't be opened ({error.strerror}).") from None


def _walk(folder: Path, number: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    with os.scandir(number) as entries:
        for entry in entries:
            name, status = prefix + entry.name, entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            elif stat.S_ISDIR(status.st_mode) and depth < _DEEPEST:
                yield f"{name}/", 0
                below = os.open(entry.name, _FOLDER, dir_fd=number)
                try:
                    yield from _walk(folder, below, f"{name}/", depth + 1)
                finally:
                    os.close(below)
            else:
                kind = _kind(status.st_mode)
                raise EmofuseError(f"{folder}: refused, because {_shown(name)} is {kind} and no plain file.")


def _shown(name: str) -> str:
    """A name in a sentence, also one with a line break."""
    return name if name.isprintable() and len(name) < 200 else repr(name)[:200]


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder nested too deeply" if stat.S_ISDIR(mode) else "a device, pipe or socket"
