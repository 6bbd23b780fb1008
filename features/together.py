"""Clips that one process takes together, for feature sets that are faster on many clips at once."""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from features.errors import ClipFailure, EmofuseError, MachineFault
from features.one_clip import clip_or_machine, unusable
from features.sets import Extracted, FeatureSet, Media, SetSpec, Value, get_set
from features.workers.clip_processes import ProcessDied

# So many at once: of those a batch is made of like length.
TOGETHER = 16

Clip = tuple[str, Media]
Clips = tuple[Clip, ...]


def grouped(clips: Sequence[Clip], feature_set: FeatureSet) -> list[Clips]:
    """The clips one by one, or as many as a process takes at once: those of like length together, the longest first.

    A clip whose file can't be used from here is by itself, as other machines may be asked for it.
    """
    if feature_set.extract_many is None:
        return [(clip,) for clip in clips]
    alone = [clip for clip in clips if unusable(clip[1]) is not None]
    some = sorted((clip for clip in clips if unusable(clip[1]) is None), key=lambda clip: -_length(clip[1]))
    return [(clip,) for clip in alone] + [tuple(some[at : at + TOGETHER]) for at in range(0, len(some), TOGETHER)]


def _length(media: Media) -> float:
    """Seconds, or bytes of files that are read to their end: about as good, as those of a table are of one kind."""
    return media.path.stat().st_size if media.end_s is None else media.end_s - media.start_s


def each(results: Iterable[tuple[Clips, Any]], suspects: list[Clips]) -> Iterator[tuple[Clip, Any]]:
    """The result of each clip; those of a group whose process died become `suspects`, to be tried one by one."""
    for clips, result in results:
        if isinstance(result, ProcessDied) and len(clips) > 1:
            suspects += [(clip,) for clip in clips]
            continue
        for clip in clips:
            yield clip, result.get(clip[0]) if isinstance(result, dict) else result


def extract_together(clips: Clips, spec: SetSpec, stored_as: Mapping[str, Value]) -> Iterator[tuple[str, Extracted]]:
    """(clip_id, its features or failure) as they are ready.

    MachineFault as in `extract_clip`, and where the weights that lie here aren't those that the set is `stored_as`.
    """
    feature_set = get_set(spec.name)
    assert feature_set.extract_many is not None
    check_same(spec, stored_as)
    usable = []
    for clip_id, media in clips:
        failure = unusable(media)
        if failure is not None:
            yield clip_id, failure
        else:
            usable.append((clip_id, media))
    try:
        for number, extracted in feature_set.extract_many([media for _, media in usable], spec.params):
            yield usable[number][0], extracted
    except (EmofuseError, MemoryError):
        raise
    except Exception as error:
        told = clip_or_machine(error, spec.name)
        raise MachineFault(f"Feature set '{spec}': {told.reason}.") if isinstance(told, ClipFailure) else told from None


def check_same(spec: SetSpec, stored_as: Mapping[str, Value]) -> None:
    """MachineFault where parameters such as the weights' digest mean something else here than where the work began."""
    here = get_set(spec.name).concrete(spec.params)
    for name, value in stored_as.items():
        if here[name] != value:
            raise MachineFault(
                f"Feature set '{spec}': expected {name}={value} on every machine, but {socket.gethostname()} has "
                f"{name}={here[name]}; put the same files there."
            )
