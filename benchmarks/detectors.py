"""Face detectors on real clips: what each finds, how steady the eyes are, how fast it is beside plain decoding.

    python benchmarks/detectors.py [FOLDER] [--detectors viola_jones+centerface,viola_jones+cnn]

FOLDER is by default `clips` in EMOFUSE_TEST_DATA, else in ../shared/data. Clips are told apart by their names: acted
ones (RAVDESS), talkers (GRID's .mpg), groups (vgaf_...), and one without a face (no_face), where each crop is false.
Printed for each kind and detector: clips with a face, the share of frames with a crop, what part of decoding's speed
extraction reaches (CPU time, so that a busy machine doesn't matter), and the eyes' jitter: the root mean square of
their paths' second difference over steps of 0.1 s, in percent of the eyes' distance (movement is part of it),
over the clips in which all detectors find a face.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.errors import ClipFailure
from features.faces.align import EYE_FACE_PX, aligned_crops, eyes_at
from features.faces.follow import follow
from features.sets import Media

STEP_S = 0.1
KINDS = {"0": "acted", "vgaf": "groups", "no_face": "without a face"}


class Outcome(NamedTuple):
    """One clip under one detector."""

    crops: int
    spent_s: float
    jitter: float


def kind_of(clip: Path) -> str:
    """The kind that a clip's name tells."""
    if clip.suffix == ".mpg":
        return "talkers"
    return next((kind for start, kind in KINDS.items() if clip.name.startswith(start)), "others")


def decoding(clip: Path) -> tuple[int, float]:
    """Frames and the CPU seconds of decoding them to grey pictures."""
    from features.decode import video_frames

    started = time.process_time()
    frames = sum(1 for _ in video_frames(Media(clip), gray=True))
    return frames, time.process_time() - started


def outcome(clip: Path, detector: str) -> Outcome:
    """What a detector makes of a clip."""
    started = time.process_time()
    try:
        track = follow(Media(clip), 0.0, detector, EYE_FACE_PX)
        times, _ = aligned_crops(track, 48)
    except ClipFailure:
        return Outcome(0, time.process_time() - started, np.nan)
    spent_s = time.process_time() - started
    at = np.arange(times[0], times[-1], STEP_S)
    eyes = eyes_at(track, at)
    moved = eyes[2:] - 2 * eyes[1:-1] + eyes[:-2]
    distance = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1).mean()
    jitter = 100 * np.sqrt((moved**2).sum(axis=-1).mean()) / distance if len(at) > 2 else np.nan
    return Outcome(len(times), spent_s, float(jitter))


def compare(clips: Sequence[Path], detectors: Sequence[str]) -> None:
    """Print the table."""
    plain = {clip: decoding(clip) for clip in clips}
    found = {(clip, detector): outcome(clip, detector) for clip in clips for detector in detectors}
    print(
        f"{'kind':15} {'detector':23} clips with a face  frames with a crop  speed beside decoding  jitter of the eyes"
    )
    for kind in sorted({kind_of(clip) for clip in clips}):
        of_kind = [clip for clip in clips if kind_of(clip) == kind]
        shared = [clip for clip in of_kind if all(found[clip, detector].crops for detector in detectors)]
        for detector in detectors:
            mine = {clip: found[clip, detector] for clip in of_kind}
            frames = sum(plain[clip][0] for clip in of_kind)
            ratios = [plain[clip][1] / one.spent_s for clip, one in mine.items()]
            all_in_all = sum(plain[clip][1] for clip in of_kind) / sum(one.spent_s for one in mine.values())
            jitter = np.nanmean([mine[clip].jitter for clip in shared]) if shared else np.nan
            print(
                f"{kind:15} {detector:23} {sum(one.crops > 0 for one in mine.values()):6} of {len(mine):<9} "
                f"{100 * sum(one.crops for one in mine.values()) / frames:15.0f} %  "
                f"{all_in_all:8.2f} ({min(ratios):.2f} to {max(ratios):.2f})  {jitter:16.2f} %"
            )


def main() -> None:
    """Compare the detectors on the folder's clips."""
    data = Path(os.environ.get("EMOFUSE_TEST_DATA") or Path(__file__).parents[2] / "shared/data")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=data / "clips")
    parser.add_argument("--detectors", default="viola_jones+centerface,viola_jones+cnn,centerface,viola_jones")
    given = parser.parse_args()
    compare(sorted(path for path in given.folder.iterdir() if path.is_file()), given.detectors.split(","))


if __name__ == "__main__":
    main()
