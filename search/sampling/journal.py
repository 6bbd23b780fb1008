"""Optuna's journal of a run: its lines carry a checksum, and what is damaged is set aside.

The journal is a record, not the truth: finished trials lie in the prediction files, and the same configurations are
drawn again. So it is not synced to the disk either: what it lacks after a power cut is told to it again. On a busy disk
a sync takes longer than a short trial.
"""

from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from features.disk.sealed import open_line, sealed_line
from features.files import replacing, write_bytes
from features.progress import say


class _Journal(JournalFileBackend):
    """A journal that no other process writes: no lock is needed. Optuna passes over the checksums."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(f"{sealed_line(log)}\n" for log in logs)
        with Path(self._file_path).open("ab", buffering=0) as file:
            file.write(lines.encode())


def open_journal(path: Path) -> JournalStorage:
    """The journal file of a run, made when absent; one process alone may have it open.

    What a killed process left behind (half a line at the end, its lock) is cleared away first. From a damaged line on
    it is set aside, which is said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    good = _good(data[:whole])
    if good < whole:
        number = data[:good].count(b"\n") + 1
        _set_aside(path, data, good, f"line {number} is not what was written")
    elif whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
    try:
        return JournalStorage(_Journal(str(path)))
    except Exception as error:  # lines of JSON that are no log of Optuna's fail in many ways
        _set_aside(path, data, 0, f"it can't be read ({type(error).__name__}: {error})")
        return JournalStorage(_Journal(str(path)))


def _good(data: bytes) -> int:
    """How many bytes are whole lines as they were written."""
    good = 0
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n") or open_line(line.rstrip(b"\r\n").decode(errors="replace")) is None:
            break
        good += len(line)
    return good


def _set_aside(path: Path, data: bytes, good: int, why: str) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    write_bytes(aside, data)
    with replacing(path) as temporary:
        temporary.write_bytes(data[:good])
    say(
        f"{path}: expected the journal of a search, but {why}; it is kept as {aside.name}, finished trials stay, and "
        "the same configurations are drawn again."
    )
