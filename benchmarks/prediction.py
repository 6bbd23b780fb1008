"""How much faster than real time a bundle predicts media files: wall time and CPU seconds, process starts included.

    python benchmarks/prediction.py demo/bundle FOLDER [--workers 2]

The CPU seconds are those of all processes; with idle cores the wall time is about a core's share of them.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

from ensembles.applying.asked import asked
from ensembles.applying.many import predict_many
from ensembles.bundle.bundle import open_bundle
from features.decode.length import length_s


def cpu_s() -> float:
    """CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Predict the files and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    clips = asked(given.clips, sys.stdin)
    media_s = sum(length_s(clip.media) for clip in clips)
    began, used = time.monotonic(), cpu_s()
    found = [result for _, result in predict_many(open_bundle(given.bundle), clips, workers=given.workers)]
    wall_s, used = time.monotonic() - began, cpu_s() - used
    scored = sum(result.reason is None for result in found)
    print(
        f"{scored} of {len(clips)} clips, {media_s:.0f} s of media, {given.workers} processes: {wall_s:.1f} s "
        f"({media_s / wall_s:.1f} times real time), {used:.1f} CPU seconds ({media_s / used:.1f} times on one core)"
    )


if __name__ == "__main__":
    main()
