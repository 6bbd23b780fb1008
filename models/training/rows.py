"""The steps of all clips of one slot end to end: as one tensor, or left in the store where they would fill memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Rows(Protocol):
    """R steps of one shape, images uint8 or numbers float32. `shape` is that of one step."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def __len__(self) -> int: ...

    def take(self, rows: Tensor) -> Tensor:
        """The steps `rows` (n,), on the CPU, as (n, ...)."""
        ...

    def pieces(self, steps: int) -> Iterator[Tensor]:
        """All steps in order, `steps` at a time."""
        ...

    def standardise_(self, mean: Tensor, std: Tensor) -> None:
        """From now on every step has `mean` subtracted and is divided by `std`."""
        ...


class InMemory:
    """All steps as one tensor (R, ...) on any device."""

    def __init__(self, values: Tensor):
        self.values = values
        self.shape, self.dtype = tuple(values.shape[1:]), values.dtype
        self._pinned = values.device.type == "cpu" and values.is_pinned()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor) -> Tensor:
        """See `Rows`; on the tensor's device. From pinned memory into pinned memory, which a GPU copies by itself."""
        if not self._pinned:
            return self.values.index_select(0, rows.to(self.values.device))
        taken = torch.empty((len(rows), *self.shape), dtype=self.dtype, pin_memory=True)
        return torch.index_select(self.values, 0, rows, out=taken)

    def pieces(self, steps: int) -> Iterator[Tensor]:
        """See `Rows`."""
        yield from self.values.split(steps)

    def standardise_(self, mean: Tensor, std: Tensor) -> None:
        """See `Rows`; in place."""
        self.values.sub_(mean.to(self.values.device)).div_(std.to(self.values.device))


class InStore:
    """The clips' arrays as they are, views of the memory-mapped store; only what is taken is copied.

    Standardising is done on what is taken: the same operations on the same numbers as `InMemory`.
    """

    def __init__(self, arrays: Sequence[np.ndarray], dtype: torch.dtype):
        self._arrays = arrays
        self._first = np.cumsum([0, *(len(array) for array in arrays)])
        self.shape, self.dtype = tuple(arrays[0].shape[1:]), dtype
        self._scale: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return int(self._first[-1])

    def take(self, rows: Tensor) -> Tensor:
        """See `Rows`."""
        at = rows.numpy()
        clips = np.searchsorted(self._first, at, side="right") - 1
        taken = torch.empty((len(at), *self.shape), dtype=self.dtype)
        out = taken.numpy()
        # One copy for each run of rows of the same clip.
        edges = [0, *(np.flatnonzero(np.diff(clips)) + 1).tolist(), len(at)]
        for begin, end in pairwise(edges):
            if begin < end:
                clip = int(clips[begin])
                out[begin:end] = self._arrays[clip][at[begin:end] - self._first[clip]]
        if self._scale is not None:
            mean, std = self._scale
            taken.sub_(mean).div_(std)
        return taken

    def pieces(self, steps: int) -> Iterator[Tensor]:
        """See `Rows`."""
        for rows in torch.arange(len(self)).split(steps):
            yield self.take(rows)

    def standardise_(self, mean: Tensor, std: Tensor) -> None:
        """See `Rows`; done when steps are taken."""
        self._scale = mean.cpu(), std.cpu()
