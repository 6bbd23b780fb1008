"""Files from strangers, by the hundred: each is read, or refused in a sentence (see mutations.guarded).

`EMOFUSE_FUZZ` multiplies the numbers; the slow test tries twenty times as many.
"""

import json
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import changed, changed_json, guarded, try_all

from ensembles.continuous.avec import read_recordings
from ensembles.continuous.stored import read_continuous
from ensembles.predictions.exchange import import_long
from ensembles.records.stored import read_ensemble
from features.annotations import load_annotations
from features.clips import Clip, ClipTable, check_clips, read_clips, write_clips
from features.datasets import read_dataset
from features.datasets.avec_labels import read_gold
from features.files import DIGEST
from features.imports import import_arrays
from features.store.stored_set import SetInfo, read_info
from search.recipe.checks import check_recipe
from search.recipe.reading import read_recipe
from search.recipe.recipe import recipe_of_data
from search.run.folder import RunFolder
from search.run.layout import Layout
from search.run.planned import read_plan

ROOT = Path(__file__).parents[1]
TIMES = int(os.environ.get("EMOFUSE_FUZZ", "1"))

CLIPS = "clip_id,split,path,label,group_id,start_s,end_s\n" + "".join(
    f"c{n},{('train', 'val', 'test')[n % 3]},c{n}.wav,{'ab'[n % 2]},g{n},0.5,{n + 1}.5\n" for n in range(9)
)
LONG = "sample_id,split,label,model,p_a,p_b,group_id\n" + "".join(
    f"s{n},{('val', 'test')[n % 2]},{'ab'[n % 2]},m{m},0.{m + 3},0.{7 - m},g{n}\n" for n in range(6) for m in range(2)
)
ANNOTATED = "clip_id,time_s,arousal,valence\n" + "".join(f"c{n % 3},{n / 10},0.{n},-0.{n}\n" for n in range(9))
AVEC = "name;time;arousal;valence;liking\n" + "".join(f"'Train_01';{n / 10:.1f};0.1;-0.{n};0\n" for n in range(9))
FACES = "emotion,pixels,Usage\n" + "".join(
    f"{n},{' '.join(['7'] * 2304)},{use}\n" for n, use in enumerate(("Training", "PublicTest", "PrivateTest"))
)


@pytest.fixture
def file(tmp_path):
    """`file(name)(data)` is the path of a file of that name that holds the data."""

    def named(name: str):
        path = tmp_path / name

        def write(data: bytes) -> Path:
            path.write_bytes(data)
            return path

        return write

    return named


@pytest.mark.parametrize("name", ["start", "kahou2015"])
def test_recipes(file, name):
    write, text = file("r.yaml"), (ROOT / "recipes" / f"{name}.yaml").read_bytes()
    try_all(name, 20 * TIMES, lambda rng: changed(text, rng), lambda data: read_recipe(write(data)))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inside),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "seed", "partitions", "asha", "keep", "stages", "sampler", "disk_budget_gb", "x-a"])
ENTRY = st.dictionaries(
    st.sampled_from(["family", "configurations", "trials", "inputs", "space", "fixed", "resources"]), PLAIN
)
ENTRIES = st.dictionaries(st.sampled_from(["svm", "mlp", "a b", ""]), ENTRY | PLAIN, max_size=2)
STAGES = st.lists(st.fixed_dictionaries({"stage": st.just("clips"), "entries": ENTRIES}) | PLAIN, max_size=2)


