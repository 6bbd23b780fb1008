"""From an encoder's steps to what is stored: the steps themselves, or one vector per clip."""

from collections.abc import Mapping

import numpy as np

from features.names import unknown_name
from features.sets import FeatureArray, Level, Value

POOLS = ("none", "mean", "mean+std")


def check_pool(params: Mapping[str, Value]) -> str:
    """The value of `pool`; another one is told with the known ones."""
    pool = str(params["pool"])
    if pool not in POOLS:
        raise unknown_name("pooling", pool, POOLS)
    return pool


def level(params: Mapping[str, Value]) -> Level:
    """The level of the features: pooled ones are one vector per clip."""
    return "frame" if check_pool(params) == "none" else "clip"


def pooled_shape(shape: tuple[int, ...], pool: str) -> tuple[int, ...]:
    """The shape of one time step (..., F) after pooling."""
    return (*shape[:-1], 2 * shape[-1]) if pool == "mean+std" else shape


def pooled(values: np.ndarray, time_s: np.ndarray, pool: str) -> FeatureArray:
    """Steps (T, ..., F) as they are stored; with a mean and a deviation behind one another (1, ..., 2F)."""
    if pool == "none" or not len(values):
        return FeatureArray(values, time_s)
    wide = values.astype(np.float64)
    parts = [wide.mean(axis=0), wide.std(axis=0)][: 1 + (pool == "mean+std")]
    return FeatureArray(np.concatenate(parts, axis=-1)[None].astype(np.float32), np.zeros(1))
