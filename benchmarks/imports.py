"""What `features import` takes for many clips: each kind of file, in seconds and in memory.

    python benchmarks/imports.py [--clips 200000] [--numbers 16] [--kinds csv parquet npz npz_by_clip frames]

Writes a file of each kind, imports it in a process of its own as the command does (the clip table is read from its
file) and prints seconds, those of the CPU (which other work on the machine changes less), the most memory that it took,
and a digest of the stored bytes. PYTHONPATH chooses the emofuse that is measured, so that two versions can be compared:
equal digests are equal sets.
"""

import argparse
import hashlib
import multiprocessing as mp
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

STEPS = 4  # of each clip in `frames`


def write(folder: Path, kind: str, ids: list[str], numbers: int) -> Path:
    """A file of that kind, its clips in another order than the table's."""
    rng = np.random.default_rng(0)
    shuffled = [ids[i] for i in rng.permutation(len(ids))]
    rows = shuffled * STEPS if kind == "frames" else shuffled
    x = rng.standard_normal((len(rows), numbers)).astype(np.float32)
    path = folder / f"{kind}.{'npz' if 'npz' in kind else 'csv' if kind == 'csv' else 'parquet'}"
    if kind == "npz_by_clip":
        np.savez(path, **dict(zip(rows, x, strict=True)))
    elif kind == "npz":
        np.savez(path, clip_id=np.array(rows), x=x)
    else:
        times = {"time_s": np.repeat(np.arange(STEPS)[::-1] * 0.04, len(ids))} if kind == "frames" else {}
        table = pa.table({"clip_id": rows, **times, **{f"f{i}": x[:, i] for i in range(numbers)}})
        (pyarrow.csv.write_csv if kind == "csv" else pq.write_table)(table, path)
    return path


def bring(clips: Path, source: Path, level: str, store: Path, answer: Any) -> None:
    """One import; its seconds, peak of memory in MB and digest."""
    from features.clips import read_clips
    from features.imports import import_arrays

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    started, cpu = time.perf_counter(), time.process_time()
    stored = import_arrays(read_clips(clips), "mine", source, level, store)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    data = (stored.folder / "data.arrow").read_bytes()
    rows = repr(pq.read_table(stored.folder / "clips.parquet").to_pydict()).encode()
    answer.put((seconds, cpu, peak - before, hashlib.sha256(data + rows).hexdigest()[:12]))


def in_a_process(work: Callable[..., None], *given: Any) -> Any:
    """What `work` answers in a process of its own."""
    context = mp.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=work, args=(*given, answer))
    process.start()
    found = answer.get(timeout=3600)
    process.join()
    return found


def main() -> None:
    """Every kind, one after the other."""
    from features.clips import Clip, ClipTable, write_clips

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--numbers", type=int, default=16)
    parser.add_argument("--kinds", nargs="+", default=["csv", "parquet", "npz", "npz_by_clip", "frames"])
    given = parser.parse_args()
    ids = [f"clip_{i:06d}" for i in range(given.clips)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = ClipTable(tuple(Clip(i, None, "train", "x", f"g{n % 50}") for n, i in enumerate(ids)), folder)
        write_clips(table, folder / "clips.parquet")
        for kind in given.kinds:
            source = write(folder, kind, ids, given.numbers)
            level = "frame" if kind == "frames" else "clip"
            work = (folder / "clips.parquet", source, level, folder / f"store_{kind}")
            seconds, cpu, memory, digest = in_a_process(bring, *work)
            size = source.stat().st_size / 1e6
            print(
                f"{kind:12} {size:6.0f} MB of {given.clips:,} clips: {seconds:7.1f} s, of the CPU {cpu:6.1f} s, "
                f"{memory:6.0f} MB, sha256 {digest}",
                flush=True,
            )


if __name__ == "__main__":
    main()
