"""Pools of real trials, recorded once, that searches are replayed on: `benchmarks/ensemble_search.py` and others.

    python benchmarks/pools.py record [ravdess mosi afew] [--pools FOLDER] [--minutes 13]
    python benchmarks/pools.py show [--pools FOLDER]

`record` draws configurations of several entries at random (an entry's published ones first, the entries in turn) and
trains each once with the program's own search, in this process on one thread: fitted on train, stopped and scored on
val, test looked at by nobody. The same command goes on where it was stopped; a pool whose `--minutes` are over has
what was finished by then. Real data is read from EMOFUSE_TEST_DATA, else from ../shared/data.

- `ravdess`: acted speech, 8 classes. Actors 1-8 fit, 9-12 held out, 13-16 test. IS10 and functionals through SVMs and
  heads, short-term features through pooled SVMs, pooling networks and LSTMs.
- `mosi`: sentiment of two classes. Fitted on the train split; half of the 31 speakers of the test split held out, the
  other half test, since whoever made the vectors fitted their networks on the train split, where a held-out score would
  be worth nothing (0.98). Vectors of text, audio and video, each through an SVM and a head.
- `afew`: a ConvNet's softmax per face frame, 7 classes; clips are groups of their own. A third each.

A pool is two files in FOLDER (a cache: never part of the repository), beside the run `NAME/run` that they were made of:

- `NAME.json`: `classes`, `entries` (name: {family, space as data, inputs}), and `trials`, a list in the order in which
  they were drawn: `entry`, `family`, `point` (the searched hyperparameters), `key`, `status` (all "finished"), `epochs`
  run, `best_epoch`, `metrics` (held out, at the best epoch), `curve` (a dict per epoch as families report it:
  `epoch`, held-out `accuracy`, `log_loss`, ...; empty or of one row for families without epochs), `wall_s`, `gpu_s`.
- `NAME.npz`: `held_out` (M, N, C) and `test` (M, T, C) float32, a row per trial in the same order; `y_held_out` (N,),
  `y_test` (T,) class numbers; `groups_held_out`, `groups_test` strings.

`read_pool(FOLDER, NAME)` reads both.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.clips import Clip, ClipTable, hash_media, read_clips, write_clips
from features.datasets import read_dataset
from features.errors import EmofuseError
from features.extract import extract
from features.imports import import_arrays
from models.space import space_as_data
from search.cluster.workers import Workers
from search.recipe.recipe import Recipe, recipe_of_data
from search.run.predictions import prediction_files, read_predictions
from search.runner import run_search

DEFAULT = Path(tempfile.gettempdir()) / "emofuse_pools"


@dataclass(frozen=True)
class Pool:
    """A recorded pool: `trials` (M) as dicts, their scores `held_out` (M, N, C) and `test` (M, T, C), and the clips."""

    name: str
    classes: tuple[str, ...]
    entries: Mapping[str, Mapping[str, Any]]
    trials: Sequence[Mapping[str, Any]]
    held_out: np.ndarray
    test: np.ndarray
    y_held_out: np.ndarray
    y_test: np.ndarray
    groups_held_out: np.ndarray
    groups_test: np.ndarray


def read_pool(folder: Path, name: str) -> Pool:
    """The pool of that name."""
    data = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as arrays:
        return Pool(name, tuple(data["classes"]), data["entries"], data["trials"], **arrays)


def real_data() -> Path:
    """The folder of real data."""
    given = os.environ.get("EMOFUSE_TEST_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[1].parent / "shared" / "data"


def _part(name: str, parts: int) -> int:
    """0 to `parts` - 1, by the name alone."""
    return hashlib.sha256(name.encode()).digest()[0] % parts


# The published sizes take minutes: smaller ones, and fewer epochs, so that a pool is a matter of minutes.
_SHORT = {"hidden": [32, 64], "cells": [32, 64]}


def ravdess(folder: Path) -> dict[str, Any]:
    """Clip table and features of the pool; returns its entries."""
    clips, actors = folder / "clips.parquet", {"train": "1-8", "val": "9-12", "test": "13-16"}
    if not clips.exists():
        table = read_dataset("ravdess", real_data() / "ravdess_audio", modality="audio", **actors)
        write_clips(hash_media(table), clips)
    extract(read_clips(clips), ["is10", "functionals", "short_term"], folder / "store", workers=0)
    return {
        "svm_is10": {"family": "audio_svm", "configurations": 24, "inputs": {"audio": "is10"}},
        "svm_functionals": {"family": "audio_svm", "configurations": 40, "inputs": {"audio": "functionals"}},
        "head_is10": {"family": "embedding_head", "configurations": 24, "inputs": {"embedding": "is10"}},
        "head_functionals": {"family": "embedding_head", "configurations": 24, "inputs": {"embedding": "functionals"}},
        "pooled_svm": {"configurations": 56, "inputs": {"frames": "short_term"}},
        "pooling": {
            "family": "temporal_pooling",
            "configurations": 16,
            "inputs": {"frames": "short_term"},
            "max_epochs": 40,
            "published": False,
            "space": {"hidden": [64, 128]},
        },
        "lstm": {
            "family": "lstm_encoder",
            "configurations": 16,
            "inputs": {"frames": "short_term"},
            "max_epochs": 40,
            "published": False,
            "space": _SHORT,
        },
    }


def mosi(folder: Path) -> dict[str, Any]:
    """Clip table and features of the pool; returns its entries."""
    clips, source = folder / "clips.parquet", real_data() / "features"
    rows = pd.read_parquet(source / "mosi_text.parquet")
    if not clips.exists():
        split = [
            "train" if split == "train" else ("val", "test")[_part(group, 2)]
            for split, group in zip(rows["split"], rows["group_id"], strict=True)
        ]
        names = np.where(rows["label"] > 0, "positive", "negative")
        found = [
            Clip(str(clip_id), None, part, str(label), str(group))
            for clip_id, part, label, group in zip(rows["sample_id"], split, names, rows["group_id"], strict=True)
        ]
        write_clips(ClipTable(tuple(found), clips.parent), clips)
    for name in ("text", "audio", "video"):
        arrays = pd.read_parquet(source / f"mosi_{name}.parquet")
        file = folder / f"{name}.npz"
        if not file.exists():
            np.savez(file, clip_id=arrays["sample_id"].to_numpy(str), x=np.stack(arrays["vector"]))
        import_arrays(read_clips(clips), f"mosi_{name}", file, "clip", folder / "store")
    svm = {
        f"svm_{n}": {"family": "audio_svm", "configurations": 60, "inputs": {"audio": f"mosi_{n}"}} for n in _MODALITIES
    }
    head = {
        f"head_{n}": {"family": "embedding_head", "configurations": 70, "inputs": {"embedding": f"mosi_{n}"}}
        for n in _MODALITIES
    }
    return svm | head


_MODALITIES = ("text", "audio", "video")


def afew(folder: Path) -> dict[str, Any]:
    """Clip table and features of the pool; returns its entries."""
    clips = folder / "clips.parquet"
    rows = pd.read_parquet(real_data() / "features" / "afew2013_train_frames.parquet")
    if not clips.exists():
        split = ("train", "val", "test")
        found = [
            Clip(str(clip_id), None, split[_part(str(clip_id), 3)], str(label), str(clip_id))
            for clip_id, label in rows.groupby("sample_id")["label"].first().items()
        ]
        write_clips(ClipTable(tuple(found), clips.parent), clips)
    file = folder / "frames.parquet"
    if not file.exists():
        columns = [name for name in rows.columns if str(name).startswith("convnet_")]
        rows.rename(columns={"sample_id": "clip_id"})[["clip_id", *columns]].to_parquet(file)
    import_arrays(read_clips(clips), "convnet", file, "frame", folder / "store", step_s=0.04)
    frames, short = {"frames": "convnet"}, {"max_epochs": 40, "published": False}
    return {
        "mean_svm": {"family": "pooled_svm", "configurations": 64, "inputs": frames, "fixed": {"pool": "mean"}},
        "max_svm": {"family": "pooled_svm", "configurations": 64, "inputs": frames, "fixed": {"pool": "max"}},
        "cnn_pool_svm": {"configurations": 64, "inputs": frames},
        "pooling": {"family": "temporal_pooling", "configurations": 19, "inputs": frames, **short},
        "lstm": {"family": "lstm_encoder", "configurations": 18, "inputs": frames, "space": _SHORT, **short},
    }


POOLS: Mapping[str, Callable[[Path], dict[str, Any]]] = {"ravdess": ravdess, "mosi": mosi, "afew": afew}


def record(name: str, folder: Path, minutes: float, make: Callable[[Path], dict[str, Any]] | None = None) -> None:
    """Train what is missing of a pool, for so many minutes, and write its two files; `make` is its own of `POOLS`."""
    work = folder / name
    work.mkdir(parents=True, exist_ok=True)
    data = {
        "name": name,
        "seed": 1,
        "partitions": ["train"],
        "sampler": "random",
        "asha": None,
        "stages": [{"stage": "clips", "entries": (make or POOLS[name])(work)}],
    }
    recipe = recipe_of_data(data, name)
    over = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGINT))
    over.start()
    with suppress(EmofuseError, KeyboardInterrupt):
        run_search(
            recipe,
            clips=work / "clips.parquet",
            store=work / "store",
            out=work / "run",
            workers=Workers(in_process=True),
        )
    over.cancel()
    _write(name, folder, recipe)


def _write(name: str, folder: Path, recipe: Recipe) -> None:
    entries = {entry.name: entry for _, entry in recipe.all_entries()}
    found = sorted(
        (read_predictions(path) for path in prediction_files(folder / name / "run")), key=lambda p: p.footer.started_s
    )
    trials = [
        {
            "entry": p.footer.entry,
            "family": p.footer.family,
            "point": {k: v for k, v in p.footer.hyperparameters.items() if k not in entries[p.footer.entry].fixed},
            "key": p.footer.trial_key,
            "status": "finished",
            "epochs": p.footer.epochs,
            "best_epoch": p.footer.best_epoch,
            "metrics": dict(p.footer.metrics),
            "curve": [dict(row) for row in p.footer.curve],
            "wall_s": p.footer.wall_s,
            "gpu_s": p.footer.gpu_s,
        }
        for p in found
    ]
    classes = found[0].footer.classes
    arrays: dict[str, np.ndarray] = {}
    for role in ("held_out", "test"):
        rows = np.flatnonzero(np.array(found[0].role) == role)
        ids = [found[0].clip_id[n] for n in rows]
        if any([p.clip_id[n] for n in rows] != ids or not p.valid[rows].all() for p in found):
            raise EmofuseError(f"{name}: expected the same clips in each trial, all with features.")
        arrays[role] = np.stack([p.probabilities[rows] for p in found])
        arrays[f"y_{role}"] = np.array([classes.index(str(found[0].label[n])) for n in rows])
        arrays[f"groups_{role}"] = np.array([found[0].group_id[n] for n in rows])
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    told = {
        "classes": list(classes),
        "entries": {
            entry.name: {
                "family": entry.family,
                "inputs": entry.input_specs(),
                "space": space_as_data(entry.effective_space()),
            }
            for entry in entries.values()
        },
        "trials": trials,
    }
    (folder / f"{name}.json").write_text(json.dumps(told))


def show(folder: Path) -> None:
    """Print what was recorded."""
    for file in sorted(folder.glob("*.npz")):
        pool = read_pool(folder, file.stem)
        print(f"{pool.name}: {len(pool.trials)} trials, {len(pool.y_held_out)} clips held out, {len(pool.y_test)} test")
        table = pd.DataFrame(pool.trials)
        table["accuracy"] = [trial["metrics"]["accuracy"] for trial in pool.trials]
        table["test"] = (pool.test.argmax(axis=2) == pool.y_test).mean(axis=1)
        print(
            table.groupby("entry", sort=False)
            .agg(
                trials=("key", "size"),
                seconds=("wall_s", "mean"),
                epochs=("epochs", "mean"),
                best=("accuracy", "max"),
                median=("accuracy", "median"),
                best_test=("test", "max"),
            )
            .round(3)
            .to_string()
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "show"))
    parser.add_argument("names", nargs="*", default=list(POOLS), metavar="POOL")
    parser.add_argument("--pools", type=Path, default=DEFAULT, help=f"where they are kept [{DEFAULT}]")
    parser.add_argument("--minutes", type=float, default=13.0, help="the longest that a pool is trained")
    args = parser.parse_args()
    if args.what == "show":
        show(args.pools)
        return
    for name in args.names:
        if name not in POOLS:
            sys.exit(f"expected {', '.join(POOLS)}, but got {name!r}.")
        record(name, args.pools, args.minutes)
        print(f"{args.pools / name}.npz, {args.pools / name}.json", flush=True)


if __name__ == "__main__":
    main()
