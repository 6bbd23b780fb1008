"""The file of a fitted continuous fusion: weights by member and dimension, and scores with the rows they belong to."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ensembles.continuous.evaluate import ContinuousResult
from features.errors import EmofuseError
from features.files import read_json, write_json
from features.schema import parse

SCHEMA_VERSION = 1
_KIND = "continuous"
_AGAIN = "write it again with `emofuse ensemble continuous --output`"


def result_json(result: ContinuousResult) -> dict[str, Any]:
    """The result as JSON-ready data, with a sentence per dimension on what it is worth."""
    verdicts = {one.dimension: one.verdict for one in result.dimensions}
    return {**asdict(result), "verdicts": verdicts, "kind": _KIND, "schema_version": SCHEMA_VERSION}


def write_continuous(result: ContinuousResult, path: Path) -> None:
    """Write the result, whole or not at all."""
    write_json(path, result_json(result))


def read_continuous(path: Path) -> ContinuousResult:
    """Read what `write_continuous` wrote; what is wrong with it is told in one sentence."""
    data = read_json(path, "a fusion that `emofuse ensemble continuous` wrote", damaged=_AGAIN)
    found = (data.pop("kind", None), data.pop("schema_version", None)) if isinstance(data, dict) else (None, None)
    if found != (_KIND, SCHEMA_VERSION):
        raise EmofuseError(
            f"{path}: expected a continuous fusion of schema version {SCHEMA_VERSION}, but got kind {found[0]!r} of "
            f"version {found[1]!r}; {_AGAIN}."
        )
    result = parse(ContinuousResult, data, path, _AGAIN)
    for one in result.dimensions:
        if set(one.weights) != set(result.members) or not all(0 <= w < float("inf") for w in one.weights.values()):
            raise EmofuseError(
                f"{path}: expected a non-negative weight of {one.dimension} for each of the members "
                f"{', '.join(result.members)}, but got {dict(one.weights)}."
            )
    return result
