"""How fast faces are extracted beside plain decoding, and IS10 on two processes beside one.

    python benchmarks/extraction.py faces CLIP...    # video files, or a folder of them
    python benchmarks/extraction.py is10 [SOUND...]  # sound files, or a folder; none: noise is written
    python benchmarks/extraction.py memory           # reading long sound; --minutes 20 --sets short_term functionals

`faces` counts CPU time, so that a busy machine doesn't matter, of every frame decoded and of the whole extraction, for
each clip and in all. `is10` counts the wall clock of the program's own pool of processes, started and warm, the two
sizes taking turns; on a busy machine only the CPU time that the files took tells something: two idle cores can be at
most twice the ratio of these times faster. `memory` writes minutes of 48 kHz stereo and prints how much the process
grows at most while it reads them, beside the size of the result. `encoders` takes generated clips of 1 to 3 seconds
through a speech encoder in the program's pool of processes, warm, 16 clips at once, and through a plain loop of
transformers' own calls in float32, one clip at a time on all cores: the wall clock of both, the CPU time of our
processes, for each precision how far some layers lie from the loop's, and what batches alone bring (one process, one
thread, batches beside clip by clip).
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from features.cores import cores
from features.decode import read_audio, video_frames
from features.errors import ClipFailure
from features.sets import Media, SetSpec, get_set, parse_spec
from features.workers.clip_processes import run_all

SECONDS, FILES = 4.0, 60


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files given, and those in the folders given, at any depth."""
    found = [file for path in paths for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])]
    return [file for file in found if file.is_file()]


def decode_s(clip: Path) -> tuple[int, int, float]:
    """Frames, the longer side of the picture and the CPU seconds of decoding them all to grey pictures."""
    started, frames, side = time.process_time(), 0, 0
    for _, picture in video_frames(Media(clip), gray=True):
        frames, side = frames + 1, max(picture.shape)
    return frames, side, time.process_time() - started


def faces(clips: Sequence[Path], spec: SetSpec, least_side: int) -> None:
    """Print for each clip of at least `least_side` pixels what part of decoding's speed extraction reaches."""
    extract = get_set(spec.name).extract
    totals = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for clip in clips:
        frames, side, plain = decode_s(clip)
        if side < least_side:
            continue
        started = time.process_time()
        try:
            crops = len(extract(Media(clip), spec.params).values)
        except ClipFailure as failure:
            crops = 0
            print(f"{clip.name}: {failure.status}")
        spent = time.process_time() - started
        totals[crops > 0][0] += plain
        totals[crops > 0][1] += spent
        print(
            f"{clip.name:28} {frames:4} frames {crops:4} crops   decode {1000 * plain / frames:5.2f} ms/frame   "
            f"extract {1000 * spent / frames:6.2f} ms/frame   ratio {plain / spent:.2f}"
        )
    for found, (plain, spent) in totals.items():
        if spent:
            print(f"all clips {'with' if found else 'without'} a face: ratio {plain / spent:.2f}")


def is10_of(file: Path) -> float:
    """Extract one file; the CPU seconds that it took."""
    started = time.process_time()
    get_set("is10").extract(Media(file), {})
    return time.process_time() - started


def pool_s(files: Sequence[Path], workers: int) -> tuple[float, float]:
    """Seconds from the first to the last result on a warm pool of `workers` processes, and CPU seconds of the work."""
    warm = 4 * workers
    started, cpu_s = 0.0, 0.0
    for done, (_, spent) in enumerate(run_all(is10_of, [*files[:1]] * warm + list(files), workers), start=1):
        if done == warm:
            started = time.perf_counter()
        elif done > warm:
            cpu_s += spent
    return time.perf_counter() - started, cpu_s


