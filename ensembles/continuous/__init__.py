"""Continuous outputs (arousal, valence, liking over time): concordance, fusion, and what the fusion is worth.

The fusion methods are loaded when one is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ensembles.continuous.concordance import concordance, concordance_interval

if TYPE_CHECKING:
    from ensembles.continuous.fusion import ContinuousAverage, ContinuousBest, ContinuousFusion
    from ensembles.continuous.wrapped import ContinuousBagged, ContinuousShrunk

__all__ = [
    "ContinuousAverage",
    "ContinuousBagged",
    "ContinuousBest",
    "ContinuousFusion",
    "ContinuousShrunk",
    "concordance",
    "concordance_interval",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        place = "wrapped" if name in ("ContinuousBagged", "ContinuousShrunk") else "fusion"
        return getattr(import_module(f"ensembles.continuous.{place}"), name)
    raise AttributeError(f"module 'ensembles.continuous' has no attribute {name!r}")
