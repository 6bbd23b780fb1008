"""Where a run keeps its ensembles: `ensemble.json`, written, read and checked, and found by name."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.records.ensemble import Ensemble
from ensembles.records.older import upgraded
from ensembles.records.weights import are_weights, fits
from features.errors import EmofuseError, WrongUse
from features.files import read_json, write_json
from features.names import unknown_name
from features.progress import say_once
from features.schema import check_version, parse, shown
from features.tables.readable import Readable

SCHEMA_VERSION = 2


def ensemble_json(ensemble: Ensemble) -> dict[str, Any]:
    """The ensemble as JSON-ready data."""
    plain = asdict(replace(ensemble, weights=np.zeros(0)))
    return {**plain, "weights": ensemble.weights.tolist(), "schema_version": SCHEMA_VERSION}


def write_ensemble(ensemble: Ensemble, path: Path) -> None:
    """Write ensemble.json, whole or not at all."""
    write_json(path, ensemble_json(ensemble))


def read_ensemble(path: Readable) -> Ensemble:
    """Read ensemble.json; what is wrong with it is told in one sentence."""
    data = upgraded(read_json(path, "an ensemble that `emofuse ensemble fit` wrote", damaged="fit the ensemble again"))
    check_version(data, SCHEMA_VERSION, str(path), "ensemble", "use the release that wrote it, or fit it again")
    ensemble = parse(Ensemble, data, str(path), "fit the ensemble again")
    expected = (len(ensemble.members), len(ensemble.outputs))
    if ensemble.over_time is not None and ensemble.members and not ensemble.classes:
        ensemble.over_time.check(str(path))
    elif not ensemble.members or len(set(ensemble.classes)) != len(ensemble.classes) or len(ensemble.classes) < 2:
        raise EmofuseError(
            f"{path}: expected one or more members and two or more different classes, but got {len(ensemble.members)} "
            f"members and the classes {shown(ensemble.classes)}; fit it again."
        )
    if not are_weights(ensemble.weights, *expected):
        raise EmofuseError(
            f"{path}: expected finite, non-negative weights of shape {expected} (members, classes or dimensions) that "
            f"sum to 1 for each class or dimension, but got {shown(data['weights'])}; fit it again."
        )
    if ensemble.temperatures is not None and (
        len(ensemble.temperatures) != expected[0] or not all(0 < t < np.inf for t in ensemble.temperatures)
    ):
        raise EmofuseError(
            f"{path}: expected {expected[0]} temperatures above 0, one per member, but got "
            f"{shown(ensemble.temperatures)}; fit it again."
        )
    if ensemble.log_pool is not None and not fits(ensemble.log_pool, *expected):
        M, C = expected
        raise EmofuseError(
            f"{path}: expected a log_pool of finite coefficients of shape {(M, C, C)} (members, classes, classes) "
            "and a bias per class; fit it again."
        )
    return ensemble


def ensemble_path(run: Path, name: str) -> Path:
    """Where a run keeps an ensemble of that name."""
    if not re.fullmatch(r"[\w-][\w.+-]*", name):
        raise WrongUse(f"An ensemble's name has letters, digits, '_', '-', '+' and dots inside, but got {name!r}.")
    return run / "ensembles" / name / "ensemble.json"


def ensemble_names(run: Path) -> tuple[str, ...]:
    """The names of all ensembles of a run, sorted."""
    return tuple(sorted(path.parent.name for path in (run / "ensembles").glob("*/ensemble.json")))


def readable_ensembles(run: Path) -> list[Ensemble]:
    """All ensembles of a run by name; one that can't be read is told and left out."""
    found = []
    for name in ensemble_names(run):
        try:
            found.append(open_ensemble(run, name))
        except EmofuseError as error:
            say_once(str(error))
    return found


def open_ensemble(run: Path, name: str) -> Ensemble:
    """A run's ensemble by name; an unknown one is told with the nearest."""
    path = ensemble_path(run, name)
    if not path.is_file():
        raise unknown_name(f"ensemble of {run}", name, ensemble_names(run))
    return read_ensemble(path)
