"""Continuous outputs (arousal, valence, liking over time): concordance, fusion, and what the fusion is worth."""

from ensembles.continuous.concordance import concordance, concordance_interval
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
