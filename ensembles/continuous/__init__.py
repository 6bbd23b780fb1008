"""Continuous outputs (arousal, valence, liking over time): concordance, fusion, and what the fusion is worth."""

from ensembles.continuous.concordance import concordance, concordance_interval
from ensembles.continuous.fusion import ContinuousAverage, ContinuousBest, ContinuousFusion

__all__ = ["ContinuousAverage", "ContinuousBest", "ContinuousFusion", "concordance", "concordance_interval"]
