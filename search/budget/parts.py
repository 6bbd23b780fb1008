"""The time of trials that were stopped at a checkpoint: their endings will tell the time of their last part alone."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from features.disk.sealed import open_line, sealed_line

NAME = "stopped.jsonl"


class Part(NamedTuple):
    """Seconds of a trial, and of a GPU, before it was stopped."""

    trial_key: str
    entry: str
    wall_s: float
    gpu_s: float


def note_part(run: Path, part: Part) -> None:
    """Add a line."""
    # The line's end comes first, so that it also ends half a line of a writer that was killed.
    with suppress(OSError), (run / NAME).open("ab", buffering=0) as file:
        file.write(f"\n{sealed_line(part._asdict())}".encode())


def read_parts(run: Path) -> Iterator[Part]:
    """All lines that are whole."""
    try:
        lines = (run / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for text in lines:
        line = open_line(text)
        if line is not None:
            with suppress(KeyError, TypeError, ValueError):
                yield Part(str(line["trial_key"]), str(line["entry"]), float(line["wall_s"]), float(line["gpu_s"]))
