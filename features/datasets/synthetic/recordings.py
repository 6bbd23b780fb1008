"""Recordings whose emotion changes as they go on, with arousal and valence every 100 ms.

A recording is a row of scenes. In each the actor shows one emotion with some intensity; the face goes over from one to
the next, the voice changes with the scene. Arousal and valence are those of the emotions shown, times their intensity.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.annotations import Annotations
from features.clips import Clip, ClipTable
from features.datasets.synthetic.corpus import check_seed, draw_actor, generator, make_files
from features.datasets.synthetic.emotions import (
    AFFECT,
    DIMENSIONS,
    EMOTIONS,
    FACE,
    FACE_JITTER,
    INTENSITY,
    VOICE,
    VOICE_JITTER,
)
from features.datasets.synthetic.media import write_clip
from features.datasets.synthetic.scene import FRAME_RATE, film_course, smooth_step
from features.datasets.synthetic.voice import SAMPLE_RATE, speak
from features.errors import WrongUse
from features.files import file_sha256

STEP_S = 0.1
_CAST = "r"
_SCENE_S = (1.5, 3.5)
_PASSAGE_S = 0.6


@dataclass(frozen=True)
class Take:
    """One recording to make."""

    seed: int
    actor: int
    number: int
    split: str
    duration_s: tuple[float, float]

    @property
    def group(self) -> str:
        return f"{_CAST}{self.actor:02d}"

    @property
    def name(self) -> str:
        return f"{self.group}_{self.number:02d}"

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}.mp4"


def make_recordings(
    root: Path,
    *,
    seed: int = 0,
    train_actors: int = 6,
    val_actors: int = 3,
    test_actors: int = 3,
    recordings_per_actor: int = 1,
    duration_s: tuple[float, float] = (18.0, 22.0),
    workers: int | None = None,
) -> ClipTable:
    """Make mp4 recordings below `root`, split by actor, without labels but with annotations of DIMENSIONS.

    The same seed gives the same files. `duration_s` is the range of a recording's seconds; `workers` processes draw
    (default: one for each core).
    """
    splits = {"train": train_actors, "val": val_actors, "test": test_actors}
    check_seed(seed)
    if min(train_actors, val_actors, recordings_per_actor) < 1 or test_actors < 0:
        raise WrongUse(
            "Synthetic recordings need at least one actor in train and in val, with a recording each, but got "
            f"{train_actors}, {val_actors} (test: {test_actors}) and {recordings_per_actor}."
        )
    if not 1 <= duration_s[0] <= duration_s[1]:
        raise WrongUse(f"A recording lasts a second or more, but got {duration_s[0]:g} to {duration_s[1]:g} s.")
    cast = [split for split, actors in splits.items() for _ in range(actors)]
    takes = [
        Take(seed, actor, number, split, duration_s)
        for actor, split in enumerate(cast, 1)
        for number in range(1, recordings_per_actor + 1)
    ]
    made = make_files(root, takes, workers, _record, "film recordings")
    clips = tuple(
        Clip(take.name, take.path, take.split, None, take.group, dataset="synthetic", media_sha256=digest)
        for take, (digest, _, _) in zip(takes, made, strict=True)
    )
    series = {take.name: (time_s, values) for take, (_, time_s, values) in zip(takes, made, strict=True)}
    return ClipTable(clips, root, Annotations(DIMENSIONS, series))


def _record(root: Path, take: Take) -> tuple[str, np.ndarray, np.ndarray]:
    """Make one file; returns its sha256, the times (W,) and the labels (W, D)."""
    face, timbre = draw_actor(take.seed, _CAST, take.actor)
    rng = generator(take.seed, _CAST, take.actor, take.number)
    frames = round(rng.uniform(*take.duration_s) * FRAME_RATE)
    step = SAMPLE_RATE // FRAME_RATE
    starts = _starts(frames, rng)
    lengths = np.diff([*starts, frames])
    faces, affect, sounds, loudness = [], [], [], []
    emotion = ""
    for length in lengths:
        emotion = str(rng.choice([name for name in EMOTIONS if name != emotion]))
        intensity = rng.uniform(*INTENSITY)
        faces.append(intensity * np.array(FACE[emotion]) + FACE_JITTER * rng.standard_normal(len(FACE[emotion])))
        voice = intensity * np.array(VOICE[emotion]) + VOICE_JITTER * rng.standard_normal(len(VOICE[emotion]))
        sound, loud = speak(timbre, voice, int(length) * step, rng)
        affect.append(intensity * np.array(AFFECT[emotion]))
        sounds.append(sound)
        loudness.append(loud[step // 2 :: step])
    frame_s, label_s = np.arange(frames) / FRAME_RATE, np.arange(round(frames / FRAME_RATE / STEP_S)) * STEP_S
    expression = _passing(np.array(faces), starts / FRAME_RATE, frame_s)
    pictures = film_course(face, expression, np.concatenate(loudness), rng)
    path = root / take.path
    write_clip(path, pictures, FRAME_RATE, np.concatenate(sounds), SAMPLE_RATE)
    return file_sha256(path), label_s, _passing(np.array(affect), starts / FRAME_RATE, label_s)


def _starts(frames: int, rng: np.random.Generator) -> np.ndarray:
    """The scenes' first frames; the last scene is not much shorter than the others."""
    starts = [0]
    while (start := starts[-1] + round(rng.uniform(*_SCENE_S) * FRAME_RATE)) < frames - _SCENE_S[0] / 2 * FRAME_RATE:
        starts.append(start)
    return np.array(starts)


def _passing(levels: np.ndarray, starts_s: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """From one of `levels` (K, F) to the next about the start of its scene (K,); (T, F) at `time_s` (T,)."""
    passed = smooth_step((time_s[:, None] - starts_s[1:]) / _PASSAGE_S + 0.5)  # (T, K - 1)
    return levels[0] + passed @ np.diff(levels, axis=0)