def noise(folder: Path) -> list[Path]:
    """Files of four seconds of noise at 16 kHz."""
    rng = np.random.default_rng(0)
    for n in range(FILES):
        sound = rng.normal(size=round(16_000 * SECONDS)).astype(np.float32) / 8
        soundfile.write(folder / f"{n:03d}.wav", sound, 16_000)
    return files_in([folder])


def is10(files: Sequence[Path], turns: int) -> None:
    """Print the seconds of one and of two processes for each turn, and the ratio of the best of each."""
    print(f"{len(files)} files, {cores()} cores")
    runs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(turns):
        for workers, spent in runs.items():
            spent.append(pool_s(files, workers))
        print(
            "   ".join(
                f"{workers} process{'es' * (workers > 1)} {spent[-1][0]:.2f} s ({spent[-1][1]:.2f} s of CPU)"
                for workers, spent in runs.items()
            )
        )
    (one_s, one_cpu_s), (two_s, two_cpu_s) = (map(min, zip(*spent, strict=True)) for spent in runs.values())
    print(f"best of each: ratio {one_s / two_s:.2f}; of CPU time {one_cpu_s / two_cpu_s:.2f}")


def peak_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(minutes: float, sets: Sequence[str]) -> None:
    """Print what reading so many minutes of stereo at 48 kHz takes, and then each of the sets, the largest last."""
    with tempfile.TemporaryDirectory() as folder:
        path, rng = Path(folder) / "long.wav", np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 48_000, 2) as file:
            for _ in range(round(60 * minutes)):
                file.write(rng.normal(size=(48_000, 2)).astype(np.float32) / 8)
        read_audio(Media(path, 0.0, 2.0), 16_000)
        before, started = peak_mb(), time.perf_counter()
        audio = read_audio(Media(path), 16_000)
        print(
            f"{minutes:g} minutes of 48 kHz stereo ({path.stat().st_size / 2**20:.0f} MB): a result of "
            f"{audio.nbytes / 2**20:.0f} MB, {peak_mb() - before:.0f} MB more memory, {peak_mb():.0f} MB in all, "
            f"{time.perf_counter() - started:.1f} s"
        )
        del audio
        for name in sets:
            spec, started = parse_spec(name), time.perf_counter()
            values = get_set(spec.name).extract(Media(path), spec.params).values
            print(
                f"{name}: a result of {values.nbytes / 2**20:.1f} MB, at most {peak_mb():.0f} MB in all, "
                f"{time.perf_counter() - started:.0f} s"
            )


def encoders(model: Path | None, turns: int, precisions: Sequence[str]) -> None:
    """Compare on a checkpoint, or on a random one of base size."""
    import encoder_loop

    with tempfile.TemporaryDirectory() as folder:
        model = model or encoder_loop.base_checkpoint(Path(folder) / "model")
        encoder_loop.encoders(model, encoder_loop.sounds(Path(folder)), turns, precisions)


def main() -> None:
    """Run one of the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("faces", "is10", "memory", "encoders"))
    parser.add_argument("paths", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--spec", default="faces", help="the set of faces, such as faces:detector=viola_jones")
    parser.add_argument("--least-side", type=int, default=1280, help="pixels of a clip's longer side")
    parser.add_argument("--turns", type=int, help="default: 3, of encoders 1")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--precisions", nargs="+", default=("float32", "bfloat16"), help="of `encoders`")
    parser.add_argument("--sets", nargs="*", default=(), help="sets of sound for `memory`, such as short_term")
    given = parser.parse_args()
    if given.what == "memory":
        memory(given.minutes, given.sets)
        return
    if given.what == "encoders":
        encoders(given.paths[0] if given.paths else None, given.turns or 1, given.precisions)
        return
    files = files_in(given.paths)
    if given.what == "faces":
        faces(files, parse_spec(given.spec), given.least_side)
    elif files:
        is10(files, given.turns or 3)
    else:
        with tempfile.TemporaryDirectory() as folder:
            is10(noise(Path(folder)), given.turns or 3)


if __name__ == "__main__":
    main()
