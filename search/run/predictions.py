"""The prediction files: one small immutable Parquet per trial, the contract between training and ensembling.

`<run>/predictions/family=<entry>/<trial_key>.parquet` holds one row per clip and, in its footer, all that is known of
the trial. Classes are columns with names, never positions. Files are sealed (features.disk.sealed_parquet), those of
the older version 1 are not; both are held against the same checks, whoever reads them.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.disk.sealed_parquet import Opened, open_sealed, sealed
from features.errors import DamagedFile, EmofuseError
from features.files import write_bytes
from features.quick_json import parsed
from features.schema import check_version, parse
from features.tables.numbers import numbers
from models.metrics import SearchMetric, search_value

SCHEMA_VERSION = 2
# Trials that take less than that may be trained again after a power cut.
_NAMES_EVERY_S = 1.0
_UNSEALED = 1  # the version of files without a seal
_OTHER_VERSION = "read it with the release that wrote it, or train the trial again"
ROLES = ("fit", "held_out", "test")
ROW_COLUMNS = ("clip_id", "group_id", "split", "role", "label")
FOOTER = b"emofuse"
_REMEDY = (
    "run the same `emofuse search run` again, which trains the trial anew (or, if the file was imported, import it "
    "again), or remove the file"
)


@dataclass(frozen=True)
class Footer:
    """What a prediction file says of its trial.

    `config_key` is shared by the trials of one configuration on different partitions: together they are one member of
    an ensemble. `entry` is the recipe's name for the family with its inputs. `seed` is the training's own, made from
    `recipe_seed` and `config_key`. `parents` are the trial keys that a refit copies hyperparameters and epochs from,
    and those whose encodings a fusion reads; `encoders` tells the latter by input slot. `started_s` counts from 1970,
    `worker` is `host:process`.
    `batch_size` is the one used, half the hyperparameter when memory ran out (None: the family has none); `device` and
    `cpu` (threads) are what it was trained on.
    `weights_sha256` is that of the file of parameters that training began with.
    `plugin_sha256` is the digest of the code of a plug-in's family.
    `dimensions` are what a trial of continuous emotion scores, in place of `classes`, and `annotations` the fingerprint
    of what it learnt (search.run.continuous_predictions).
    `metric` is what the search maximised; None: the default of the task, also in files of earlier releases.
    `repeat` numbers the trainings of the configuration with other seeds, 0 the first.
    `training` are settings in place of the family's own.
    `predict_s` are the seconds that the model took for a clip, from its features to its scores, clips in batches as
    `predict` has them; None in files of earlier releases.
    """

    trial_key: str
    config_key: str
    family: str
    entry: str
    hyperparameters: Mapping[str, Any]
    partition: str
    classes: tuple[str, ...]
    seed: int
    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    inputs: Mapping[str, str] = field(default_factory=dict)
    feature_keys: Mapping[str, str] = field(default_factory=dict)
    clips_fingerprint: str = ""
    curve: tuple[Mapping[str, float], ...] = ()
    started_s: float = 0.0
    worker: str = ""
    wall_s: float = 0.0
    gpu_s: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    git_revision: str = ""
    parents: tuple[str, ...] = ()
    stage: str = "clips"
    family_version: int = 1
    recipe_seed: int = 0
    max_epochs: int | None = None
    batch_size: int | None = None
    device: str = "cpu"
    cpu: float = 1.0
    weights_sha256: str = ""
    encoders: Mapping[str, str] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    annotations: str = ""
    plugin_sha256: str = ""
    metric: SearchMetric | None = None
    repeat: int = 0
    predict_s: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def searched(self) -> SearchMetric:
        """What the search maximised."""
        return self.metric or ("ccc" if self.dimensions else "accuracy")

    @property
    def value(self) -> float | None:
        """What the search compares the trial by: more is better. None for a refit."""
        return search_value(self.metrics, self.searched)

    @staticmethod
    def ranking(metric: SearchMetric) -> Callable[["Footer"], tuple[float, float, str]]:
        """The key that sorts trials by a metric, the best first; ties: lower log loss, of continuous emotion error."""

        def key(footer: Footer) -> tuple[float, float, str]:
            value = search_value(footer.metrics, metric)
            loss = footer.metrics.get("log_loss", footer.metrics.get("mse", 0.0))
            return math.inf if value is None else -value, loss, footer.trial_key

        return key


@dataclass(frozen=True)
class Predictions:
    """One trial's rows: `probabilities` (N, C) float32 in the order of `footer.classes`; `label` None where unknown."""

    footer: Footer
    clip_id: tuple[str, ...]
    group_id: tuple[str, ...]
    split: tuple[str, ...]
    role: tuple[str, ...]
    label: tuple[str | None, ...]
    valid: np.ndarray
    probabilities: np.ndarray

    def check(self) -> None:
        """Refuse rows that are not a probability distribution, or that lie outside the contract."""
        name = trial_name(self.footer)
        check_clips(name, self.footer.classes, self.clip_id, self.role, self.label)
        check_scores(name, self.footer.classes, self.clip_id, self.probabilities)


