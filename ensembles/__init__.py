"""Predictions to an ensemble: fusion, protocols, report, export, predict.

The fusion methods, for classes and for continuous outputs, can be imported from here; they are loaded when one is
asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensembles.continuous import (
        ContinuousAverage,
        ContinuousBagged,
        ContinuousBest,
        ContinuousFusion,
        ContinuousShrunk,
    )
    from ensembles.fusion import (
        Bagged,
        BestSingle,
        DecisionFusion,
        GreedySelection,
        GridFusion,
        LineSearchFusion,
        Shrunk,
        Stacking,
        SubsetSearch,
        TemperatureScaling,
        UniformAverage,
    )

__all__ = [
    "Bagged",
    "BestSingle",
    "ContinuousAverage",
    "ContinuousBagged",
    "ContinuousBest",
    "ContinuousFusion",
    "ContinuousShrunk",
    "DecisionFusion",
    "GreedySelection",
    "GridFusion",
    "LineSearchFusion",
    "Shrunk",
    "Stacking",
    "SubsetSearch",
    "TemperatureScaling",
    "UniformAverage",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"ensembles.{'continuous' if name.startswith('Continuous') else 'fusion'}"), name)
    raise AttributeError(f"module 'ensembles' has no attribute {name!r}")
