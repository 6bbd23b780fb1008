"""Data from files that anybody may have written: checked against a model, and what is wrong told in one sentence."""

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, TypeVar, cast

from pydantic import StringConstraints, TypeAdapter, ValidationError

from features.errors import DamagedFile, EmofuseError
from features.files import read_json

T = TypeVar("T")

# A name that goes into sentences: one line, of a length that can be read.
Word = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]

_SHOWN = 80  # characters of a wrong value
# The plain repr of nested aliases or of a table of numbers may be longer than memory.
_repr = Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother, _repr.maxlong = 4, _SHOWN, _SHOWN, _SHOWN


def parse(
    model: type[T], data: Any, where: Path | str, remedy: str = "", error: type[EmofuseError] = EmofuseError
) -> T:
    """`data` as a `model`: a pydantic model, a dataclass, or any type that pydantic knows; unknown keys don't matter.

    `where` the data came from begins the sentence of the `error`, and `remedy` (what to do about it) ends it.
    """
    try:
        return cast(T, _adapter(cast(Hashable, model)).validate_python(data))
    except ValidationError as wrong:
        told = sentence(wrong)
    except RecursionError:
        told = "the file: expected plain data, but it is nested too deeply."
    raise error(f"{where}: {told.removesuffix('.')}; {remedy}." if remedy else f"{where}: {told}") from None


def read_as(model: type[T], path: Path, what: str, remedy: str = "", missing: str = "") -> T:
    """The JSON file at `path`, `what` it should be, as a `model`; see `parse` and `read_json`.

    DamagedFile, with the `remedy`, where the file is no such thing.
    """
    return parse(model, read_json(path, what, missing=missing, damaged=remedy), path, remedy, DamagedFile)


def check_version(data: Any, expected: int, where: Path | str, what: str, remedy: str) -> None:
    """Refuse data whose `schema_version` isn't the `expected` one; `what` it is and the `remedy` are told."""
    if not isinstance(data, Mapping):
        raise EmofuseError(f"{where}: expected a mapping of keys to values ({what}), but got {shown(data)}.")
    if (version := data.get("schema_version")) != expected:
        raise EmofuseError(
            f"{where}: {what} of schema version {shown(version)}, but this emofuse reads version {expected}; {remedy}."
        )


def sentence(error: ValidationError) -> str:
    """The first of pydantic's findings as one sentence: where, what was expected, what came."""
    first = error.errors(include_url=False)[0]
    place = where(first["loc"])
    if first["type"] == "missing":
        return f"{place}: this key is required, but it is missing."
    if first["type"].startswith("emofuse_"):
        return f"{place}: {first['msg']}" if place else first["msg"]
    if first["type"] in ("model_type", "dataclass_type", "model_attributes_type"):
        expected = "a mapping of keys to values"
    else:
        expected = re.sub(r"^(?=greater|less)", "a number ", first["msg"].removeprefix("Input should be "))
    return f"{place or 'the file'}: expected {expected}, but got {shown(first['input'])}."


def where(loc: tuple[int | str, ...]) -> str:
    """`("stages", 0, "entries", "svm")` as `stages[0].entries.svm`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def shown(value: Any) -> str:
    """A wrong value as a sentence shows it: its repr in 80 characters, whatever its size."""
    text = _repr.repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


@lru_cache(maxsize=256)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)
