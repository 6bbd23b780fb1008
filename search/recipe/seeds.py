"""How many seeds configurations are trained with: `seeds: 5` for each, `seeds: {best: 5}` for each entry's best."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


class BestSeeds(BaseModel):
    """`{best: n}`: once an entry's search is over, its best configuration is trained with n seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    best: int


def _seeds(value: Any) -> Any:
    number = value["best"] if isinstance(value, Mapping) and set(value) == {"best"} else value
    if isinstance(value, BestSeeds) or (type(number) is int and number >= 1):
        return value
    text = f"expected a number of seeds of at least 1, or {{best: n}} for each entry's best, but got {value!r}."
    raise PydanticCustomError("emofuse_seeds", "{text}", {"text": text})


# Here, not in the model: pydantic tells a union's mistakes once for each of its types.
Seeds = Annotated[int | BestSeeds, BeforeValidator(_seeds)]
