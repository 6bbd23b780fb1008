"""Predictions as files: in the forms that challenges ask for, and as plain tables.

| form | what is written |
|---|---|
| emotiw | a zip with one `<id>.txt` for each clip, which holds the class word and nothing else |
| avec2017 | a folder with one folder for each dimension, and in it `<recording>.csv`: `'name';time;value` every 0.1 s |
| avec2019 | a folder of `<recording>.csv` in the form of the 2019 labels: a header, and all dimensions side by side |
| csv, jsonl, parquet | a row for each clip with its class and probabilities, or for each moment of a recording |
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from ensembles.predictions.long_format import write_long
from features.errors import EmofuseError, WrongUse
from features.files import replacing_folder, write_bytes
from features.names import unknown_name

Form = Literal["emotiw", "avec2017", "avec2019", "csv", "jsonl", "parquet"]
FORMS: tuple[Form, ...] = get_args(Form)
_BY_SUFFIX: Mapping[str, Form] = {".zip": "emotiw", ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
_STEP_S = 0.1  # of AVEC's labels


@dataclass(frozen=True, eq=False)
class ClassPredictions:
    """Probabilities (N, C) of `classes` for the clips `ids`; `scored` (N,) tells for which any member had a score."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    scored: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The class of each clip."""
        return [self.classes[c] for c in self.probabilities.argmax(axis=1)]

    def table(self) -> pa.Table:
        """A row for each clip."""
        columns = {f"p_{name}": pa.array(self.probabilities[:, c]) for c, name in enumerate(self.classes)}
        return pa.table({"clip_id": pa.array(self.ids, pa.string()), "label": pa.array(self.labels), **columns})


@dataclass(frozen=True, eq=False)
class TracePredictions:
    """For each recording its times (T,) in seconds and its values (T, D) of `dimensions`."""

    dimensions: tuple[str, ...]
    traces: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def table(self) -> pa.Table:
        """A row for each moment of each recording."""
        lengths = [len(time_s) for time_s, _ in self.traces.values()]
        values = np.concatenate([values for _, values in self.traces.values()])
        return pa.table(
            {
                "clip_id": pa.array(np.repeat(list(self.traces), lengths), pa.string()),
                "time_s": pa.array(np.concatenate([time_s for time_s, _ in self.traces.values()])),
                **{name: pa.array(values[:, d]) for d, name in enumerate(self.dimensions)},
            }
        )


def form_of(name: str | None, out: Path) -> Form:
    """The form that is asked for, or that the suffix of `out` stands for; WrongUse for an unknown one."""
    if name is None:
        form = _BY_SUFFIX.get(out.suffix.lower())
        if form is None:
            raise WrongUse(f"{out}: expected --format ({', '.join(FORMS)}), or a name in {', '.join(_BY_SUFFIX)}.")
        return form
    for form in FORMS:
        if form == name:
            return form
    raise unknown_name("format", name, FORMS)


def write_form(found: ClassPredictions | TracePredictions, form: Form, out: Path) -> None:
    """Write the predictions, whole or not at all. Errors: WrongUse for a form of the other kind of predictions."""
    if form in ("csv", "parquet"):
        if out.suffix.lower() != f".{form}":
            raise WrongUse(f"{out}: the form {form} is written to a file that ends in .{form}.")
        write_long(out, found.table())
    elif form == "jsonl":
        write_bytes(out, b"".join(json.dumps(row).encode() + b"\n" for row in found.table().to_pylist()))
    elif isinstance(found, ClassPredictions):
        if form != "emotiw":
            raise WrongUse(f"The form {form} is for predictions of continuous emotion, but these are of classes.")
        write_bytes(out, _emotiw(found))
    else:
        if form == "emotiw":
            raise WrongUse("The form emotiw is for predictions of classes, but these are of continuous emotion.")
        _write_avec(found, form, out)


def _emotiw(found: ClassPredictions) -> bytes:
    names = _short(found.ids)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, label in zip(names, found.labels, strict=True):
            # The same predictions are the same bytes: no time of day.
            archive.writestr(zipfile.ZipInfo(f"{name}.txt", (1980, 1, 1, 0, 0, 0)), label)
    return data.getvalue()


def _write_avec(found: TracePredictions, form: Form, out: Path) -> None:
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise WrongUse(f"{out} exists: choose a new folder for the files of {form}.")
    names = _short(tuple(found.traces))
    with replacing_folder(out) as folder:
        for name, (time_s, values) in zip(names, found.traces.values(), strict=True):
            steps, on_grid = _every_step(time_s, values)
            if form == "avec2019":
                head = ";".join(["name", "timestamp", *found.dimensions])
                (folder / f"{name}.csv").write_bytes(f"{head}\n{_rows(name, steps, on_grid)}".encode())
                continue
            for d, dimension in enumerate(found.dimensions):
                (folder / dimension).mkdir(exist_ok=True)
                text = _rows(name, steps, on_grid[:, d : d + 1])
                (folder / dimension / f"{name}.csv").write_bytes(text.encode())


def _every_step(time_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values every 0.1 s from 0 on, as the labels are; between moments of another step on the line."""
    steps = np.arange(int(np.floor(time_s[-1] / _STEP_S + 1e-6)) + 1) * _STEP_S
    return steps, np.stack([np.interp(steps, time_s, column) for column in values.T], axis=1)


def _rows(name: str, steps: np.ndarray, values: np.ndarray) -> str:
    rows = (f"'{name}';{t:.6f};" + ";".join(f"{v:.6f}" for v in row) for t, row in zip(steps, values, strict=True))
    return "\n".join(rows) + "\n"


def _short(ids: Sequence[str]) -> list[str]:
    """The organisers' own ids: `000029320` of `test/000029320`."""
    names = [clip_id.rpartition("/")[2] for clip_id in ids]
    double = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if double is not None:
        raise EmofuseError(f"Two clips have the id {double!r} of the organisers, so their files would be one.")
    return names
