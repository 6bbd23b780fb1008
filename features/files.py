"""Files whose content is whole or absent, also after a power cut, and keys made of content.

Every write goes to a temporary name that starts with a dot, onto the disk, and is renamed: a reader never sees half a
file, and two writers of the same content are harmless. JSON carries a digest of itself, so that a changed byte is
noticed; `features.disk.sealed` does the same for other kinds of files.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from features.errors import DamagedFile, EmofuseError, WrongUse
from features.tables.readable import Readable

__all__ = [
    "DamagedFile",
    "canonical_json",
    "clear_half_written",
    "content_key",
    "file_sha256",
    "read_json",
    "refuse_uri",
    "replacing",
    "replacing_folder",
    "write_bytes",
    "write_json",
]

# The field of a JSON file that is the digest of all others. Files of earlier releases lack it.
DIGEST = "content_sha256"
_SCHEMES = frozenset({"s3:", "gs:", "gcs:", "hdfs:", "file:", "http:", "https:", "abfs:", "ray:"})
# When the names in a folder were last put onto the disk, where that is not done for each.
_named: dict[Path, float] = {}
_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")  # as `_temporary` names them
_LEFT_S = 600.0
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def content_key(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_uri(path: Path) -> None:
    """Refuse a URI where only a path on this machine will do: it would become a folder `s3:`."""
    at = next((i for i, part in enumerate(path.parts) if part in _SCHEMES), None)
    if at is not None:
        place = f"{path.parts[at]}//{'/'.join(path.parts[at + 1 :])}"
        raise WrongUse(f"{place}: expected a path on this machine; only a run's folder may lie on an object store.")


def _local(path: Path) -> Path:
    """The whole path, with a name at its end (`.` has none); links stay as they are."""
    refuse_uri(path)
    return Path(os.path.abspath(path))  # noqa: PTH100


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def clear_half_written(folder: Path) -> list[Path]:
    """Remove what killed processes left below `folder` of files and folders that they were writing; returns the paths.

    What another host may still be writing stays: all that was touched in the last ten minutes.
    """
    cleared = []
    for place, folders, files in os.walk(folder):
        for name in [name for name in (*folders, *files) if _TEMPORARY.fullmatch(name)]:
            path = Path(place, name)
            with suppress(OSError):
                if time.time() - max(one.lstat().st_mtime for one in (path, *path.rglob("*"))) < _LEFT_S:
                    continue
                shutil.rmtree(path) if name in folders else path.unlink()
                cleared.append(path)
        folders[:] = [name for name in folders if not _TEMPORARY.fullmatch(name)]
    return cleared


@contextmanager
def replacing(path: Path, *, sync: bool = True, names_every_s: float = 0.0) -> Iterator[Path]:
    """Yield a temporary path beside `path`; renamed to `path` on success, removed on any error.

    With `sync` it is on the disk when this ends; without, a power cut may leave an empty file under the name. That is
    for what may be lost: caches, signs of life, generated media. In a burst of files their names are put onto the disk
    every `names_every_s` seconds: a power cut may take the last ones away, whole.
    """
    path = _local(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _make_folder(path.parent, sync)
    temporary = _temporary(path)
    try:
        yield temporary
        if sync:
            _sync_file(temporary)
        temporary.replace(path)
        now = time.monotonic()
        if sync and now - _named.get(path.parent, -math.inf) >= names_every_s:
            _sync_folder(path.parent)
            if names_every_s:
                _named[path.parent] = now
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which takes the place of `path` on success (an older one is dropped).

    With `sync` all of it is on the disk when this ends.
    """
    path = _local(path)
    _make_folder(path.parent, sync)
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        if sync:
            _sync_tree(temporary)
        if path.exists():
            old = _temporary(path)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(path)
        if sync:
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes, *, sync: bool = True, names_every_s: float = 0.0) -> None:
    """Write `data` to `path` whole or not at all; the options are those of `replacing`."""
    with replacing(path, sync=sync, names_every_s=names_every_s) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write `value` as indented JSON with a digest of itself, whole or not at all; `sync` as in `replacing`."""
    plain = json.loads(json.dumps(value, allow_nan=False))  # as a reader will see it: lists, and keys of text
    text = json.dumps({**plain, DIGEST: content_key(plain)}, indent=2, sort_keys=True) + "\n"
    write_bytes(path, text.encode(), sync=sync)


def read_json(path: Readable, what: str, *, missing: str = "", damaged: str = "") -> Any:
    """Read JSON, without the digest that `write_json` added; `what` is what the file should have been.

    EmofuseError where there is no file, with `missing` as what to do about it. DamagedFile where it is empty, can't be
    parsed or doesn't fit its digest, with `damaged` as what to do about that. Files of earlier releases have no digest
    and are taken as they are.
    """
    remedy = f"; {damaged or 'put a copy of it there, or remove it and make it again'}."
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise EmofuseError(f"{path}: no such file, expected {what}{missing and f'; {missing}'}.") from None
    if not text.strip(b"\0 \n"):
        raise DamagedFile(f"{path}: expected {what}, but the file is empty{remedy}")
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError) as error:  # broken, no UTF-8, nested or counted beyond what Python takes
        why = " ".join(str(error).split())[:200]
        raise DamagedFile(f"{path}: expected {what} as JSON, but it can't be parsed ({why}){remedy}") from None
    if isinstance(value, dict) and DIGEST in value and not _fits(value.pop(DIGEST), value):
        raise DamagedFile(
            f"{path}: expected {what}, but its bytes are not those that were written (who changes it by hand takes its "
            f"{DIGEST} away){remedy}"
        )
    return value


def _fits(digest: Any, value: Any) -> bool:
    try:
        return bool(digest == content_key(value))
    except (ValueError, RecursionError):  # NaN, or brackets without end: nobody wrote that
        return False


def _make_folder(folder: Path, sync: bool) -> None:
    made = []
    while not folder.exists():
        made.append(folder)
        folder = folder.parent
    if made:
        made[0].mkdir(parents=True, exist_ok=True)
    for each in made if sync else ():
        _sync_folder(each.parent)


def _sync_file(path: Path) -> None:
    # The descriptor needn't be the one that wrote.
    number = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(number)
    finally:
        os.close(number)


def _sync_folder(path: Path) -> None:
    """Put the names in a folder onto the disk; some network file systems can't, and need not."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync_file(Path(place) / name)
        _sync_folder(Path(place))
