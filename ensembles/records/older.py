"""Ensembles as earlier releases wrote them."""

from collections.abc import Mapping
from typing import Any


def upgraded(data: Any) -> Any:
    """The JSON of an ensemble in the present form; what is no earlier one stays as it is.

    Version 1 called two averages `uniform_average`: in the nested estimate that of all candidates, elsewhere that of
    the members with weight. Choices of `auto` told how far each fusion was `behind` the best; what they told of the
    error of that stands as the error of the gain.
    """
    if isinstance(data, Mapping) and "choice" in data:
        data = {**data, "choice": _gains(data["choice"])}
    if not isinstance(data, Mapping) or data.get("schema_version") != 1:
        return data
    scores = data.get("scores")
    average = scores.get("uniform_average") if isinstance(scores, Mapping) else None
    if isinstance(scores, Mapping) and isinstance(average, Mapping) and "nested" in average:
        kept = {how: measured for how, measured in average.items() if how != "nested"}
        scores = {**scores, "uniform_average": kept, "candidates_average": {"nested": average["nested"]}}
    return {**data, "scores": scores, "schema_version": 2}


def _gains(choice: Any) -> Any:
    rows = choice if isinstance(choice, list) else []
    if not rows or not all(isinstance(row, Mapping) and isinstance(row.get("behind"), float | int) for row in rows):
        return choice
    return [
        {**{key: value for key, value in row.items() if key != "behind"}, "gain": rows[0]["behind"] - row["behind"]}
        for row in rows
    ]