@given(st.dictionaries(KEYS, PLAIN, max_size=3), STAGES)
@settings(
    max_examples=40 * TIMES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
def test_recipes_as_data(data, stages):
    with guarded(repr(data)[:200]):
        check_recipe(recipe_of_data({"name": "n", "stages": stages, **data}, "recipe"), "recipe")


@pytest.fixture
def read_clip_table(file):
    return lambda data: check_clips(read_dataset("table", file("c.csv")(data)), media=False)


TABLES = {
    "clips": (CLIPS, "c.csv", lambda path: check_clips(read_dataset("table", path), media=False)),
    "long": (LONG, "p.csv", lambda path: import_long(path, path.parent / "run")),
    "annotations": (ANNOTATED, "a.csv", lambda path: load_annotations(path).check(["c0", "c1", "c2"])),
    "avec": (AVEC, "Train_01.csv", read_gold),
    "fer2013": (FACES, "f.csv", lambda path: read_dataset("fer2013", path, store=str(path.parent / "store"))),
}


@pytest.mark.parametrize("kind", TABLES)
def test_csv(file, kind):
    text, name, read = TABLES[kind]
    write = file(name)
    read(write(text.encode()))
    try_all(kind, 20 * TIMES, lambda rng: changed(text.encode(), rng), lambda data: read(write(data)))


def column(values: list, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(values, kind)


N = 4
ODD = {
    "struct": column([{"a": 1}] * N),
    "list": column([["x"]] * N),
    "empty lists": column([[]] * N),
    "null": pa.nulls(N),
    "binary": column([b"\xff"] * N),
    "decimal": column([Decimal("1.5")] * N),
    "time": column([datetime(2020, 1, 1)] * N),
    "map": column([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "bool": column([True] * N),
    "nan": column([float("nan")] * N),
    "inf": column([float("inf")] * N),
    "fraction": column([0.5] * N),
    "large": column([2**63 - 1] * N),
    "text": column(["x" * 1000, "", None, "a\0b"]),
    "dictionary": column(["a", "b", None, "a"]).dictionary_encode(),
    "view": column(["a", "b", None, "a"], pa.string_view()),
    "tensor": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 * N)), 2),
}
PARQUET = {
    "clips": (
        {"clip_id": "abcd", "split": ["train"] * N, "path": "abcd", "label": "aabb", "group_id": "abcd"},
        "clips",
    ),
    "long": (
        {"sample_id": "abcd", "split": ["val"] * N, "label": "aabb", "model": "m" * N, "p_a": N, "p_b": N},
        "long",
    ),
    "annotations": ({"clip_id": "abcd", "time_s": N, "arousal": N}, "annotations"),
    "features": ({"clip_id": "abcd", "time_s": N, "f": N}, "features"),
    "recordings": ({"session": ["Train_01"] * 4, "time_s": N, "system": "ssss", "arousal": N}, "recordings"),
    "stored clips": ({"clip_id": "abcd", "split": ["train"] * 4}, "stored clips"),
}


def _import(path: Path, level: str = "frame"):
    table = ClipTable(tuple(Clip(name, None, "train", "a", name) for name in "abcd"), path.parent)
    import_arrays(table, "mine", path, level, path.parent / "store")


def _recordings(path: Path):
    labels = path.parent / "labels"
    labels.mkdir(exist_ok=True)
    (labels / "Train_01.csv").write_text(AVEC, encoding="utf-8")
    read_recordings(path, labels)


READERS = {
    **{name: read for name, (_, _, read) in TABLES.items()}, "features": _import, "recordings": _recordings,
    "stored clips": read_clips,
}  # fmt: skip


@pytest.mark.parametrize("kind", PARQUET)
def test_odd_columns_of_parquet(tmp_path, kind):
    columns, reader = PARQUET[kind]
    plain = {k: pa.array([0.1 * n for n in range(N)] if v == N else list(v)) for k, v in columns.items()}
    path = tmp_path / "x.parquet"
    tables = {
        f"{k} is {odd}": pa.table({**plain, k: ODD[odd]}) for n, k in enumerate(plain) for odd in list(ODD)[n % 2 :: 2]
    }
    names = list(plain)
    twice = [*plain.values(), plain[names[0]]]
    tables["twice"] = pa.Table.from_arrays(twice, names=[*names, names[0]])
    tables["no rows"] = pa.table(plain).slice(0, 0)
    tables["no columns"] = pa.table({})
    tables["no name"] = pa.Table.from_arrays(list(plain.values()), names=["", *names[1:]])
    tables["index"] = pa.table({**plain, "__index_level_0__": plain[names[0]]})
    for what, table in tables.items():
        pq.write_table(table, path)
        with guarded(f"{kind}: {what}"):
            READERS[reader](path)


def test_bytes_of_parquet_and_npz(file, tmp_path):
    pq.write_table(pa.table({"clip_id": list("abcd"), "split": ["train"] * 4}), tmp_path / "t.parquet")
    table = ClipTable(tuple(Clip(name, None, "train", "a", name) for name in "abcd"), tmp_path)
    write_clips(table, tmp_path / "s.parquet")
    np.savez(tmp_path / "a.npz", **{name: np.ones((3, 2), np.float32) for name in "abcd"})
    np.savez_compressed(tmp_path / "b.npz", clip_id=np.array(list("abcd")), x=np.ones((4, 3, 2)))
    for name, read in (
        ("t.parquet", lambda path: read_dataset("table", path, no_media=True)), ("s.parquet", read_clips),
        ("a.npz", _import), ("b.npz", _import),
    ):  # fmt: skip
        data = (tmp_path / name).read_bytes()
        write = file(f"changed-{name}")
        try_all(name, 10 * TIMES, lambda rng, data=data: changed(data, rng), lambda d, r=read, w=write: r(w(d)))


@pytest.mark.parametrize("shape", ["()", "(1000000000000, 8)", "(-1,)", "(3, 0)", "(2,) * 3"])
def test_npz_headers_that_lie(tmp_path, shape):
    import io
    import zipfile

    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (117 - len(header)) + "\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(4)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.npy", body)
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    for level in ("clip", "frame"):
        with guarded(f"npz of shape {shape}"):
            _import(tmp_path / "x.npz", level)


