"""A run's trials as two CSV files, for a spreadsheet or pandas."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from features.files import replacing
from features.tables.spreadsheets import quoted
from search.watch.tracked_trials import TrackedTrial

_OWN = ("trial_key", "config_key", "entry", "family", "partition", "status", "reason")
_TIMES = ("started_s", "ended_s", "wall_s")


def write_csv_files(trials: Iterable[TrackedTrial], folder: Path) -> int:
    """Write `trials.csv` (a row per trial) and `curves.csv` (a row per epoch) into `folder`; the number of trials.

    Hyperparameters are columns `params.<name>`, held-out metrics `metrics.<name>`; an older pair is replaced.
    """
    rows: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    for trial in trials:
        rows.append(_row(trial))
        epochs += [{"trial_key": trial.trial_key, **row} for row in trial.curve]
    _write(folder / "trials.csv", rows, (*_OWN, *_TIMES))
    _write(folder / "curves.csv", epochs, ("trial_key", "epoch"))
    return len(rows)


def _row(trial: TrackedTrial) -> dict[str, Any]:
    own = {name: getattr(trial, name) for name in (*_OWN, *_TIMES)}
    return {**own, **trial.facts, **_named("params", trial.hyperparameters), **_named("metrics", trial.metrics)}


def _named(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind}.{name}": value for name, value in values.items()}


def _write(path: Path, rows: list[dict[str, Any]], first: tuple[str, ...]) -> None:
    names = [*first, *sorted({name for row in rows for name in row} - set(first))]
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    with replacing(path) as temporary:
        pa_csv.write_csv(quoted(table), temporary)


def _column(values: list[Any]) -> pa.Array:
    """Numbers where all are numbers, else text: a hyperparameter of two entries may be a word in one of them."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        exact = all(isinstance(value, int) for value in known)
        return pa.array(values if exact else [None if v is None else float(v) for v in values])
    return pa.array([None if value is None else str(value) for value in values], pa.string())
