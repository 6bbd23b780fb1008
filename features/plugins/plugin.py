"""What a plug-in is, and what its code is told to be when it can't be used."""

import ast
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from features.errors import WrongUse

Record = TypeVar("Record")


@dataclass(frozen=True)
class Kind:
    """What can be plugged in: in words, and the name that a module gives it."""

    words: str
    attribute: str


# By the ends of the groups of entry points, as `emofuse.families`.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "families": Kind("family", "FAMILY"),
        "feature_sets": Kind("feature set", "SET"),
        "datasets": Kind("data set", "ADAPTER"),
        "fusions": Kind("fusion method", "FUSION"),
    }
)


@dataclass(frozen=True)
class Plugin:
    """One record of a plug-in.

    `source` is what a user can ask for, a file's name or a package with its version; `origin` says where it lies here,
    `place` file and line. `sha256` is the digest of its code. `read` gives the record.
    """

    kind: str
    name: str
    source: str
    origin: str
    place: str
    sha256: str
    read: Callable[[], Any]

    def load(self, expected: type[Record]) -> Record:
        """The record. WrongUse with file and line where its code can't be run or gives something else."""
        record = self.read()
        name = getattr(record, "name", self.name)
        if not isinstance(record, expected) or name != self.name:
            came = f"one called {name!r}" if isinstance(record, expected) else shown_type(record)
            raise WrongUse(f"{self.place}: expected a {expected.__name__} called {self.name!r}, but got {came}.")
        return record

    def load_class(self, expected: Any) -> type[Any]:
        """The same where the record is a class."""
        record = self.read()
        if not (isinstance(record, type) and issubclass(record, expected)):
            raise WrongUse(f"{self.place}: expected a subclass of {expected.__name__}, but got {shown_type(record)}.")
        return record


def shown_type(value: Any) -> str:
    """What a value is, in words."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def line_of(code: str, attribute: str) -> int:
    """The line in which a module gives a value to `attribute`; 1 where it can't be told."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return 1
    for node in reversed(body):
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            return node.lineno
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
            return node.lineno
    return 1


def broken(error: BaseException, where: Path, otherwise: str) -> WrongUse:
    """The sentence for code below `where` that failed, with the line; `otherwise` is named where none is known."""
    place = otherwise
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(where):
        place = f"{error.filename}, line {error.lineno}"
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).is_relative_to(where):
                place = f"{frame.filename}, line {frame.lineno}"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(f"{type(error).__name__}: {message}".split())[:300]
    return WrongUse(f"{place}: expected a plug-in that can be imported, but got {text}.")
