"""Where random draws lie when a recipe says around which value a hyperparameter is thought to be best."""

import math
import random
from collections.abc import Iterator, Mapping

from models.space import Choice, Float, Int, Parameter, Scalar, Space

Prior = Mapping[str, Scalar]

# The spread of a draw, as a share of the range (of its logarithm, where the range is logarithmic).
_SPREAD = 0.2
# How often a choice is the value that the prior names.
_NAMED = 0.5


def centred(space: Space, prior: Prior, seed: int) -> Iterator[dict[str, Scalar]]:
    """Draws of the hyperparameters that `prior` names: normal around the value inside the range, half of a choice's."""
    numbers = random.Random(seed)
    while True:
        yield {name: _draw(space[name], value, numbers) for name, value in prior.items()}


def _draw(parameter: Parameter, centre: Scalar, numbers: random.Random) -> Scalar:
    if isinstance(parameter, Choice):
        others = [value for value in parameter.values if value != centre]
        return centre if not others or numbers.random() < _NAMED else numbers.choice(others)
    assert not isinstance(centre, str)
    low, high = _scaled(parameter, parameter.low), _scaled(parameter, parameter.high)
    while True:
        drawn = numbers.gauss(_scaled(parameter, centre), _SPREAD * (high - low))
        if low <= drawn <= high:
            break
    value = math.exp(drawn) if parameter.log else drawn
    if isinstance(parameter, Int):
        return min(max(round(value), parameter.low), parameter.high)
    return min(max(value, parameter.low), parameter.high)


def _scaled(parameter: Float | Int, value: float) -> float:
    return math.log(value) if parameter.log else float(value)
