"""Texts that take long to make and come out the same each time: kept on this machine for the next command.

Each lies in a folder that only this user can write to, behind what it was made of and its digest. One that was made of
anything else, or was damaged, is made again; where there is no such folder it is made each time.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from features.disk.own_folder import own_folder
from features.files import write_bytes


def kept_text(name: str, of: str, make: Callable[[], str]) -> str:
    """The text kept under `name` if it was made `of` the same (versions, arguments), else what `make` gives now."""
    if (found := find_text(name, of)) is not None:
        return found
    text = make()
    if (path := _path(name)) is not None:
        with suppress(OSError):
            write_bytes(path, _head(of, text) + text.encode(), sync=False)
    return text


def find_text(name: str, of: str) -> str | None:
    """The text that `kept_text` kept; None where it lies there no more, is of something else or was damaged."""
    if (path := _path(name)) is None:
        return None
    try:
        data = path.read_bytes()
        text = data[data.index(b"\n") + 1 :].decode()
    except (OSError, ValueError):
        return None
    return text if data.startswith(_head(of, text)) else None


def _path(name: str) -> Path | None:
    folder = own_folder("kept")
    return folder / name if folder else None


def _head(of: str, text: str) -> bytes:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"of": of, "sha256": digest}).encode() + b"\n"
