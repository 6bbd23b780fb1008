"""The prediction files: one small immutable Parquet per trial, the contract between training and ensembling.

`<run>/predictions/family=<entry>/<trial_key>.parquet` holds one row per clip and, in its footer, all that is known of
the trial. Classes are columns with names, never positions.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import EmofuseError
from features.files import replacing
from features.schema import check_version, parse

SCHEMA_VERSION = 1
ROLES = ("fit", "held_out", "test")
FOOTER = b"emofuse"


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
    `dimensions` are what a trial of continuous emotion scores, in place of `classes`, and `annotations` the fingerprint
    of what it learnt (search.run.continuous_predictions).
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
    schema_version: int = SCHEMA_VERSION


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
        name = f"Predictions of trial {self.footer.trial_key[:12]} ({self.footer.entry})"
        n, c = len(self.clip_id), len(self.footer.classes)
        if self.probabilities.shape != (n, c):
            raise EmofuseError(f"{name}: expected probabilities of shape {(n, c)}, but got {self.probabilities.shape}.")
        if len(set(self.clip_id)) != n:
            raise EmofuseError(f"{name}: a clip_id occurs twice.")
        bad_role = set(self.role) - set(ROLES)
        if bad_role:
            raise EmofuseError(f"{name}: a role is one of {', '.join(ROLES)}, but got {', '.join(sorted(bad_role))}.")
        p = self.probabilities
        if not np.isfinite(p).all() or (p < 0).any() or (np.abs(p.sum(1, dtype=np.float64) - 1) > 1e-4).any():
            row = int(np.flatnonzero(~np.isfinite(p).all(1) | (p < 0).any(1) | (np.abs(p.sum(1) - 1) > 1e-4))[0])
            raise EmofuseError(
                f"{name}: the scores of clip {self.clip_id[row]!r} are {p[row].tolist()}; expected finite, "
                "non-negative numbers that sum to 1 within 1e-4."
            )
        unknown = {label for label in self.label if label is not None} - set(self.footer.classes)
        if unknown:
            known = list(self.footer.classes)
            raise EmofuseError(f"{name}: labels {sorted(unknown)} are not among the classes {known}.")


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
    table = pa.table(columns)
    metadata = json.dumps(asdict(footer), sort_keys=True, allow_nan=False).encode()
    table = table.replace_schema_metadata({FOOTER: metadata})
    path = prediction_path(run, footer.entry, footer.trial_key)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=False, write_statistics=False)
    return path


def read_footer(path: Path) -> Footer:
    """A prediction file's footer; a file of another schema version or without one is told in one sentence."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise EmofuseError(f"{path}: expected a prediction file, but it can't be read as Parquet ({error}).") from None
    return parse_footer(metadata, path)


def parse_footer(metadata: Mapping[bytes, bytes], path: Path) -> Footer:
    """The footer in Parquet key-value `metadata`; `path` is named in errors."""
    if FOOTER not in metadata:
        raise EmofuseError(f"{path}: expected a prediction file of emofuse, but its footer is missing.")
    try:
        data = json.loads(metadata[FOOTER])
    except (ValueError, RecursionError) as error:
        raise EmofuseError(f"{path}: expected a footer as JSON, but it can't be parsed ({error}).") from None
    remedy = "read it with the release that wrote it, or train the trial again"
    check_version(data, SCHEMA_VERSION, path, "prediction file", remedy)
    return parse(Footer, data, f"{path}: footer", "train the trial again")


def read_predictions(path: Path) -> Predictions:
    """Read one trial's file back; rows that `write_predictions` would refuse are refused."""
    footer = read_footer(path)
    if footer.dimensions:
        raise EmofuseError(f"{path}: expected predictions of classes, but they are of continuous emotion.")
    table = pq.read_table(path, partitioning=None)
    read = Predictions(
        footer=footer,
        clip_id=tuple(table["clip_id"].to_pylist()),
        group_id=tuple(table["group_id"].to_pylist()),
        split=tuple(table["split"].to_pylist()),
        role=tuple(table["role"].to_pylist()),
        label=tuple(table["label"].to_pylist()),
        valid=table["valid"].to_numpy(),
        probabilities=np.stack([table[f"p_{c}"].to_numpy() for c in footer.classes], axis=1),
    )
    read.check()
    return read


def prediction_files(run: Path) -> list[Path]:
    """All prediction files of a run, in a fixed order; names that start with a dot are unfinished writes."""
    return sorted(p for p in (run / "predictions").glob("family=*/*.parquet") if not p.name.startswith("."))
