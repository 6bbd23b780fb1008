"""Many clips at once: their pieces, sorted by length, go through an encoder in batches of about equal work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from features.errors import ClipFailure, EmofuseError
from features.one_clip import clip_or_machine
from features.sets import Extracted, FeatureArray, Media


@dataclass(frozen=True)
class Pieces:
    """What an encoder takes of one clip: one or more `arrays`, whose work is their `costs`.

    `join(outputs)` makes the clip's features of what the encoder gives for each array.
    """

    arrays: Sequence[np.ndarray]
    costs: Sequence[float]
    join: Callable[[list[np.ndarray]], FeatureArray]


T = TypeVar("T")
Read = Callable[[Media], Pieces]
Compute = Callable[[list[np.ndarray]], list[np.ndarray]]


def over_clips(
    set_name: str, media: Sequence[Media], read: Read, compute: Compute, most: float, waiting: float
) -> Iterator[tuple[int, Extracted]]:
    """Yield each clip's number and its features, or why it has none.

    A batch's work is at most `most` when each of its pieces counts as the longest; so much as `waiting` is read before
    batches are made, which bounds memory. An error of a clip's own is its failure; errors of the set end the work.
    """
    clips: list[tuple[int, Pieces]] = []
    work = 0.0
    for number, one in enumerate(media):
        found = _attempt(lambda one=one: read(one), set_name, one.path)  # type: ignore[misc]
        if isinstance(found, ClipFailure):
            yield number, found
            continue
        clips.append((number, found))
        work += sum(found.costs)
        if work >= waiting:
            yield from _computed(set_name, clips, compute, most)
            clips, work = [], 0.0
    yield from _computed(set_name, clips, compute, most)


def as_computed(found: Iterator[tuple[int, Extracted]], computed: Callable[[], str]) -> Iterator[tuple[int, Extracted]]:
    """What is `found`, with how the network `computed` it, which is asked when a clip is there."""
    for number, one in found:
        yield number, one if isinstance(one, ClipFailure) else replace(one, computed=computed())


def only_one(found: Iterator[tuple[int, Extracted]]) -> FeatureArray:
    """The features of the one clip that was given; raises its ClipFailure."""
    ((_, features),) = found
    if isinstance(features, ClipFailure):
        raise features
    return features


def _computed(
    set_name: str, clips: Sequence[tuple[int, Pieces]], compute: Compute, most: float
) -> Iterator[tuple[int, Extracted]]:
    pieces = [(cost, at, n) for at, (_, clip) in enumerate(clips) for n, cost in enumerate(clip.costs)]
    outputs: list[list[np.ndarray | ClipFailure | None]] = [[None] * len(clip.costs) for _, clip in clips]
    for batch in _batches(sorted(pieces, key=lambda piece: (-piece[0], piece[1], piece[2])), most):
        found = _robust([clips[at][1].arrays[n] for _, at, n in batch], compute, set_name)
        for (_, at, n), output in zip(batch, found, strict=True):
            outputs[at][n] = output
        for at in sorted({at for _, at, _ in batch}):
            if all(output is not None for output in outputs[at]):
                number, clip = clips[at]
                yield number, _joined(clip, outputs[at], set_name)
                outputs[at] = [None]  # frees its memory


def _batches(pieces: Sequence[tuple[float, int, int]], most: float) -> Iterator[Sequence[tuple[float, int, int]]]:
    """Cut pieces that are sorted by falling cost."""
    first = 0
    while first < len(pieces):
        count = max(1, int(most / max(pieces[first][0], 1e-9)))
        yield pieces[first : first + count]
        first += count


def _robust(arrays: list[np.ndarray], compute: Compute, set_name: str) -> Sequence[np.ndarray | ClipFailure]:
    """A batch's outputs; one that fails (memory, an odd clip) is computed again piece by piece."""
    if len(arrays) > 1:
        try:
            return compute(arrays)
        except (EmofuseError, ImportError):
            raise
        except Exception:
            return [output for array in arrays for output in _robust([array], compute, set_name)]
    found = _attempt(lambda: compute(arrays), set_name)
    return [found] if isinstance(found, ClipFailure) else found


def _joined(clip: Pieces, outputs: Sequence[np.ndarray | ClipFailure | None], set_name: str) -> Extracted:
    for output in outputs:
        if isinstance(output, ClipFailure):
            return output
    return _attempt(lambda: clip.join(list(outputs)), set_name)  # type: ignore[arg-type]


def _attempt(work: Callable[[], T], set_name: str, file: Path | None = None) -> T | ClipFailure:
    """What `work` gives, or why a clip has none: odd media, or a network's trouble with them, must not end the run."""
    try:
        return work()
    except ClipFailure as failure:
        return failure
    except EmofuseError:
        raise
    except Exception as error:
        told = clip_or_machine(error, set_name, file)
        if isinstance(told, ClipFailure):
            return told
        raise told from None
