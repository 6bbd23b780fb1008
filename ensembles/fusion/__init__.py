"""Fusion methods over stored predictions, in the manner of scikit-learn estimators.

They are loaded when one is asked for: the compiler and scikit-learn behind them take seconds, and who only reads
ensembles needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensembles.fusion.auto import AutoFusion
    from ensembles.fusion.base import Fusion
    from ensembles.fusion.decision import DecisionFusion
    from ensembles.fusion.greedy import GreedySelection
    from ensembles.fusion.grid import GridFusion
    from ensembles.fusion.lines import LineSearchFusion
    from ensembles.fusion.methods import METHODS, OPTIONS, make_fusion
    from ensembles.fusion.simple import BestSingle, UniformAverage
    from ensembles.fusion.stacking import Stacking
    from ensembles.fusion.subsets import SubsetSearch
    from ensembles.fusion.votes import SharedVotes
    from ensembles.fusion.wrappers.bagged import Bagged
    from ensembles.fusion.wrappers.shrunk import Shrunk
    from ensembles.fusion.wrappers.temperature import TemperatureScaling

__all__ = [
    "METHODS",
    "OPTIONS",
    "AutoFusion",
    "Bagged",
    "BestSingle",
    "DecisionFusion",
    "Fusion",
    "GreedySelection",
    "GridFusion",
    "LineSearchFusion",
    "SharedVotes",
    "Shrunk",
    "Stacking",
    "SubsetSearch",
    "TemperatureScaling",
    "UniformAverage",
    "make_fusion",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = import_module("ensembles.fusion.base" if name == "Fusion" else "ensembles.fusion.methods")
        return getattr(module, name)
    raise AttributeError(f"module 'ensembles.fusion' has no attribute {name!r}")
