"""Windows of a long signal, some thousands at a time, so that memory follows the result and not the spectra."""

from collections.abc import Iterator


def pieces(count: int, size: int, margin: int = 0) -> Iterator[tuple[slice, slice]]:
    """Yield (windows to compute, which of these to keep) until each of `count` windows was kept once, in order.

    A piece keeps `size` windows; `margin` more on either side let them see their neighbours.
    """
    for first in range(0, count, size):
        end = min(first + size, count)
        low = max(first - margin, 0)
        yield slice(low, min(end + margin, count)), slice(first - low, end - low)
