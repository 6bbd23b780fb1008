"""How much memory one recording of full length takes to train on, and to score, with the published networks.

    python benchmarks/memory.py [--frames 1700] [--family conv3d]

Each network is trained for an epoch in a process of its own; printed are that process's peak (resident memory, by
getrusage), what it was before anything was trained, and the seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

FAMILIES = ("conv3d", "convlstm", "convlstm3d")
SIDE = 112


def peak_mb() -> float:
    """The most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def train_one(family: str, frames: int, hyperparameters: dict) -> dict[str, float]:
    """Fit for an epoch on one recording and score it; in this process."""
    import numpy as np
    import torch

    from models.examples import Examples
    from models.family import Context
    from models.registry import get_family

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (frames, SIDE, SIDE), dtype=np.uint8)
    labels = rng.normal(size=(frames, 2)).astype(np.float32)
    dimensions = ("arousal", "valence")
    examples = Examples(("r",), {"faces": [faces]}, (), targets=[labels], dimensions=dimensions)
    record = get_family(family)
    before = peak_mb()
    started = time.monotonic()
    model = record.build(
        {**record.published[0], **hyperparameters}, Context((), {"faces": (SIDE, SIDE)}, dimensions=dimensions)
    )
    model.fit(examples, None, epochs=1)
    trained = peak_mb()
    predicted = model.predict_steps(examples)  # type: ignore[attr-defined]
    if not np.isfinite(predicted[0]).all():
        raise FloatingPointError("predictions are not finite")
    return {"before_mb": before, "trained_mb": trained, "peak_mb": peak_mb(), "seconds": time.monotonic() - started}


def measured(family: str, frames: int, **hyperparameters) -> dict[str, float]:
    """`train_one` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--here",
        "--family",
        family,
        "--frames",
        str(frames),
        "--set",
        json.dumps(hyperparameters),
    ]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure the networks, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--frames", type=int, default=1700)
    parser.add_argument("--set", default="{}", help="Hyperparameters other than the published ones, as JSON.")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    own = json.loads(given.set)
    if given.here:
        print(json.dumps(train_one(given.family, given.frames, own)))
        return
    for family in [given.family] if given.family else FAMILIES:
        found = measured(family, given.frames, **own)
        print(
            f"{family:9} {given.frames} frames of {SIDE}x{SIDE}: peak {found['peak_mb']:.0f} MB "
            f"({found['before_mb']:.0f} MB before), {found['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