def _plain(path: Path) -> dict:
    data = json.loads(path.read_bytes())
    data.pop(DIGEST, None)
    return data


ENSEMBLE = {
    "name": "e", "method": "uniform", "params": {}, "seed": 0, "missing": "share", "classes": ["a", "b"],
    "members": [{"entry": "svm", "config_key": "c", "trials": {"train": "k"}, "refit": None}], "weights": [[1.0, 1.0]],
    "partitions": ["train"], "selection": {}, "folds": 5, "repeats": 1, "best_single": "svm/c", "n_candidates": 1,
    "scores": {"ensemble": {"fit": {"rows": "r", "n_clips": 2, "n_groups": 2, "metrics": {"accuracy": 0.5},
                                    "interval": {"low": 0.1, "high": 0.9}, "confusion": [[1, 0], [1, 0]]}}},
    "temperatures": [1.0], "log_pool": {"coefficients": [[[1.0, 0.0], [0.0, 1.0]]], "biases": [0.0, 0.0]},
    "schema_version": 1,
}  # fmt: skip
RECIPE = {"name": "r", "stages": [{"stage": "clips", "entries": {"svm": {"configurations": 1, "fixed": {"C": 1.0}}}}]}
PLANNED = {"stage": "clips", "entry": "svm", "family": "svm", "configurations": 1, "partitions": ["train"]}
RUN = {
    "schema_version": 1, "recipe": RECIPE, "clips": "/c.parquet", "store": "/s", "stills": None,
    "clips_fingerprint": "f", "stills_fingerprint": None, "plan": [PLANNED],
}  # fmt: skip
OUTCOME = {
    "trial_key": "k", "config_key": "c", "status": "failed", "reason": "r", "entry": "e", "family": "f",
    "partition": "train", "hyperparameters": {"C": 1.0}, "epochs": 3, "value": 0.5, "kind": "diverged",
}  # fmt: skip
SET = SetInfo("s", "k", "s:a=1", "clip", (3,), "float32", {"a": 1}, 1, "m", "i", columns=("a", "b", "c"))
CONTINUOUS = {
    "members": ["a", "b"], "params": {"bagged": 0}, "seed": 0, "n_recordings": 2, "n_groups": 2, "n_samples": 9,
    "folds": 2, "rows": {"fit": "r"}, "kind": "continuous", "schema_version": 1,
    "dimensions": [{"dimension": "arousal", "weights": {"a": 0.5, "b": 0.5}, "offset": 0.0, "scale": 1.0,
                    "best_single": "a", "scores": {}}],
}  # fmt: skip
JSON = {
    "ensemble.json": (ENSEMBLE, read_ensemble),
    "run.json": (RUN, lambda path: RunFolder.open(path.parent)),
    "plan/run.json": (RUN, lambda path: read_plan(path.parent)),
    "trials/k.json": (OUTCOME, lambda path: Layout(path.parents[1]).outcome("k")),
    "set.json": (SET.as_json(), lambda path: read_info(path.parent)),
    "continuous.json": (CONTINUOUS, read_continuous),
}


@pytest.mark.parametrize("name", JSON)
def test_json_of_wrong_types(tmp_path, name):
    value, read = JSON[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    value = json.loads(json.dumps(value))

    def wrong(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    if name != "continuous.json":
        wrong(json.dumps(value).encode())
    try_all(name, 20 * TIMES, lambda rng: changed_json(value, rng), wrong)
    try_all(f"{name} bytes", 5 * TIMES, lambda rng: changed(json.dumps(value).encode(), rng), wrong)
    for data in (b"", b"[]", b"null", b"3", b'"x"', b"{}", b"[" * 100_000, b'{"schema_version": 1}'):
        with guarded(f"{name}: {data[:20]!r}"):
            wrong(data)


@pytest.mark.slow
def test_many_more():
    import subprocess
    import sys

    command = [sys.executable, "-m", "pytest", __file__, "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"]
    done = subprocess.run(command, env={**os.environ, "EMOFUSE_FUZZ": "20"}, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
