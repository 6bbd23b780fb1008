"""Random numbers of the weight search, addressed by round and draw.

Any draw can be made again without those before it, so a search may evaluate draws ahead of time, in any order and in
any number of threads, and still see the numbers of the one-by-one procedure.
"""

from typing import Literal

import numpy as np

Kind = Literal["uniform", "gaussian", "symmetric"]
BLOCK = 1024  # draws made at once; part of what a seed means


class Noise:
    """Blocks of random numbers: uniform on [0, 1), standard normal, or uniform on [-1, 1) (`symmetric`).

    `attempt` 0 is the draw itself; 1, 2, ... are for the classes whose weights all came out 0 and are drawn again.
    """

    def __init__(self, seed: int, M: int, C: int):
        self._seed, self._shape = seed, (BLOCK, M, C)
        self._kept: dict[tuple[Kind, int, int, int], np.ndarray] = {}

    def block(self, kind: Kind, round_: int, block: int, attempt: int = 0) -> np.ndarray:
        """(BLOCK, M, C) float32 numbers of the draws [block * BLOCK, (block + 1) * BLOCK) of a round."""
        address = (kind, round_, block, attempt)
        if address not in self._kept:
            if any(kept[:3] != address[:3] for kept in self._kept):
                self._kept.clear()
            self._kept[address] = self._make(kind, np.random.SeedSequence([self._seed, round_, block, attempt]))
        return self._kept[address]

    def _make(self, kind: Kind, seed: np.random.SeedSequence) -> np.ndarray:
        generator = np.random.Generator(np.random.SFC64(seed))
        if kind == "gaussian":
            return generator.standard_normal(self._shape, dtype=np.float32)
        numbers = generator.random(self._shape, dtype=np.float32)
        return numbers if kind == "uniform" else 2 * numbers - 1
