"""Plans a corpus and writes it: labelled clips split by actor, labelled stills of other actors, unlabelled clips.

Everything follows from the seed: each actor and each clip draws from a generator of its own, so that the number of
processes and of other clips changes nothing.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from features.clips import Clip, ClipTable
from features.datasets.synthetic.emotions import EMOTIONS, draw_showing
from features.datasets.synthetic.face import Face
from features.datasets.synthetic.looks import draw_look
from features.datasets.synthetic.media import write_clip, write_still
from features.datasets.synthetic.scene import FRAME_RATE, film, photograph
from features.datasets.synthetic.voice import SAMPLE_RATE, Timbre, draw_timbre, speak
from features.errors import EmofuseError, WrongUse
from features.files import file_sha256
from features.progress import progress
from features.workers.own_process import ScriptlessContext

_Shot = TypeVar("_Shot")
_Made = TypeVar("_Made")

FLAWS = ("no audio", "silent", "leaves")
_DURATION_S = (1.5, 2.5)
# Clips, stills, new clips and recordings draw their actors from generators that never meet.
_CASTS = {"a": 0, "s": 1, "n": 2, "r": 3}
_SHOTS_PER_PROCESS = 8  # below this many, starting another process costs more than it saves


@dataclass(frozen=True)
class Shot:
    """One file to make: `take` counts the shots of `actor`, `cast` names the group of actors (a, s or n)."""

    seed: int
    cast: str
    actor: int
    take: int
    emotion: str
    name: str
    split: str
    flaws: float = 0.0
    duration_s: tuple[float, float] = _DURATION_S

    @property
    def group(self) -> str:
        return f"{self.cast}{self.actor:02d}"

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}.{'png' if self.cast == 's' else 'mp4'}"


def make_corpus(
    root: Path,
    *,
    seed: int = 0,
    train_actors: int = 5,
    val_actors: int = 3,
    test_actors: int = 4,
    clips_per_actor: int = 21,
    flaws: float = 0.04,
    duration_s: tuple[float, float] = _DURATION_S,
    workers: int | None = None,
) -> ClipTable:
    """Make labelled mp4 clips of `EMOTIONS` below `root`, split by actor; the same seed gives the same files.

    `flaws` is the share of clips with each of FLAWS: no audio track, a silent one, a face that leaves the picture.
    `duration_s` is the range of a clip's seconds. `workers` processes draw (default: one for each core).
    """
    splits = {"train": train_actors, "val": val_actors, "test": test_actors}
    shots = [replace(shot, duration_s=duration_s) for shot in _plan("a", seed, splits, clips_per_actor, flaws)]
    return _make_table(root, shots, workers)


def make_stills(
    root: Path,
    *,
    seed: int = 0,
    train_actors: int = 16,
    val_actors: int = 6,
    stills_per_actor: int = 28,
    workers: int | None = None,
) -> ClipTable:
    """Make labelled PNG stills below `root`, of actors who play in no clip, split train and val by actor.

    They are what a face CNN is trained on before it sees clips (the part of FER2013 in Kahou et al. 2013).
    """
    shots = _plan("s", seed, {"train": train_actors, "val": val_actors}, stills_per_actor, 0.0)
    return _make_table(root, shots, workers)


def make_new_clips(
    root: Path, *, seed: int = 0, actors: int = 2, clips_per_actor: int = 3, workers: int | None = None
) -> dict[Path, str]:
    """Make mp4 clips of actors seen nowhere else, whose names tell nothing; returns the emotion that each one plays."""
    _check_counts(seed, {"test": actors}, clips_per_actor, 0.0)
    emotions = np.random.default_rng([seed, _CASTS["n"]]).permutation(np.resize(EMOTIONS, actors * clips_per_actor))
    shots = []
    for number, emotion in enumerate(emotions):
        actor, take = number // clips_per_actor + 1, number % clips_per_actor + 1
        shots.append(Shot(seed, "n", actor, take, str(emotion), f"n{actor:02d}_{take:02d}", "test"))
    _make(root, shots, workers)
    return {root / shot.path: shot.emotion for shot in shots}


def _plan(cast: str, seed: int, splits: dict[str, int], per_actor: int, flaws: float) -> list[Shot]:
    """The shots of all splits; the emotions take turns, also from one actor to the next."""
    _check_counts(seed, splits, per_actor, flaws)
    if splits["train"] * per_actor < len(EMOTIONS):
        raise WrongUse(
            f"The synthetic corpus needs a training clip for each of {len(EMOTIONS)} emotions, but {splits['train']} "
            f"actors with {per_actor} each give {splits['train'] * per_actor}: raise either."
        )
    shots: list[Shot] = []
    actor = 0
    for split, actors in splits.items():
        turn = 0
        for _ in range(actors):
            actor += 1
            counts = dict.fromkeys(EMOTIONS, 0)
            for take in range(1, per_actor + 1):
                emotion = EMOTIONS[turn % len(EMOTIONS)]
                turn += 1
                counts[emotion] += 1
                name = f"{cast}{actor:02d}_{emotion}_{counts[emotion]:02d}"
                shots.append(Shot(seed, cast, actor, take, emotion, name, split, flaws))
    return shots


def _check_counts(seed: int, splits: dict[str, int], per_actor: int, flaws: float) -> None:
    for split, actors in splits.items():
        if actors < (0 if split == "test" and len(splits) > 1 else 1):
            raise WrongUse(f"The synthetic corpus needs at least one actor in {split}, but got {actors}.")
    if per_actor < 1:
        raise WrongUse(f"The synthetic corpus needs at least one clip for each actor, but got {per_actor}.")
    check_seed(seed)
    if not 0 <= flaws <= 1 / len(FLAWS):
        raise WrongUse(f"The share of each flaw is between 0 and {1 / len(FLAWS):.2f}, but got {flaws}.")


def check_seed(seed: int) -> None:
    """Refuse what no generator can start from."""
    if seed < 0:
        raise WrongUse(f"The synthetic corpus needs a seed of 0 or more, but got {seed}.")


def generator(seed: int, cast: str, actor: int, take: int) -> np.random.Generator:
    """What one shot is drawn from, whatever else is made."""
    return np.random.default_rng([seed, _CASTS[cast], actor, take])


def _make_table(root: Path, shots: Sequence[Shot], workers: int | None) -> ClipTable:
    digests = _make(root, shots, workers)
    clips = (
        Clip(
            clip_id=shot.name,
            path=shot.path,
            split=shot.split,
            label=shot.emotion,
            group_id=shot.group,
            dataset="synthetic",
            media_sha256=digest,
        )
        for shot, digest in zip(shots, digests, strict=True)
    )
    return ClipTable(tuple(clips), root)


def _make(root: Path, shots: Sequence[Shot], workers: int | None) -> list[str]:
    """Make the files of `shots` and give the sha256 of each, in order."""
    return make_files(root, shots, workers, _shoot, "draw stills" if shots[0].cast == "s" else "film clips")


def make_files(
    root: Path, shots: Sequence[_Shot], workers: int | None, shoot: Callable[[Path, _Shot], _Made], what: str
) -> list[_Made]:
    """`shoot(root, shot)` for all shots, in order, by `workers` processes; `what` is said of the progress."""
    if workers is not None and workers < 1:
        raise WrongUse(f"The number of workers is 1 or more, but got {workers}.")
    processes = min(workers or os.cpu_count() or 1, -(-len(shots) // _SHOTS_PER_PROCESS))
    made: list[_Made] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with progress(what, len(shots)) as counter:
            if processes == 1:
                for shot in shots:
                    made.append(shoot(root, shot))
                    counter.advance()
                return made
            with ProcessPoolExecutor(processes, ScriptlessContext(), cv2.setNumThreads, (1,)) as pool:
                for one in pool.map(shoot, [root] * len(shots), shots, chunksize=4):
                    made.append(one)
                    counter.advance()
    except OSError as error:
        raise EmofuseError(f"{root}: can't write the synthetic corpus there ({error}).") from error
    except BrokenProcessPool:
        raise EmofuseError(
            f"{root}: a process died after {len(made)} of {len(shots)} files of the synthetic corpus, "
            "perhaps for lack of memory: run it again with fewer workers."
        ) from None
    return made


def _shoot(root: Path, shot: Shot) -> str:
    """Make one file; returns its sha256."""
    face, timbre = draw_actor(shot.seed, shot.cast, shot.actor)
    rng = generator(shot.seed, shot.cast, shot.actor, shot.take)
    showing = draw_showing(shot.emotion, rng)
    path = root / shot.path
    if shot.cast == "s":
        write_still(path, photograph(face, showing.face, rng))
        return file_sha256(path)
    chance = rng.random()
    flaw = FLAWS[int(chance / shot.flaws)] if chance < len(FLAWS) * shot.flaws else None
    frames = round(rng.uniform(*shot.duration_s) * FRAME_RATE)
    step = SAMPLE_RATE // FRAME_RATE
    audio, loudness = speak(timbre, showing.voice, frames * step, rng)
    sound = {"no audio": None, "silent": np.zeros_like(audio)}.get(flaw or "", audio)
    pictures = film(face, showing.face, loudness[step // 2 :: step], flaw == "leaves", rng)
    write_clip(path, pictures, FRAME_RATE, sound, SAMPLE_RATE)
    return file_sha256(path)


@lru_cache(maxsize=4)
def draw_actor(seed: int, cast: str, number: int) -> tuple[Face, Timbre]:
    """The looks and the voice of actor `number` of a cast (a, s, n or r)."""
    rng = np.random.default_rng([seed, _CASTS[cast], number])
    low_voice = number % 2 == 1  # so that every split hears both kinds
    look = draw_look(rng, low_voice=low_voice)
    return Face(look), draw_timbre(rng, low_voice=low_voice)
