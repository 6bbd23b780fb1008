"""Fusion methods over stored predictions, in the manner of scikit-learn estimators."""

from collections.abc import Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from ensembles.fusion.base import Fusion
from ensembles.fusion.decision import DecisionFusion
from ensembles.fusion.greedy import GreedySelection
from ensembles.fusion.grid import GridFusion
from ensembles.fusion.simple import BestSingle, UniformAverage
from features.errors import WrongUse
from features.names import unknown_name

__all__ = ["METHODS", "BestSingle", "DecisionFusion", "Fusion", "GreedySelection", "GridFusion", "UniformAverage"]

METHODS: Mapping[str, type[Fusion]] = MappingProxyType(
    {
        "uniform": UniformAverage,
        "best": BestSingle,
        "grid": GridFusion,
        "decision": DecisionFusion,
        "greedy": GreedySelection,
    }
)


def make_fusion(method: str, params: Mapping[str, Any] | None = None, seed: int = 0) -> Fusion:
    """A fusion by its short name; `seed` goes to the methods that draw. Unknown methods and parameters are refused."""
    if method not in METHODS:
        raise unknown_name("fusion method", method, METHODS)
    known = signature(METHODS[method]).parameters
    given = dict(params or {})
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"parameter of the method {method}", name, known)
        default = known[name].default
        if isinstance(default, int | float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise WrongUse(f"The parameter {name} of the method {method} is a number, but got {value!r}.")
        if isinstance(default, int):
            if value != int(value):
                raise WrongUse(f"The parameter {name} of the method {method} is a whole number, but got {value!r}.")
            given[name] = int(value)
    if "seed" in known:
        given.setdefault("seed", seed)
    return METHODS[method](**given)
