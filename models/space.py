"""Search spaces as plain data: no lambdas, no nesting, so that they can be printed, stored and checked."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.schema import shown

Scalar = int | float | str | bool


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], drawn on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    def check(self, value: Scalar) -> str | None:
        """Why `value` does not lie in this range, or None."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return f"a number in [{self.low:g}, {self.high:g}]"
        return None

    def corners(self) -> tuple[Scalar, ...]:
        """The extreme values."""
        return (self.low, self.high)

    def middle(self) -> Scalar:
        """The value half way between the ends, on the scale that it is drawn on."""
        return _half_way(self.low, self.high, self.log)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], drawn on a logarithmic scale if `log`."""

    low: int
    high: int
    log: bool = False

    def check(self, value: Scalar) -> str | None:
        """Why `value` does not lie in this range, or None."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return f"a whole number in [{self.low}, {self.high}]"
        return None

    def corners(self) -> tuple[Scalar, ...]:
        """The extreme values."""
        return (self.low, self.high)

    def middle(self) -> Scalar:
        """The value half way between the ends, on the scale that it is drawn on."""
        return round(_half_way(self.low, self.high, self.log))


@dataclass(frozen=True)
class Choice:
    """One of the listed values."""

    values: tuple[Scalar, ...]

    def check(self, value: Scalar) -> str | None:
        """Why `value` is none of the choices, or None."""
        if not any(value == known and type(value) is type(known) for known in self.values):
            return f"one of {list(self.values)}"
        return None

    def corners(self) -> tuple[Scalar, ...]:
        """All values."""
        return self.values

    def middle(self) -> Scalar:
        """The first value."""
        return self.values[0]


def _half_way(low: float, high: float, log: bool) -> float:
    return math.sqrt(low * high) if log else (low + high) / 2


Parameter = Float | Int | Choice
Space = Mapping[str, Parameter]

# A recipe may widen a family's ranges; so far beyond them no model was ever trained, and its size is an attack.
_FURTHEST = 100


def check_point(space: Space, point: Mapping[str, Any], of: str) -> None:
    """Refuse a point that lacks a hyperparameter, has an unknown one, or lies outside `space`; `of` names the owner."""
    for name, value in point.items():
        if name not in space:
            raise unknown_name(f"hyperparameter of {of}", name, space)
        expected = space[name].check(value)
        if expected:
            raise WrongUse(f"Hyperparameter {name!r} of {of}: expected {expected}, but got {value!r}.")
    missing = sorted(set(space) - set(point))
    if missing:
        raise WrongUse(f"The hyperparameters of {of} lack {', '.join(missing)}.")


def check_stored(space: Space, point: Mapping[str, Any], place: str) -> None:
    """Refuse a point from a file that no recipe gives a family of this `space`; `place` begins the sentence.

    A number may lie outside the family's range, as recipes can move it, but only up to a hundred times its largest.
    """
    if set(point) != set(space):
        raise EmofuseError(f"{place}s: expected {', '.join(sorted(space)) or 'none'}, but got {shown(sorted(point))}.")
    for name, value in point.items():
        expected = _stored(space[name], value)
        if expected:
            raise EmofuseError(f"{place} {name!r}: expected {expected}, but got {shown(value)}.")


def _stored(parameter: Parameter, value: Any) -> str | None:
    """Why `value` can't be that of a trained model, or None."""
    if parameter.check(value) is None:
        return None
    known = [number for number in parameter.corners() if isinstance(number, int | float) and type(number) is not bool]
    if not known:
        return parameter.check(value)
    whole = not any(isinstance(number, float) for number in known)
    low, high = min(known), _FURTHEST * max(abs(number) for number in known)
    kind = f"a {'whole ' if whole else ''}number {'above' if low > 0 else 'from'} 0 to {high:g}"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return kind
    small = value <= 0 if low > 0 else value < min(low, 0)
    return kind if small or not math.isfinite(value) or value > high else None


def space_as_data(space: Space) -> dict[str, dict[str, Any]]:
    """The space as JSON-ready data: `{"lr": {"kind": "float", "low": ..., "high": ..., "log": true}}`."""
    return {name: {"kind": type(p).__name__.lower(), **asdict(p)} for name, p in space.items()}


def count_points(space: Space) -> float:
    """How many different points a space has; infinite with a real-valued hyperparameter."""
    return math.prod(_count(parameter) for parameter in space.values())


def _count(parameter: Parameter) -> float:
    if isinstance(parameter, Choice):
        return len(parameter.values)
    if parameter.low == parameter.high:
        return 1
    return math.inf if isinstance(parameter, Float) else parameter.high - parameter.low + 1
