"""Variable-length clips as batches: one tensor per slot that holds all clips end to end, and index arithmetic.

A batch is one gather from that tensor, whatever its clips' lengths: no work in Python per clip, no list of tensors to
pad, no packing. Steps past a clip's end repeat its last step; `lengths` says which are valid.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from features.errors import EmofuseError
from models.examples import Examples
from models.family import Input
from models.pulse import beat
from models.training import memory
from models.training.rows import InMemory, InStore, Rows

# A batch of scores is cut so that no padded slot holds more numbers than this (4 MB as float32); images on a GPU may be
# more.
_SCORING_NUMBERS = 1_000_000
# Narrower steps count as this wide, since the layers behind them are.
_NARROWEST = 64
# Lengths are jittered by this share before sorting, so that an epoch's batches are not the same every time.
_JITTER = 0.15

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Window:
    """What a network sees of a clip at a time: `steps` steps, each `gap` steps after the one before.

    A longer clip is cut into such windows one after another, the last one flush with its end. A shorter one is a window
    by itself, whose last step is repeated.
    """

    steps: int
    gap: int = 1


@dataclass(frozen=True)
class Packed:
    """N clips packed: `values[slot]` are all their steps end to end; clip n is `length[n]` rows, `stride` apart, from
    `start[n]` on.

    `start` and `length` (N,) lie on the CPU, `values` on `device`, or in pinned memory when too large for it, or in the
    store when too large for that. `clip` (N,) tells which clip an example belongs to, where they are parts of clips.
    """

    values: Mapping[str, Rows]
    start: Tensors
    length: Tensors
    y: Tensor | None
    device: torch.device
    stride: int = 1
    clip: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.length.values())))

    def labels(self) -> Tensor:
        """`y`, or an error when these clips carry no labels."""
        if self.y is None:
            raise EmofuseError("These clips carry no labels, but training needs them.")
        return self.y

    def as_steps(self) -> "Packed":
        """Every step of the only slot as an example of its own, with its clip's label: stills instead of clips."""
        ((slot, length),) = self.length.items()
        rows = int(length.sum())
        y = None if self.y is None else self.y.repeat_interleave(length)
        return replace(self, start={slot: torch.arange(rows)}, length={slot: torch.ones(rows, dtype=torch.int64)}, y=y)

    def windows(self, window: Window) -> "Packed":
        """Every window of the only slot as an example of its own, with its clip's label."""
        ((slot, length),) = self.length.items()
        steps = -(-length // window.gap)
        beyond = (steps - window.steps).clamp(min=0)
        count = 1 - (-beyond // window.steps)
        clip = torch.arange(len(self)).repeat_interleave(count)
        number = torch.arange(len(clip)) - (count.cumsum(0) - count)[clip]
        first = torch.minimum(number * window.steps, beyond[clip])  # the last window ends with the clip
        return replace(
            self,
            start={slot: self.start[slot][clip] + window.gap * first},
            stride=window.gap,
            clip=clip,
            length={slot: steps[clip].clamp(max=window.steps)},
            y=None if self.y is None else self.y[clip],
        )

    def batch(self, clips: Tensor, min_steps: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs {slot: (B, T, ...)} and lengths {slot: (B,)} of `clips` (B,) on `device`; a clip shorter than
        `min_steps` counts as that long, its last step repeated."""
        beat()
        inputs, lengths = {}, {}
        for slot, values in self.values.items():
            start, length = self.start[slot][clips], self.length[slot][clips]
            steps = max(int(length.max()), min_steps)
            if steps == 1:
                rows = start
            else:
                rows = start[:, None] + self.stride * torch.minimum(torch.arange(steps), length[:, None] - 1)  # (B, T)
            gathered = values.take(rows.flatten()).view(len(clips), steps, *values.shape)
            inputs[slot] = gathered.to(self.device, non_blocking=True)  # (B, T, ...)
            lengths[slot] = length.clamp(min=min_steps).to(self.device, non_blocking=True)  # (B,)
        return inputs, lengths


def pack(examples: Examples, inputs: tuple[Input, ...], shapes: Mapping[str, tuple[int, ...]], device: str) -> Packed:
    """Copy the clips of `examples` into one tensor per slot; images stay uint8, vectors and maps become float32.

    Clips of more than `memory.most_bytes` stay where they are, which is the store: batches are read from it.
    Refuses a clip without steps, of another shape than `shapes[slot]`, with NaN or infinity, or with images that aren't
    uint8, by its name.
    """
    if len(examples) == 0:
        raise EmofuseError("Expected at least one clip, but got none.")
    where = torch.device(device)
    arrays = {slot: [a[None] if slot.level == "clip" else a for a in _arrays(examples, slot.slot)] for slot in inputs}
    for slot, clips in arrays.items():
        for clip_id, array in zip(examples.ids, clips, strict=True):
            if array.shape[1:] != tuple(shapes[slot.slot]) or len(array) == 0:
                shape = tuple(shapes[slot.slot])
                raise EmofuseError(
                    f"Clip {clip_id!r}: expected one or more {slot.slot!r} steps of shape {shape}, "
                    f"but got an array of shape {array.shape}; extract the set again."
                )
            if slot.is_image and array.dtype != np.uint8:
                raise EmofuseError(
                    f"Clip {clip_id!r}: expected {slot.slot!r} as images of type uint8, but got {array.dtype}."
                )
    numbers = {slot: sum(array.size for array in clips) for slot, clips in arrays.items()}
    copied = sum(count * (1 if slot.is_image else 4) for slot, count in numbers.items()) <= memory.most_bytes()
    values: dict[str, Rows] = {}
    start, length = {}, {}
    for slot, clips in arrays.items():
        dtype = np.uint8 if slot.is_image else np.float32
        if copied:
            joined = np.concatenate([array.astype(dtype, copy=False) for array in clips])
            placed = _placed(torch.from_numpy(joined), where)
            values[slot.slot] = InMemory(placed)
            finite = slot.is_image or bool(torch.isfinite(placed.sum()))
        else:
            values[slot.slot] = InStore(clips, torch.uint8 if slot.is_image else torch.float32)
            finite = slot.is_image or all(np.isfinite(array.sum(dtype=np.float64)) for array in clips)
        if not finite:
            examples.check_finite()
        length[slot.slot] = torch.tensor([len(array) for array in clips])
        start[slot.slot] = length[slot.slot].cumsum(0) - length[slot.slot]
    y = None if examples.y is None else torch.as_tensor(examples.y, dtype=torch.int64)
    return Packed(values, start, length, y, where)


def _arrays(examples: Examples, slot: str) -> Sequence[np.ndarray]:
    if slot not in examples.inputs:
        given = ", ".join(examples.inputs) or "none"
        raise EmofuseError(f"Expected features for input {slot!r}, but got those for {given}.")
    return examples.inputs[slot]


def _placed(values: Tensor, device: torch.device) -> Tensor:
    """On the device when it takes an eighth of its free memory at most (trials may share it), else pinned here."""
    if device.type != "cuda":
        return values
    if values.nbytes <= torch.cuda.mem_get_info(device)[0] // 8:
        return values.to(device)
    return values.pin_memory()


def epoch_batches(packed: Packed, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """One epoch's clip indices, shuffled, clips of about the same length together.

    Batch sizes differ by one at most: no tiny last batch.
    """
    n = len(packed)
    longest = torch.stack(list(packed.length.values())).amax(0)
    order = torch.randperm(n, generator=generator)
    if int(longest.min()) < int(longest.max()):
        key = longest[order] * (1 + _JITTER * torch.rand(n, generator=generator))
        order = order[key.argsort(stable=True)]
    batches = order.tensor_split(-(-n // batch_size))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def scoring_batches(packed: Packed, min_steps: int = 1) -> Iterator[Tensor]:
    """All clips once, sorted by length, cut so that a padded batch stays small in memory whatever the lengths."""
    longest = torch.stack(list(packed.length.values())).amax(0)
    width = max(_NARROWEST, *(math.prod(values.shape) for values in packed.values.values()))
    images = packed.device.type == "cuda" and all(values.dtype == torch.uint8 for values in packed.values.values())
    most = memory.image_numbers(packed.device) if images else _SCORING_NUMBERS
    order = longest.argsort(stable=True)
    steps = longest[order].clamp(min=min_steps).tolist()
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and (last + 1 - first) * steps[last] * width <= most:
            last += 1
        yield order[first:last]
        first = last
