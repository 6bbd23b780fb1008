"""Damaged copies of a file's bytes."""

import random
from collections.abc import Iterator


def flips(data: bytes, n: int = 100, seed: int = 0) -> Iterator[tuple[int, bytes]]:
    """(place, copy) of `n` copies of `data` with one bit turned, at places spread over the whole."""
    draw = random.Random(seed)
    for i in range(n):
        place = draw.randrange(i * len(data) // n, max(1, (i + 1) * len(data) // n))
        yield place, data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def cuts(data: bytes, n: int = 100) -> Iterator[bytes]:
    """`n` copies that end too early; the first one is empty."""
    for i in range(n):
        yield data[: i * len(data) // n]
