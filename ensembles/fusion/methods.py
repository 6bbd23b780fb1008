"""All fusion methods by their short names, and what can be asked of each."""

from collections.abc import Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from ensembles.fusion.auto import AutoFusion
from ensembles.fusion.base import Fusion
from ensembles.fusion.decision import DecisionFusion
from ensembles.fusion.greedy import GreedySelection
from ensembles.fusion.grid import GridFusion
from ensembles.fusion.lines import LineSearchFusion
from ensembles.fusion.simple import BestSingle, UniformAverage
from ensembles.fusion.stacking import Stacking
from ensembles.fusion.subsets import SubsetSearch
from ensembles.fusion.votes import SharedVotes
from ensembles.fusion.wrappers.bagged import Bagged
from ensembles.fusion.wrappers.shrunk import Shrunk
from ensembles.fusion.wrappers.temperature import TemperatureScaling
from features import plugins
from features.errors import WrongUse
from features.names import unknown_name

METHODS: Mapping[str, type[Fusion]] = MappingProxyType(
    {
        "auto": AutoFusion,
        "uniform": UniformAverage,
        "votes": SharedVotes,
        "best": BestSingle,
        "subsets": SubsetSearch,
        "grid": GridFusion,
        "decision": DecisionFusion,
        "lines": LineSearchFusion,
        "greedy": GreedySelection,
        "stacking": Stacking,
    }
)

# Parameters of every method: fitted on so many bootstrap samples, shrunk toward safe weights, members rescaled first.
OPTIONS: Mapping[str, Any] = MappingProxyType({"bagged": 0, "shrunk": False, "temperatures": False})


def make_fusion(method: str, params: Mapping[str, Any] | None = None, seed: int = 0) -> Fusion:
    """A fusion by its short name; `seed` goes to the methods that draw. Unknown methods and parameters are refused.

    Besides the method's own parameters there are `OPTIONS`: `bagged=10`, `shrunk=True`, `temperatures=True`.
    """
    kind = fusion_method(method)
    own = {name: parameter.default for name, parameter in signature(kind).parameters.items()}
    given = dict(params or {})
    for name, value in given.items():
        if name not in own and name not in OPTIONS:
            raise unknown_name(f"parameter of the method {method}", name, [*own, *OPTIONS])
        given[name] = _checked(method, name, value, {**OPTIONS, **own}[name])
    options = {name: given.pop(name, default) for name, default in OPTIONS.items()}
    if method == "auto" and (options["bagged"] or options["shrunk"]):
        raise WrongUse("The method auto bags and shrinks by itself; leave bagged and shrunk out, or choose a method.")
    if "seed" in own:
        given.setdefault("seed", seed)
    fusion = kind(**given)
    # Members are brought to one scale once for all bags and folds.
    if options["bagged"]:
        fusion = Bagged(fusion, options["bagged"], seed)
    if options["shrunk"]:
        fusion = Shrunk(fusion, seed=seed)
    return TemperatureScaling(fusion) if options["temperatures"] else fusion


def fusion_method(method: str) -> type[Fusion]:
    """The class of a method, one of emofuse's own or a plug-in's; an unknown one is told with the nearest."""
    plugin = plugins.named("fusions", method, METHODS)
    if plugin is None and method not in METHODS:
        raise plugins.unknown("fusions", method, METHODS)
    return plugin.load_class(Fusion) if plugin else METHODS[method]


def _checked(method: str, name: str, value: Any, default: Any) -> Any:
    """The value of a parameter in the type of its default."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise WrongUse(f"The parameter {name} of the method {method} is true or false, but got {value!r}.")
        return value
    if isinstance(default, int | float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise WrongUse(f"The parameter {name} of the method {method} is a number, but got {value!r}.")
    if isinstance(default, int):
        if value != int(value):
            raise WrongUse(f"The parameter {name} of the method {method} is a whole number, but got {value!r}.")
        return int(value)
    return value
