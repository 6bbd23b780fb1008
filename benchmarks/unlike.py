"""How often a bundle calls clips unlike its training clips: those of the run's own test split, and files of elsewhere.

    python benchmarks/unlike.py demo/run demo/bundle FOLDER_OF_OTHER_CLIPS

The test clips' features are read from the run's store; those of the other files are computed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from ensembles.applying.asked import asked
from ensembles.applying.many import predict_many
from ensembles.bundle.bundle import open_bundle
from features.store.store import open_set
from search.run.folder import RunFolder


def main() -> None:
    """Print a line for the test clips, with one for each feature set, and one for the other files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("others", nargs="*")
    given = parser.parse_args()
    run, bundle = RunFolder.open(given.run), open_bundle(given.bundle)
    table = run.table()
    test = table.split("test")
    beyond = np.zeros(len(test), bool)
    for spec, seen in bundle.seen.items():
        stored = open_set(run.store, spec, table)
        times = np.array([seen.times_limit(stored[c.clip_id]) if stored.has(c.clip_id) else 0.0 for c in test])
        beyond |= times > 1
        print(f"  {spec}: {(times > 1).sum()} of {len(test)} test clips, median {np.median(times):.2f} x the limit")
    print(f"test clips of the run that are called unlike: {beyond.sum()} of {len(test)}")
    if given.others:
        found = [result for _, result in predict_many(bundle, asked(given.others, sys.stdin))]
        far = [result.distance for result in found if result.distance is not None]
        unlike, most = sum(bool(result.unlike) for result in found), max(far, default=0)
        print(f"other files that are called unlike: {unlike} of {len(found)}, up to {most:.2f} x the limit")


if __name__ == "__main__":
    main()
