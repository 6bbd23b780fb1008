"""Every kind of file of a run, damaged: it is told in one sentence that names it, or changes no number."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_world import FAMILIES, corpus, recipe_file

from ensembles.comparison.leaderboard import leaderboard
from ensembles.fitting.fit import FitOptions, fit_ensemble
from ensembles.records.stored import ensemble_json, open_ensemble, write_ensemble
from features.annotations import Annotations, annotations_path, read_annotations, write_annotations
from features.clips import read_clips
from features.disk.sealed import sealed_line
from features.disk.sealed_parquet import SEAL
from features.errors import DamagedFile, Diverged, EmofuseError
from features.files import write_bytes
from features.progress import say_once
from features.store.store import StoredSet
from models.training.checkpoint import Checkpoint
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run import lease
from search.run.ended import read_ended
from search.run.folder import RunFolder
from search.run.layout import Layout
from search.run.planned import read_plan
from search.run.predictions import prediction_files, read_footer, read_predictions
from search.runner import run_search
from search.sampling.journal import open_journal
from search.study.plan import entry_spec, refit_spec
from search.trial.batch import note, with_noted_batch
from search.trial.heartbeats import Heartbeat, read_running
from search.trial.trial import finished_result, run_trial
from search.watch.status import Status, read_status

POSITIONS = 100
STAGES = [
    {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1}}},
    {
        "stage": "clips",
        "entries": {
            "centroid": {"configurations": 2},
            "broken": {"family": "centroid", "configurations": 1, "fixed": {"kind": "b"}},
            "pooled": {"configurations": 1, "published": False},
        },
    },
    {"stage": "fusion", "entries": {"fused": {"configurations": 1, "inputs": {"members": ["centroid"]}}}},
]


def search(folder: Path) -> Status:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.registry.families", lambda: {**FAMILIES, "centroid": _breaking(FAMILIES["centroid"])})
        return run_search(
            read_recipe(folder / "recipe.yaml"),
            clips=folder / "clips.parquet",
            store=folder / "store",
            stills=folder / "stills.parquet",
            out=folder / "run",
            workers=Workers(in_process=True),
        )


def one(paths: Iterator[Path]) -> Path:
    return sorted(path for path in paths if not path.name.startswith("."))[0]


@dataclass(frozen=True)
class World:
    """A finished run with one file of every kind."""

    folder: Path

    @property
    def run(self) -> RunFolder:
        return RunFolder.open(self.folder / "run")

    @property
    def spec(self):
        run = self.run
        spec = entry_spec(run, *run.recipe.entry("centroid"))
        return replace(spec.at(FAMILIES["centroid"].published[0], "train"), batch_size=8)

    def refit(self):
        run = self.run
        parent = read_footer(one((run.path / "predictions" / "family=centroid").glob("*")))
        return refit_spec(run, [parent])

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.folder / "run" / "checkpoints" / "key", "me", 0.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory, module_world) -> World:
    folder = tmp_path_factory.mktemp("world")
    corpus(folder), corpus(folder, "stills")
    recipe_file(folder, partitions=["train", "swap"], stages=STAGES, keep=1)
    search(folder)
    world = World(folder)
    run = world.run
    write_ensemble(fit_ensemble(run.path, FitOptions("uniform")), run.path / "ensembles" / "best" / "ensemble.json")
    run_trial(world.refit())
    world.checkpoint.save(lambda: {"weights": torch.arange(50.0)}, now=True)
    note(world.spec)
    beat = Heartbeat("key", "c", "centroid", "train", "elsewhere", 1, 1.0, curve=({"epoch": 2, "accuracy": 0.5},))
    write_bytes(run.path / "running" / "key.json", sealed_line(vars(beat) | {"usage": vars(beat.usage)}).encode())
    (run.path / "driver.json").write_text(sealed_line({"host": "elsewhere", "pid": 17, "at_s": 1.0}))
    series = {clip.clip_id: (np.arange(3.0), np.eye(3)[:, :2]) for clip in read_clips(folder / "clips.parquet").clips}
    (folder / "spoken").mkdir()
    write_annotations(Annotations(("arousal", "valence"), series), annotations_path(folder / "spoken" / "clips"))
    read_ended(run.path)
    return world


def _breaking(family):
    def build(hyperparameters, context):
        if hyperparameters["kind"] == "b" and hyperparameters["steps"] == hyperparameters["n"] // 4:
            raise Diverged("the loss is nan")
        return family.build(hyperparameters, context)

    return replace(family, build=build)


def of_set(folder: str, world: World) -> Any:
    stored = StoredSet(one((world.folder / "run").glob(folder)))
    return {clip: [array.tolist() for array in stored.steps(clip)] for clip in stored.ids if stored.has(clip)}


def of_model(folder: Path, world: World) -> Any:
    world.run.check_model(folder.name, "make it again")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "digests.json"}


def of_refit(world: World) -> Any:
    return finished_result(world.refit()) is not None


def of_checkpoint(world: World) -> Any:
    state = world.checkpoint.load()
    return None if state is None else state["weights"].tolist()


def of_lease(world: World) -> Any:
    return lease._told((world.folder / "run" / "driver.json").read_text(errors="replace"))


def of_journal(world: World) -> Any:
    path = world.folder / "run" / "study.journal"
    open_journal(path)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@dataclass(frozen=True)
class Kind:
    """One kind of file: where one lies, how it is read, and what is read where it is taken for absent.

    `told` is False where a damaged one is passed over without a word, because no number is made of it.
    """

    name: str
    path: str
    read: Callable[[World], Any]
    absent: Any = None
    told: bool = True

    def __str__(self) -> str:
        return self.name


SETS = [
    Kind(f"{what}'s {name}", f"run/{folder}/{name}", partial(of_set, folder))
    for what, folder in (("activations", "activations/*/*"), ("encodings", "encodings/centroid/*"))
    for name in ("data.arrow", "clips.parquet", "set.json")
]
KINDS = [
    Kind("run.json", "run/run.json", lambda w: (RunFolder.open(w.folder / "run"), read_plan(w.folder / "run"))),
    Kind("recipe", "run/recipe.yaml", lambda w: read_recipe(w.folder / "run" / "recipe.yaml")),
    Kind("ensemble.json", "run/ensembles/*/*", lambda w: ensemble_json(open_ensemble(w.folder / "run", "best"))),
    Kind("outcome", "run/trials/*.json", lambda w: list(w.run.outcomes())),
    Kind("ended trials", "run/.ended.3.jsonl", lambda w: read_ended(w.run.path)),
    Kind("journal", "run/study.journal", of_journal),
    *SETS,
    Kind("checkpoint", "run/checkpoints/key/training.pt", of_checkpoint),
    Kind("kept model", "run/models/*/model.json", lambda w: of_model(one((w.run.path / "models").glob("*")), w)),
    Kind("its digests", "run/models/*/digests.json", lambda w: of_model(one((w.run.path / "models").glob("*")), w)),
    Kind("refit", "refit/model.json", of_refit, absent=False),
    Kind("batch note", "run/checkpoints/*/batch.json", lambda w: with_noted_batch(w.spec).batch_size, absent=8),
    Kind("heartbeat", "run/running/key.json", lambda w: read_running(w.run.path), absent=[], told=False),
    Kind("lease", "run/driver.json", of_lease, told=False),
    Kind("clip table", "clips.parquet", lambda w: read_clips(w.folder / "clips.parquet").clips),
    Kind("annotations", "spoken/*", lambda w: read_annotations(one((w.folder / "spoken").glob("*"))).fingerprint),
]


def damaged(good: bytes) -> Iterator[bytes]:
    """`good` emptied, filled with zeros, cut off at a hundred places, and with one bit turned at a hundred."""
    draw = random.Random(1)
    yield b""
    yield bytes(len(good))
    for place in draw.sample(range(len(good)), min(POSITIONS, len(good))):
        yield good[:place]
    for place in (draw.randrange(len(good)) for _ in range(POSITIONS)):
        yield good[:place] + bytes([good[place] ^ 1 << draw.randrange(8)]) + good[place + 1 :]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_damaged_file_is_told_or_changes_no_number(world, kind, capsys):
    path = _path(world, kind)
    good, whole = path.read_bytes(), kind.read(world)
    assert not capsys.readouterr().err
    try:
        for bad in damaged(good):
            path.write_bytes(bad)
            say_once.cache_clear()
            _check(kind, path, whole, partial(kind.read, world), capsys)
    finally:
        path.write_bytes(good)
    assert kind.read(world) == whole
    capsys.readouterr()


def _path(world: World, kind: Kind) -> Path:
    if kind.path.startswith("refit/"):
        return world.run.model_folder(world.refit().trial_key) / "model.json"
    whole = world.folder / kind.path
    return whole if whole.is_file() else one(world.folder.glob(kind.path))


def _check(kind: Kind, path: Path, whole: Any, read: Callable[[], Any], capsys) -> None:
    try:
        found = read()
    except EmofuseError as error:
        told = str(error)
        capsys.readouterr()
    else:
        told = capsys.readouterr().err.strip()
        if found == whole:
            return
        if kind.name == "journal":  # a cut at a line's end is what a kill leaves
            for line, good in zip(found, whole, strict=False):
                assert {key: line[key] for key in good if key != "crc32"} | {"crc32": good["crc32"]} == good
            return
        if kind.name == "outcome":
            assert all(outcome in whole for outcome in found)
        elif kind.name != "recipe":
            assert found == kind.absent
        assert told or not kind.told
    if told:
        assert path.name in told or path.parent.name in told
        assert "\n" not in told and told.endswith((".", "?"))


def test_files_without_digests_as_earlier_releases_wrote_them_are_read(world, tmp_path):
    folder = tmp_path / "world"
    shutil.copytree(world.folder, folder)
    old = World(folder)
    for path in [*folder.rglob("*.json"), *folder.rglob("*.journal")]:
        if path.name == "digests.json":
            path.unlink()
        else:
            text = re.sub(r'"content_sha256": "\w+",\s*|,\s*"content_sha256": "\w+"', "", path.read_text())
            path.write_text(re.sub(r',"crc32":\d+}', "}", text))
            assert not re.search("content_sha256|crc32", path.read_text())
    for path in (folder / "clips.parquet", folder / "spoken" / "annotations.parquet"):
        table = pq.read_table(path)
        assert SEAL in table.schema.metadata
        footer = {name: value for name, value in table.schema.metadata.items() if name != SEAL}
        pq.write_table(table.replace_schema_metadata(footer), path)
    checkpoint = next(folder.rglob("training.pt"))
    checkpoint.write_bytes(checkpoint.read_bytes().partition(b"\nemofuse crc32 ")[0])
    for kind in KINDS:
        if kind.name in ("run.json", "journal", "ended trials"):  # which tell of paths and times
            kind.read(old)
        elif kind.name not in ("lease", "its digests"):
            assert kind.read(old) == kind.read(world), kind


EMPTIED = (
    "run.json",
    "study.journal",
    "models/*/model.json",
    "activations/*/*/data.arrow",
    "encodings/*/*/set.json",
    "trials/*.json",
    "predictions/*/*.parquet",
    "ensembles/*/ensemble.json",
    "**/*",
)


@pytest.mark.parametrize("which", EMPTIED)
def test_after_a_power_cut_the_same_command_comes_to_the_same_predictions(world, tmp_path, capsys, which):
    folder = tmp_path / "world"
    shutil.copytree(world.folder, folder)
    emptied = [path for path in (folder / "run").glob(which) if path.is_file() and not path.name.startswith(".")]
    assert emptied
    for path in emptied:
        path.write_bytes(b"")
    if which in ("run.json", "**/*"):
        with pytest.raises(DamagedFile, match="run the same `emofuse search run` again, and it is written anew"):
            read_status(Layout(folder / "run"))
    found = search(folder)
    assert found.left == 0 and not found.damaged
    told = capsys.readouterr().err
    if not which.startswith(("ensembles", "study.journal", "**")):  # an empty journal is a new one
        assert emptied[0].name in told or re.search("stored (activations|encodings) are damaged", told)
    for path in prediction_files(folder / "run"):
        if (again := read_predictions(path)).footer.partition != "full":
            before = read_predictions(world.folder / path.relative_to(folder))
            assert np.array_equal(again.probabilities, before.probabilities)
    board = leaderboard(folder / "run")
    assert len(board.members) == len(leaderboard(world.run.path).members)
    assert len(board.ensembles) == (which not in ("ensembles/*/ensemble.json", "**/*"))
