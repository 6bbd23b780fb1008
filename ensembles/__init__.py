"""Predictions to an ensemble: fusion, protocols, report, export, predict.

The fusion methods can be imported from here; they are loaded when one is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        import ensembles.fusion

        return getattr(ensembles.fusion, name)
    raise AttributeError(f"module 'ensembles' has no attribute {name!r}")
