"""The configurations of an entry that come before any draw: its own, those of other runs, the published ones."""

from collections.abc import Mapping, Sequence

from models.space import Choice, Parameter, Scalar
from search.recipe import overrides
from search.recipe.entry import Entry
from search.sampling.drawing import Point


def first_points(entry: Entry, warm: Sequence[Point] = ()) -> tuple[Point, ...]:
    """The entry's first points, each once, at most as many as it has configurations; `warm` are those of other runs."""
    found: list[Point] = []
    for point in (*own_points(entry), *warm, *entry.published_points()):
        if point not in found:
            found.append(point)
    return tuple(found[: entry.planned_configurations])


def own_points(entry: Entry) -> tuple[Point, ...]:
    """The points that the recipe gives; what one doesn't say is as published, moved into the range."""
    space, usual = entry.effective_space(), usual_point(entry)
    return tuple(
        {**usual, **{name: overrides.fitting(space[name], value) for name, value in given.items() if name in space}}
        for given in entry.points
    )


def prior(entry: Entry) -> dict[str, Scalar]:
    """The values around which the entry's random draws lie, of what it searches."""
    space = entry.effective_space()
    return {name: overrides.fitting(space[name], value) for name, value in entry.prior.items() if name in space}


def usual_point(entry: Entry) -> dict[str, Scalar]:
    """The family's usual point, moved into the entry's own space."""
    usual = entry.record().usual
    return {name: moved(parameter, usual[name]) for name, parameter in entry.effective_space().items()}


def moved(parameter: Parameter, value: Scalar) -> Scalar:
    """The value of the parameter that is nearest to `value`; of a choice of words that lacks it, the first."""
    if isinstance(parameter, Choice):
        if parameter.check(value) is None:
            return value
        numbers = [known for known in parameter.values if isinstance(known, int | float) and type(known) is not bool]
        if not numbers or isinstance(value, str | bool):
            return parameter.values[0]
        return min(numbers, key=lambda known: (abs(known - value), known))
    if isinstance(value, str | bool):
        return parameter.low
    number = min(max(value, parameter.low), parameter.high)
    return round(number) if isinstance(parameter.low, int) and not isinstance(number, int) else number


def changes(point: Mapping[str, Scalar], theirs: Mapping[str, Scalar]) -> str:
    """What of `theirs` is not as it was, as a clause; empty where nothing is."""
    told = []
    for name, value in sorted(point.items()):
        if name not in theirs:
            told.append(f"{name} {_shown(value)}, which it did not have")
        elif theirs[name] != value:
            told.append(f"{name} {_shown(theirs[name])} moved to {_shown(value)}")
    return ", ".join(told)


def _shown(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
