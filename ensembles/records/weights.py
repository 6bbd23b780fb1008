"""Weights as `ensemble.json` holds them, and whether they can be an ensemble's."""

from typing import Annotated, Any

import numpy as np
from pydantic import GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

from ensembles.fusion.pooling import LogPool

_ROUNDING = 1e-6  # of a class's weights in sum


def _rows_as_array(_: Any, schema_of: GetCoreSchemaHandler) -> CoreSchema:
    rows = schema_of.generate_schema(tuple[tuple[float, ...], ...])
    return core_schema.no_info_after_validator_function(_array, rows)


def _array(rows: tuple[tuple[float, ...], ...]) -> np.ndarray:
    alike = len({len(row) for row in rows}) == 1
    return np.array(rows, dtype=np.float64) if alike else np.zeros((0, 0))


# In the file: nested lists. What has no shape is an empty array.
Weights = Annotated[np.ndarray, GetPydanticSchema(_rows_as_array)]


def are_weights(weights: np.ndarray, M: int, C: int) -> bool:
    """Whether they have the shape (M, C), are 0 or more, and sum to 1 for each class."""
    # NaN is neither 0 or more, nor does it sum to anything.
    return (
        weights.shape == (M, C)
        and bool((weights >= 0).all())
        and bool((np.abs(weights.sum(axis=0) - 1) <= _ROUNDING).all())
    )


def fits(pool: LogPool, M: int, C: int) -> bool:
    """Whether the coefficients of stacking are those of M members and C classes, and finite."""
    try:
        coefficients, biases = np.array(pool.coefficients), np.array(pool.biases)
    except ValueError:  # rows of different length
        return False
    return (
        coefficients.shape == (M, C, C)
        and biases.shape == (C,)
        and bool(np.isfinite(coefficients).all() and np.isfinite(biases).all())
    )
