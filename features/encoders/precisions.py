"""The parameter `precision` of the sets that read networks: which types may be asked for, and what keys know of it."""

from collections.abc import Mapping

from features.names import unknown_name
from features.sets import Value

AUTO = "auto"
PRECISIONS = (AUTO, "float32", "bfloat16", "float16")


def check_precision(params: Mapping[str, Value]) -> str:
    """The value of `precision`; another one is told with the known ones."""
    precision = str(params["precision"])
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    return precision


def keyed(params: Mapping[str, Value]) -> Mapping[str, Value]:
    """The parameters as a key knows them: `auto` isn't named, as it was not before there were others."""
    precision = check_precision(params)
    return {name: value for name, value in params.items() if name != "precision" or precision != AUTO}
