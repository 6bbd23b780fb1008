"""The label files of the AVEC challenges (SEWA): one CSV file per recording.

There is `;` between columns: name, time, then the dimensions, every 0.1 s. AVEC 2019 has a header, 2017 and 2018 have
none and mean arousal, valence, liking. Names may be quoted by '.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from features.disk.sizes import refuse_size
from features.errors import EmofuseError, WrongUse
from features.spelling import refuse_alike, trimmed
from features.tables.user_tables import one_line
from features.walk import is_system

DIMENSIONS = ("arousal", "valence", "liking")
_HEAD = ("session", "time_s")


@dataclass(frozen=True, eq=False)
class Gold:
    """The labels of one recording: `time_s` (T,), `values` (T, D) in the order of `dimensions`."""

    recording: str
    dimensions: tuple[str, ...]
    time_s: np.ndarray
    values: np.ndarray


def read_gold(path: Path) -> Gold:
    """Read one label file. Errors name the file and what was expected."""
    try:
        refuse_size(path, path.stat().st_size)
        first = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
        head = [cell.strip().strip("'\"") for cell in first.split(";")]
        titled = len(head) > len(_HEAD) and not _is_number(head[1])
        columns = [*_HEAD, *(head[len(_HEAD) :] if titled else DIMENSIONS)]
        table = pa_csv.read_csv(
            path,
            pa_csv.ReadOptions(column_names=columns, skip_rows=int(titled)),
            pa_csv.ParseOptions(delimiter=";", quote_char="'"),
            pa_csv.ConvertOptions(
                column_types={"session": pa.string(), **{name: pa.float64() for name in columns[1:]}}
            ),
        )
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise EmofuseError(
            f"{path}: expected AVEC labels (name;time;{';'.join(DIMENSIONS)}), but it can't be read "
            f"({one_line(error)})."
        ) from None
    names = {trimmed(trimmed(str(name)).strip('"')) for name in pc.unique(table["session"]).to_pylist()}
    numbers = np.stack([table[name].to_numpy() for name in columns[1:]], axis=1)
    if len(names) != 1 or not np.isfinite(numbers).all():
        raise EmofuseError(
            f"{path}: expected the labels of one recording as finite numbers, but it names {len(names)} recordings and "
            f"{int((~np.isfinite(numbers)).sum())} numbers are not finite."
        )
    order = np.argsort(numbers[:, 0], kind="stable")
    return Gold(names.pop(), tuple(columns[len(_HEAD) :]), numbers[order, 0], numbers[order, 1:])


def read_labels(folder: Path) -> dict[str, Gold]:
    """The label files (*.csv) of a folder by recording; all have the same dimensions."""
    paths = sorted(path for path in folder.glob("*.csv") if not is_system(path.name))
    if not paths:
        raise WrongUse(f"{folder}: expected a folder of AVEC label files (*.csv), but it holds none.")
    labels: dict[str, Gold] = {}
    for path in paths:
        gold = read_gold(path)
        if gold.recording in labels:
            raise EmofuseError(f"{path}: the recording {gold.recording} has labels in another file already.")
        if labels and gold.dimensions != next(iter(labels.values())).dimensions:
            others = next(iter(labels.values())).dimensions
            raise EmofuseError(
                f"{path}: its dimensions are {', '.join(gold.dimensions)}, those of other files {', '.join(others)}; "
                "expected the same in all."
            )
        labels[gold.recording] = gold
    refuse_alike(labels, "recording", folder, "give each a name of its own")
    return labels


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
