"""Searches on a Ray cluster of several nodes on this machine: nodes that die, that join later, that share a GPU.

The nodes share one machine and its files; tests/multihost has hosts of their own.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import yaml
from own_cluster import MEMORY, own_cluster

from features.clips import Clip, ClipTable, write_clips
from features.sets import FeatureArray
from features.store.store import SetWriter
from features.workers.ray_access import changed_environment
from search.run.layout import Layout
from search.run.predictions import prediction_files, read_footer

CLASSES = ("angry", "happy", "sad")
# Long enough that a trial takes some seconds.
STEPS = 300
TRIAL = {
    "family": "temporal_pooling",
    "inputs": {"frames": "voice"},
    "max_epochs": 100,
    "published": False,
    "fixed": {"hidden": 256, "batch_size": 16, "lr": 2e-4},
    "resources": {"gpu": 0.5},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clip table and a store with one imported set that tells the classes apart, more or less."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    clips = [
        Clip(f"{split}-{group}-{label}", None, split, label, f"{split}-{group}")
        for split, groups in {"train": 6, "val": 4, "test": 2}.items()
        for group in range(groups)
        for label in CLASSES
    ]
    write_clips(ClipTable(tuple(clips), folder), folder / "clips.parquet")
    writer = SetWriter(folder / "store", "voice", "k1", tuple(c.clip_id for c in clips), "frame", (4,), imported=True)
    for clip in clips:
        frames = rng.normal(size=(STEPS, 4)).astype(np.float32)
        frames[:, CLASSES.index(clip.label)] += 1
        writer.add(clip.clip_id, FeatureArray(frames, np.arange(STEPS, dtype=np.float32)))
    writer.finish()
    return folder


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs and one node with four CPUs and a logical GPU."""
    with changed_environment({"OMP_NUM_THREADS": "1"}), own_cluster() as made:
        made.add_node(num_cpus=4, num_gpus=1, **MEMORY)
        yield made


def _words(data, out, what="run", **entry):
    recipe = {
        "name": "small",
        "seed": 3,
        "asha": None,
        "stages": [{"stage": "clips", "entries": {"pool": {**TRIAL, **entry}}}],
    }
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    where = ["--clips", data / "clips.parquet", "--features", data / "store", "-o", out]
    return [sys.executable, "-m", "emofuse", "search", what, *map(str, [path, *where])]


def _start(cluster, words):
    return subprocess.Popen(
        [*words, "--address", cluster.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _keys(out):
    return {path.stem: path.stat().st_mtime_ns for path in prediction_files(out)}


def _wait_for(condition, process, limit_s=300):
    end = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def _finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_the_doctor_looks_at_every_node(cluster, data, tmp_path):
    code, said, _ = _finish(_start(cluster, [*_words(data, tmp_path / "run", "doctor", configurations=4), "--json"]))
    found = {(finding["level"], finding["about"]): finding["text"] for finding in json.loads(said)["findings"]}
    assert found["ok", "requests"] == "pool: 1 CPU, 0.5 GPU, 2250 MB a trial; 2 at a time"
    assert found["ok", "storage"] == f"{tmp_path / 'run'} is read and written by all 2 nodes"
    assert found["ok", "features"] == "voice: the same fingerprints on all 2 nodes"
    assert "and the same source files on all 2 nodes" in found["ok", "versions"]
    assert found["ok", "access"] == f"{cluster.address} turns away whoever has no token"
    assert code == 1 and "Ray was told of 1 GPUs, but its driver knows 0" in found["problem", "gpu"]
    assert not (tmp_path / "run").exists()


def _most_at_once(out):
    """The largest number of finished trials that were trained at the same time."""
    ends = [(path.stat().st_mtime, read_footer(path).wall_s) for path in prediction_files(out)]
    spans = [(end - wall_s, end) for end, wall_s in ends]
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


def test_a_node_is_killed_and_another_joins(cluster, data, tmp_path):
    out = tmp_path / "run"
    doomed = cluster.add_node(num_cpus=4, num_gpus=1, **MEMORY)
    driver = _start(cluster, _words(data, out, configurations=6))
    _wait_for(lambda: len(prediction_files(out)) >= 3, driver)
    before = _keys(out)
    cluster.remove_node(doomed, allow_graceful=False)
    cluster.add_node(num_cpus=4, num_gpus=1, **MEMORY)
    code, _, lines = _finish(driver)
    assert code == 0, lines
    assert "its process died; it goes on from its checkpoint in another one" in lines
    after = _keys(out)
    assert len(after) == 6 and before.items() <= after.items(), lines
    told = Counter(re.findall(r"  pool (\w{8}) train: held-out", lines))
    assert len(told) == 6 and set(told.values()) == {1}
    assert not list(Layout(out).outcomes()) and not list(out.glob("checkpoints/*"))
    # Two at a time share each of the two GPUs, though there are eight CPUs.
    assert 2 <= _most_at_once(out) <= 4


def test_what_no_node_has_is_refused(cluster, data, tmp_path):
    code, _, lines = _finish(_start(cluster, _words(data, tmp_path / "run", configurations=2, resources={"cpu": 64})))
    # Ray may tell of a node that an earlier test killed.
    lines = re.sub(
        r"\S*\(raylet\)\S* The node with node id.*?(?=^emofuse: )", "", lines, flags=re.DOTALL | re.MULTILINE
    )
    assert code == 1 and "Entry 'pool': each trial asks for 64 CPUs, 0.25 GPUs" in lines
    told = [line for line in lines.splitlines() if not line.startswith(("stage ", "joining "))]
    assert "lower `resources` of the entry in the recipe" in lines and len(told) == 1


@pytest.mark.slow
def test_the_head_is_killed_and_the_same_command_goes_on_elsewhere(data, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    out, kept = tmp_path / "run", {}
    for trials_before_death in (2, None):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **MEMORY})
        cluster.add_node(num_cpus=2, num_gpus=1, **MEMORY)
        driver = _start(cluster, [*_words(data, out, configurations=8), "--allow-open-cluster"])
        if trials_before_death:
            _wait_for(lambda: len(_keys(out)) >= 2, driver)
            cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            code, _, _ = _finish(driver)
            kept = _keys(out)
            assert code != 0 and 2 <= len(kept) < 8
        else:
            assert _finish(driver)[0] == 0
        cluster.shutdown()
    assert len(_keys(out)) == 8 and kept.items() <= _keys(out).items() and (out / "study.journal").exists()
