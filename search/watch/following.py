"""What to do with a run whose search is done, by the ensembles that lie there already."""

import json
from pathlib import Path
from typing import Any

from features.errors import EmofuseError
from features.terminal import command
from search.run.predictions import prediction_path, read_footer


def after_fit(folder: Path, run: str) -> str | None:
    """The next command for the ensemble that was written last; None where none was fitted (or none can be read)."""
    files = sorted((folder / "ensembles").glob("*/ensemble.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        return None
    try:
        members: list[dict[str, Any]] = json.loads(files[-1].read_text(encoding="utf-8"))["members"]
        imported = [member for member in members if not _is_own(folder, member)]
        refitted = all(member["refit"] for member in members)
    except (OSError, ValueError, KeyError, TypeError, EmofuseError):
        return None
    name = files[-1].parent.name
    if imported:
        return f"Next: {command('ensemble', 'predictions', run, name, '-o', 'fused.csv')}"
    if not refitted:
        return f"Next: {command('ensemble', 'refit', run, name)}"
    # An ensemble that is no better than its best member is refused otherwise.
    return f"Next: {command('ensemble', 'export', run, name, '--anyway', '-o', 'bundle')}"


def _is_own(folder: Path, member: dict[str, Any]) -> bool:
    key = next(iter(member["trials"].values()))
    return bool(read_footer(prediction_path(folder, member["entry"], key)).inputs)
