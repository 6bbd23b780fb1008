"""Corpora whose files tell speaker and emotion by their names: one reader, the corpus as a pattern."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from features.clips import Clip, ClipTable
from features.datasets import Option, Value
from features.datasets.drawing import DRAWN, drawn
from features.datasets.folders import AUDIO, VIDEO, files_below, is_media, listed, warn
from features.errors import EmofuseError

MEDIA = {"media": Option("auto", "Which files to take; auto: video where there is any.", ("auto", "video", "audio"))}
OPTIONS = {**MEDIA, **DRAWN}
_STUB = b"version https://git-lfs"


@dataclass(frozen=True)
class Stems:
    """What the files of a corpus are called.

    `pattern` fits the whole stem, in any case, and names `speaker` and `emotion`, a key of `emotions`. Where a stem
    has no speaker, the nearest folder that `speakers` fits is he. `bad` says of ids why they are left out, by the
    suffixes that this holds for (none: all). Of files of one id that of the first of `suffixes` is taken.
    """

    dataset: str
    title: str
    pattern: str
    emotions: Mapping[str, str]
    expected: str
    count: int
    suffixes: Sequence[str] = (".wav", ".mp3")
    speakers: str = ""
    bad: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    clip_id: Callable[[str, str], str] = lambda speaker, stem: stem


def read_stems(
    corpus: Stems, root: Path, *, media: str, labels: Mapping[str, str] | None = None, **drawing: Value
) -> ClipTable:
    """The clips of video or of sound, grouped by speaker, in splits that `drawing` tells how to draw.

    `labels` by id are taken in the place of those that the names tell; clips without one are left out and told.
    """
    fitting = {
        path: fields for path in files_below(root, VIDEO | AUDIO, corpus.expected) if (fields := _fields(corpus, path))
    }
    if not fitting:
        raise EmofuseError(f"{root}: expected {corpus.expected}, but no media file there is named so.")
    videos = {path for path in fitting if is_media(path, VIDEO)}
    film = media == "video" or (media == "auto" and bool(videos))
    files = {path: fields for path, fields in fitting.items() if (path in videos) == film}
    if not files:
        raise EmofuseError(f"{root}: no {media} files of {corpus.title}, only {'sound' if film else 'video'}.")
    chosen = _chosen(corpus, root, files)
    if len(chosen) != corpus.count:
        warn(f"{corpus.title} has {corpus.count} clips, here are {len(chosen)}")
    clips = [
        Clip(clip_id, str(path.relative_to(root)), "train", label, f"speaker_{speaker}", dataset=corpus.dataset)
        for clip_id, (path, speaker, label) in sorted(_relabelled(_usable(corpus, chosen), labels).items())
    ]
    if not clips:
        raise EmofuseError(f"{root}: of {len(chosen)} clips of {corpus.title} none can be used.")
    return ClipTable(drawn(clips, **drawing), root.resolve())  # type: ignore[arg-type]


def _fields(corpus: Stems, path: Path) -> tuple[str, str, str] | None:
    """Id, speaker and label that a file's name tells."""
    match = re.fullmatch(corpus.pattern, path.stem.strip(), re.IGNORECASE)
    if not match:
        return None
    speaker = match["speaker"]
    if speaker is None:
        folders = (part for part in reversed(path.parts[:-1]) if re.fullmatch(corpus.speakers, part, re.IGNORECASE))
        speaker = next(folders, None)
    label = corpus.emotions.get(match["emotion"].upper())
    return (corpus.clip_id(speaker, path.stem.strip()), speaker, label) if speaker and label else None


_Files = dict[str, tuple[Path, str, str]]


def _chosen(corpus: Stems, root: Path, files: Mapping[Path, tuple[str, str, str]]) -> _Files:
    """One file for each id."""
    found: _Files = {}
    order = {suffix: at for at, suffix in enumerate(corpus.suffixes)}
    for path in sorted(files, key=lambda path: order.get(path.suffix.lower(), len(order))):
        clip_id, speaker, label = files[path]
        known = found.setdefault(clip_id, (path, speaker, label))[0]
        if known != path and known.suffix.lower() == path.suffix.lower():
            raise EmofuseError(
                f"{corpus.title}: clip {clip_id} is there twice: {known.relative_to(root)} and "
                f"{path.relative_to(root)}; remove one."
            )
    return found


def _usable(corpus: Stems, files: _Files) -> _Files:
    """The files without the known bad ones and without those that were never fetched from Git LFS; both are told."""
    reasons: dict[str, list[str]] = {}
    for clip_id, (path, _, _) in files.items():
        why, suffixes = corpus.bad.get(clip_id, ("", ()))
        if why and (not suffixes or path.suffix.lower() in suffixes):
            reasons.setdefault(f"known to be bad ({why})", []).append(clip_id)
        elif _is_stub(path):
            reasons.setdefault("text stubs of Git LFS (run `git lfs pull`)", []).append(clip_id)
    for reason, ids in reasons.items():
        warn(f"left out, {reason}: {listed(ids)}")
    gone = {clip_id for ids in reasons.values() for clip_id in ids}
    return {clip_id: found for clip_id, found in files.items() if clip_id not in gone}


def _relabelled(files: _Files, labels: Mapping[str, str] | None) -> _Files:
    if labels is None:
        return files
    if gone := [clip_id for clip_id in files if clip_id not in labels]:
        warn(f"left out, no label or a tie: {listed(sorted(gone))}")
    return {clip_id: (path, who, labels[clip_id]) for clip_id, (path, who, _) in files.items() if clip_id in labels}


def _is_stub(path: Path) -> bool:
    if path.stat().st_size > 1024:
        return False
    with path.open("rb") as file:
        return file.read(len(_STUB)) == _STUB
