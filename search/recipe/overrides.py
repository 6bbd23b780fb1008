"""A recipe's changes to a family's search space, checked against the family's own.

The type stays the family's. A range may be narrowed or widened, but not over zero where the family's own range stops
there; a list of values may take a range's place. Numbers of a choice may be others of the same type; words and booleans
are names of things that the family implements, so a choice of them can only be narrowed.
"""

from collections.abc import Mapping
from typing import Any

from features.errors import WrongUse
from features.names import unknown_name
from models.space import Choice, Float, Int, Parameter, Scalar


def override(parameter: Parameter, given: Any) -> Parameter:
    """`parameter` as the recipe changes it: `{low, high, log}` or a list of values; WrongUse says what was expected."""
    if isinstance(given, Mapping):
        if isinstance(parameter, Choice):
            raise WrongUse(f"expected a list of values such as {list(parameter.values)}, but got {dict(given)}.")
        return _range(parameter, given)
    if isinstance(given, list | tuple) and given:
        return Choice(tuple(dict.fromkeys(fitting(parameter, value) for value in given)))
    kind = "a list of values" if isinstance(parameter, Choice) else "{low: ..., high: ...} or a list of values"
    raise WrongUse(f"expected {kind}, but got {given!r}; one value alone goes under `fixed`.")


def fitting(parameter: Parameter, value: Any) -> Scalar:
    """`value` in the parameter's type, if a family with this parameter can take it."""
    if isinstance(parameter, Choice):
        return _among(parameter, value)
    number = _number(parameter, value)
    low = parameter.low
    if (low > 0 and number <= 0) or (low >= 0 and number < 0):
        raise WrongUse(f"expected a {_kind(parameter)} {'above' if low > 0 else 'not below'} 0, but got {value!r}.")
    return number


def _range(parameter: Float | Int, given: Mapping[Any, Any]) -> Parameter:
    for key in given:
        if key not in ("low", "high", "log"):
            raise unknown_name("key of a range", str(key), ("low", "high", "log"))
    low = fitting(parameter, given.get("low", parameter.low))
    high = fitting(parameter, given.get("high", parameter.high))
    log = given.get("log", parameter.log)
    if not isinstance(log, bool):
        raise WrongUse(f"expected true or false for log, but got {log!r}.")
    if low > high:  # type: ignore[operator]  # both are numbers: `fitting` of a range returns nothing else
        raise WrongUse(f"expected low <= high, but got low {low} and high {high}.")
    if log and low <= 0:  # type: ignore[operator]
        raise WrongUse(f"expected a low above 0 for a logarithmic range, but got {low}.")
    return type(parameter)(low, high, log)  # type: ignore[arg-type]


def _kind(parameter: Float | Int) -> str:
    return "whole number" if isinstance(parameter, Int) else "number"


def _number(parameter: Float | Int, value: Any) -> int | float:
    accepted = int if isinstance(parameter, Int) else int | float
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise WrongUse(f"expected a {_kind(parameter)}, but got {value!r}.")
    return value if isinstance(parameter, Int) else float(value)


def _among(parameter: Choice, value: Any) -> Scalar:
    if parameter.check(value) is None:
        return value
    kinds = {type(known) for known in parameter.values}
    if float in kinds and type(value) is int:
        value = float(value)
    if type(value) in kinds & {int, float}:
        return value
    expected = f"one of {list(parameter.values)}"
    if kinds & {int, float}:
        expected += " or another number of that type"
    raise WrongUse(f"expected {expected}, but got {value!r}.")
