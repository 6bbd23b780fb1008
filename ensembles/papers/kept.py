"""What a reproduction could not do, kept in its run for the report."""

from collections.abc import Sequence
from pathlib import Path

from features.files import read_json, write_json

_NAME = "reproduced.json"


def keep_notes(run: Path, notes: Sequence[str]) -> None:
    """Keep the notes, sentences, in the run's folder."""
    write_json(run / _NAME, {"notes": list(notes)})


def kept_notes(run: Path) -> list[str]:
    """The notes of the reproduction that made this run; none of another run."""
    path = run / _NAME
    if not path.is_file():
        return []
    return [str(note) for note in read_json(path, "the notes of a reproduction").get("notes", ())]
