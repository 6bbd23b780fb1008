"""Checksums for what is not JSON: folders of files, binary files, lines of a log.

A digest lies beside the bytes that it is of, or behind them, so that a changed byte is noticed by who reads. What an
earlier release wrote has none and is taken as it is.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from features.errors import DamagedFile
from features.files import file_sha256, read_json, replacing, write_json
from features.quick_json import parsed

DIGESTS = "digests.json"
_CHUNK = 1 << 22
# The end of a sealed file: the mark, then the crc32 of all before the mark as eight hexadecimal digits.
_MARK = b"\nemofuse crc32 "
_LINE = re.compile(r',"crc32":(\d+)}$')


def seal_folder(folder: Path) -> None:
    """Write the sha256 of every file in `folder` into `digests.json` there."""
    found = {name: file_sha256(folder / name) for name in _names(folder)}
    write_json(folder / DIGESTS, {"sha256": found}, sync=False)


def check_folder(folder: Path, what: str, damaged: str) -> None:
    """DamagedFile, with `damaged` as what to do, where the files are not those that `seal_folder` saw.

    In a folder of an earlier release, which has no digests, only empty files are noticed.
    """
    if not folder.is_dir():
        raise DamagedFile(f"{folder}: expected {what}, but there is none; {damaged}.")
    names = _names(folder)
    for name in names:
        if not (folder / name).stat().st_size:
            raise DamagedFile(f"{folder / name}: expected a file of {what}, but it is empty; {damaged}.")
    if not (folder / DIGESTS).exists():
        return
    expected = read_json(folder / DIGESTS, f"the digests of {what}", damaged=damaged).get("sha256", {})
    for name in sorted({*names, *expected}):
        if name not in names:
            raise DamagedFile(f"{folder / name}: expected this file of {what}, but it is not there; {damaged}.")
        if name not in expected:
            raise DamagedFile(f"{folder / name}: expected no such file of {what}; {damaged}.")
        if file_sha256(folder / name) != expected[name]:
            raise DamagedFile(f"{folder / name}: its bytes are not those that were written for {what}; {damaged}.")


def _names(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != DIGESTS)


class _Summing:
    """A file that is written from its start to its end, and the crc32 of what was written."""

    def __init__(self, file: BinaryIO):
        self._file, self.crc = file, 0

    def write(self, data: Any) -> int:
        self.crc = zlib.crc32(data, self.crc)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


@contextmanager
def sealing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, from start to end, that becomes `path`, whole or not at all, with its crc32 behind."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        summing = _Summing(file)
        yield cast(BinaryIO, summing)
        file.write(_MARK + f"{summing.crc:08x}".encode())


def check_sealed(path: Path, what: str, damaged: str) -> None:
    """DamagedFile, with `damaged` as what to do, for an empty file and for one that doesn't fit the crc32 behind it.

    The checksum stays at the end of the file; a reader must pass over it.
    """
    size, behind = path.stat().st_size, len(_MARK) + 8
    if not size:
        raise DamagedFile(f"{path}: expected {what}, but the file is empty; {damaged}.")
    with path.open("rb") as file:
        file.seek(max(0, size - behind))
        end = file.read()
        if end[: len(_MARK)] != _MARK:
            return  # an earlier release's
        file.seek(0)
        crc, left = 0, size - behind
        while left:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                break
            crc, left = zlib.crc32(piece, crc), left - len(piece)
    if end[len(_MARK) :] != f"{crc:08x}".encode():
        raise DamagedFile(f"{path}: expected {what}, but its bytes are not those that were written; {damaged}.")


def sealed_line(data: Mapping[str, Any]) -> str:
    """`data` as one line of JSON, without the line's end, whose last field is the crc32 of what stands before."""
    text = json.dumps(data, separators=(",", ":"))
    return f'{text[:-1]},"crc32":{zlib.crc32(text.encode())}}}'


def open_line(line: str) -> dict[str, Any] | None:
    """What `sealed_line` was given; None for a line that isn't what was written. One without a crc32 is believed."""
    if found := _LINE.search(line):
        line = line[: found.start()] + "}"
        if zlib.crc32(line.encode(errors="replace")) != int(found[1]):
            return None
    try:
        value = parsed(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
