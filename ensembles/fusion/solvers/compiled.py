"""How the inner loops of the weight search are compiled, and on how many cores they run."""

from collections.abc import Callable
from typing import Any

from numba import njit

Compiled = Callable[..., Any]


def compiled(function: Compiled | None = None, *, contract: bool = False) -> Any:
    """Compile at the first call, without Python's lock; the machine code is kept on disk for the next process.

    Divisions by 0 give infinities: a check of each would keep the compiler from doing many at once. `contract` allows a
    multiplication and an addition to be rounded once (fused), which differs between machines.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"} if contract else False}

    def compile_(function: Compiled) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package nor the user's cache folder can be written
            return njit(**options)(function)

    return compile_ if function is None else compile_(function)