def trial_name(footer: Footer) -> str:
    """How a trial is called in errors of its rows."""
    return f"Predictions of trial {footer.trial_key[:12]} ({footer.entry})"


def check_clips(
    name: str,
    classes: Sequence[str],
    clip_id: Sequence[str],
    role: Iterable[str],
    label: Iterable[str | None],
) -> None:
    """Refuse clips that occur twice, and roles and labels that there are not; `name` begins the error."""
    if len(set(clip_id)) != len(clip_id):
        raise EmofuseError(f"{name}: a clip_id occurs twice.")
    check_roles(name, role)
    unknown = {text for text in label if text is not None} - set(classes)
    if unknown:
        raise EmofuseError(f"{name}: labels {sorted(unknown)} are not among the classes {list(classes)}.")


def check_roles(name: str, role: Iterable[str]) -> None:
    """Refuse roles that there are not; `name` begins the error."""
    bad = set(role) - set(ROLES)
    if bad:
        raise EmofuseError(f"{name}: a role is one of {', '.join(ROLES)}, but got {', '.join(sorted(map(str, bad)))}.")


def check_scores(name: str, classes: Sequence[str], clip_id: Sequence[str], p: np.ndarray) -> None:
    """Refuse scores `p` that are not a probability distribution over the classes for each clip."""
    n, c = len(clip_id), len(classes)
    if p.shape != (n, c):
        raise EmofuseError(f"{name}: expected probabilities of shape {(n, c)}, but got {p.shape}.")
    # A sum or a minimum of numbers that are not finite passes neither comparison.
    with np.errstate(invalid="ignore"):
        good = (np.abs(p.sum(axis=1, dtype=np.float64) - 1) <= 1e-4) & (p >= 0).all(axis=1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise EmofuseError(
            f"{name}: the scores of clip {clip_id[row]!r} are {p[row].tolist()}; expected finite, "
            "non-negative numbers that sum to 1 within 1e-4."
        )


def prediction_path(run: Path, entry: str, trial_key: str) -> Path:
    """Where the trial's file lies in the run folder."""
    return run / "predictions" / f"family={entry}" / f"{trial_key}.parquet"


def write_predictions(run: Path, predictions: Predictions) -> Path:
    """Check and write one trial's file, whole or not at all; return its path."""
    predictions.check()
    footer = predictions.footer
    columns: dict[str, Any] = {
        "clip_id": list(predictions.clip_id),
        "group_id": list(predictions.group_id),
        "split": list(predictions.split),
        "role": list(predictions.role),
        "label": pa.array(predictions.label, pa.string()),
        "valid": predictions.valid.astype(bool),
    }
    for c, name in enumerate(footer.classes):
        columns[f"p_{name}"] = np.ascontiguousarray(predictions.probabilities[:, c], dtype=np.float32)
    return write_trial(run, footer, pa.table(columns))


def write_trial(run: Path, footer: Footer, table: pa.Table, *, dictionary: bool = False) -> Path:
    """Write a trial's rows under its footer, whole or not at all; return the path."""
    # The footer may have been read from a file of an older version.
    data = {**asdict(footer), "schema_version": SCHEMA_VERSION}
    metadata = json.dumps(data, sort_keys=True, allow_nan=False).encode()
    path = prediction_path(run, footer.entry, footer.trial_key)
    write_bytes(path, sealed(table, {FOOTER: metadata}, dictionary=dictionary), names_every_s=_NAMES_EVERY_S)
    return path


class DamagedPredictions(DamagedFile):
    """A prediction file is not what was written, or holds what no trial writes; `told` says so, without what to do."""

    def __init__(self, told: str):
        super().__init__(f"{told}; {_REMEDY}.")
        self.told = told

    def __reduce__(self) -> tuple[type["DamagedPredictions"], tuple[str]]:
        return type(self), (self.told,)


def damaged(path: Path | str, what: str) -> DamagedPredictions:
    """The error of a prediction file with which something is wrong."""
    return DamagedPredictions(f"{path}: expected a prediction file, but {what}")


@contextmanager
def stored_in(path: Path | str) -> Iterator[None]:
    """Errors of what a file holds become those of the file."""
    try:
        yield
    except EmofuseError as error:
        raise DamagedPredictions(f"{path}: {str(error).rstrip('.')}") from None


def open_predictions(path: Path) -> Opened:
    """Read a prediction file whole and hold it against its seal, if it has one; nothing is decoded yet."""
    try:
        return open_sealed(path)
    except ValueError as error:
        raise damaged(path, str(error)) from None
    except OSError as error:
        raise EmofuseError(f"{path}: expected a prediction file, but it can't be read ({error.strerror}).") from None


def footer_of(path: Path, opened: Opened) -> Footer:
    """The footer of an open file. Errors: DamagedFile, and EmofuseError for a schema version that is not known here."""
    try:
        footer = parse_footer(opened.metadata, path)
    except ValueError as error:
        raise damaged(path, str(error)) from None
    if footer.schema_version != _UNSEALED and not opened.is_sealed:
        raise damaged(path, "its seal is missing")
    for names in (footer.classes, footer.dimensions):
        if len(set(names)) < len(names):
            raise damaged(path, f"its footer has a name twice in {', '.join(names)}")
    return footer


def read_footer(path: Path) -> Footer:
    """A prediction file's footer, after all its bytes were held against its seal, if it has one."""
    return footer_of(path, open_predictions(path))


def parse_footer(metadata: Mapping[bytes, bytes], path: Path | str) -> Footer:
    """The footer in Parquet key-value `metadata`; `path` is named in errors."""
    if FOOTER not in metadata:
        raise damaged(path, "its footer is missing")
    try:
        data = parsed(metadata[FOOTER])
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its footer can't be parsed as JSON ({error})") from None
    if not isinstance(data, Mapping) or data.get("schema_version") != _UNSEALED:
        check_version(data, SCHEMA_VERSION, path, "prediction file", _OTHER_VERSION)
    with stored_in(path):
        return parse(Footer, data, "footer")


def read_rows(path: Path, opened: Opened, schema: pa.Schema) -> pa.Table:
    """The rows of an open file: the columns of `schema`, which says which of them may hold nulls."""
    missing = set(schema.names) - set(opened.columns)
    if missing:
        raise damaged(path, f"it lacks the columns {', '.join(sorted(missing))}")
    if len(set(opened.columns)) < len(opened.columns):
        raise damaged(path, "a column of it occurs twice")
    try:
        table = opened.table().select(schema.names)
        table = table if table.schema.types == schema.types else table.cast(schema)
        if not opened.is_sealed:
            table.validate(full=True)  # texts may be no UTF-8
    except (ValueError, KeyError, pa.ArrowException) as error:
        raise damaged(path, " ".join(str(error).split())) from None
    for field_ in schema:
        if not field_.nullable and table[field_.name].null_count:
            raise damaged(path, f"its column {field_.name} has nulls")
    return table


def class_schema(classes: Sequence[str]) -> pa.Schema:
    """The columns of a file of class probabilities, those of the classes in the given order."""
    required = [pa.field(name, pa.string(), nullable=False) for name in ROW_COLUMNS[:-1]]
    scores = [pa.field(f"p_{name}", pa.float32(), nullable=False) for name in classes]
    label, valid = pa.field(ROW_COLUMNS[-1], pa.string()), pa.field("valid", pa.bool_(), nullable=False)
    return pa.schema([*required, label, valid, *scores])


def scores_of(table: pa.Table, classes: Sequence[str]) -> np.ndarray:
    """The probabilities (N, C) float32 in rows read by `class_schema`, C in the order of `classes`."""
    columns = [numbers(table[f"p_{name}"]) for name in classes]
    return np.stack(columns, axis=1) if columns else np.zeros((table.num_rows, 0), np.float32)


def read_predictions(path: Path) -> Predictions:
    """Read one trial's file back and check its rows."""
    opened = open_predictions(path)
    footer = footer_of(path, opened)
    if footer.dimensions:
        raise EmofuseError(f"{path}: expected predictions of classes, but they are of continuous emotion.")
    table = read_rows(path, opened, class_schema(footer.classes))
    ids, groups, splits, roles, labels = (tuple(table[name].to_pylist()) for name in ROW_COLUMNS)
    P = scores_of(table, footer.classes)
    found = Predictions(footer, ids, groups, splits, roles, labels, numbers(table["valid"]), P)
    with stored_in(path):
        found.check()
    return found


def prediction_files(run: Path) -> list[Path]:
    """All prediction files of a run, in a fixed order; names that start with a dot are unfinished writes."""
    return [run / "predictions" / name for name in prediction_names(run)]


def last_prediction_file(run: Path) -> Path | None:
    """The last of a run's prediction files in their fixed order; None where there is none."""
    names = prediction_names(run)
    return run / "predictions" / names[-1] if names else None


def prediction_names(run: Path) -> list[str]:
    """The paths of all prediction files below `predictions/`, sorted: texts, since very many `Path`s take long."""
    found = []
    for folder in (run / "predictions").glob("family=*"):
        with os.scandir(folder) as entries:
            found += [f"{folder.name}/{e.name}" for e in entries if e.name.endswith(".parquet") and e.name[0] != "."]
    return sorted(found)
