"""Long clips in overlapping windows: what is kept of each lies far from its borders, so that they don't show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Steps `first` to `last` of a clip are kept from the window whose own steps begin with `start`."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def kept(self) -> slice:
        """The kept ones among the window's own steps."""
        return slice(self.first - self.start, self.last - self.start)


def cut(steps: int, most: int, margin: int) -> list[Window]:
    """Windows of at most `most` steps over a clip of `steps` steps, `margin` of them dropped at each inner border.

    Each step is kept once. A clip that fits into one window is one.
    """
    if steps <= most:
        return [Window(0, steps, 0, steps)]
    windows, kept = [], 0
    while kept < steps:
        start = max(0, min(kept - margin, steps - most))  # the last one ends with the clip
        stop = start + most
        last = steps if stop == steps else stop - margin
        windows.append(Window(start, stop, kept, last))
        kept = last
    return windows
