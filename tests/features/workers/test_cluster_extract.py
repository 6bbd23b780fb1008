"""Extraction as tasks on a Ray cluster of several nodes on this machine."""

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_cluster import MEMORY, own_cluster

import emofuse
from features import extract as extraction
from features.clips import Clip, ClipTable, hash_media, write_clips
from features.errors import ClipFailure, EmofuseError, MachineFault
from features.extract import extract
from features.sets import FeatureArray, FeatureSet
from features.store.store import open_set


def read(media, params) -> FeatureArray:
    """The file's bytes as numbers; files that say so fail, are slow, or kill the process."""
    text = media.path.read_text()
    ill = media.path.parent / "ill"
    if ill.exists() and ill.read_text().startswith(_node()):
        _ail(ill.read_text().split()[1])
    if text == "face":
        raise ClipFailure("no_face", "none in 40 frames")
    if text == "crash":
        os._exit(9)
    if text == "broken set":
        raise EmofuseError("the weights file is missing")
    if text.startswith("slow"):
        time.sleep(0.4)
    values = np.frombuffer(text.encode(), np.uint8)[:, None]
    return FeatureArray(values, np.arange(len(values)) / 10)


def _node() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()


def _ail(how: str) -> None:
    """What is wrong with a node."""
    if how == "missing":
        raise ClipFailure("missing", "no such file")
    if how == "crash":
        os._exit(9)
    if how == "memory":
        raise MemoryError("not enough")
    raise MachineFault("Feature set 'fake' can't run on n (no cache); set it.")


SET = FeatureSet("fake", 1, "frame", "for tests", read, lambda params: (1,), {"size": 3})


class Job(extraction._Job):
    """Reads the fake set on nodes that don't know it by name."""

    def _extracted(self, media):
        return read(media, self.spec.params)


@pytest.fixture(scope="module")
def nodes():
    """A cluster: a head without CPUs, and a node with one."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with own_cluster() as made:
        made.add_node(num_cpus=1, **MEMORY)
        yield made


@pytest.fixture(autouse=True)
def fake_set(monkeypatch):
    monkeypatch.setattr("features.sets._MODULES", {"fake": __name__})
    monkeypatch.setattr(extraction, "_Job", Job)


def clips(root: Path, texts: dict[str, str]) -> ClipTable:
    for name, text in texts.items():
        (root / f"{name}.wav").write_text(text)
    return hash_media(ClipTable(tuple(Clip(name, f"{name}.wav", "train", "x", "g") for name in texts), root))


def _data(store: Path) -> bytes:
    (path,) = store.glob("fake/*/data.arrow")
    return path.read_bytes()


def test_nodes_that_die_and_clips_that_kill_cost_themselves_only(nodes, tmp_path, capsys):
    texts = {f"c{i:02}": f"slow{i}" for i in range(30)} | {"c07": "crash", "c20": "face"}
    table = clips(tmp_path, texts)
    parts, seen = tmp_path / "store" / "fake", []

    def strike():
        while len(list(parts.glob(".*.parts/*"))) < 5:
            time.sleep(0.05)
        seen.extend(path.name for path in parts.glob(".*.parts/*.npz"))
        nodes.remove_node(doomed, allow_graceful=False)

    doomed = nodes.add_node(num_cpus=1, **MEMORY)
    striking = threading.Thread(target=strike)
    striking.start()
    (summary,) = extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    striking.join()
    assert seen and summary.statuses == {"ok": 28, "unreadable": 1, "no_face": 1}
    stored = open_set(tmp_path / "store", "fake", table)
    assert stored.reason("c07") == "the process that read it died (crash, out of memory)"
    assert "extract fake: 30 of 30" in capsys.readouterr().err
    extract(table, ["fake"], tmp_path / "alone", workers=2)
    assert _data(tmp_path / "store") == _data(tmp_path / "alone")


def test_done_clips_are_not_read_again_and_errors_of_the_set_end_the_run(nodes, tmp_path):
    table = clips(tmp_path, {"a": "good", "b": "broken set"})
    with pytest.raises(EmofuseError, match=r"^the weights file is missing$"):
        extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    (tmp_path / "a.wav").write_text("another text")
    (tmp_path / "b.wav").write_text("fine")
    extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    stored = open_set(tmp_path / "store", "fake", table)
    assert [bytes(stored[i][:, 0]) for i in "ab"] == [b"good", b"fine"]


def test_an_ill_node_costs_no_clip(nodes, tmp_path, capsys):
    table = clips(tmp_path, {f"c{i:02}": f"slow{i}" for i in range(9)})
    node = nodes.add_node(num_cpus=1, **MEMORY)
    try:
        for how in ("fault", "missing", "crash", "memory"):
            (tmp_path / "ill").write_text(f"{node.node_id} {how}")
            (summary,) = extract(table, ["fake"], tmp_path / how, address=nodes.address)
            assert summary.statuses == {"ok": 9}, how
    finally:
        nodes.remove_node(node)
    assert (
        capsys.readouterr().err.count("gets no more clips: Feature set 'fake' can't run on n (no cache); set it.") == 1
    )


def test_when_all_nodes_are_ill_nothing_is_recorded(nodes, tmp_path):
    table = clips(tmp_path, {"a": "good", "b": "fine"})
    (tmp_path / "ill").write_text(f"{nodes.worker_nodes.copy().pop().node_id} fault")
    with pytest.raises(MachineFault, match=r"^Feature set 'fake' can't run on n \(no cache\); set it\.$"):
        extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    assert not list(tmp_path.glob("store/fake/.*.parts/*"))
    (tmp_path / "ill").unlink()
    (summary,) = extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    assert summary.statuses == {"ok": 2}


def test_a_clip_that_no_node_finds_is_missing(nodes, tmp_path):
    table = clips(tmp_path, {"a": "good", "b": "fine"})
    (tmp_path / "ill").write_text(f"{nodes.worker_nodes.copy().pop().node_id} missing")
    (summary,) = extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    assert summary.statuses == {"missing": 2}


def test_a_node_on_which_emofuse_is_no_use_says_so(nodes, tmp_path, monkeypatch):
    class Unloadable(Job):
        def __reduce__(self):
            return os.stat, ("/none",)

    monkeypatch.setattr(extraction, "_Job", Unloadable)
    with pytest.raises(MachineFault, match=r"^emofuse can't be used on \S+ \(FileNotFoundError: .*install the same"):
        extract(clips(tmp_path, {"a": "good"}), ["fake"], tmp_path / "store", address=nodes.address)


class DeviceJob(Job):
    """Tells for each clip which GPU its task may use, and how many clips came together."""

    def _all_extracted(self, task):
        device = int(os.environ.get("CUDA_VISIBLE_DEVICES") or -1)
        for clip_id, _ in task:
            yield clip_id, FeatureArray(np.array([[device], [len(task)]]), np.zeros(2))


def test_clips_go_together_with_a_share_of_a_gpu(nodes, tmp_path, monkeypatch):
    """Ray counts the GPUs that it is told of; there is none to compute with."""
    together = replace(SET, extract_many=lambda media, params: iter(()), gpu=0.5)
    monkeypatch.setattr(sys.modules[__name__], "SET", together)
    monkeypatch.setattr(extraction, "_Job", DeviceJob)
    table = clips(tmp_path, {f"c{n:02}": "x" * n for n in range(1, 21)})
    accelerated = nodes.add_node(num_cpus=2, num_gpus=1, **MEMORY)
    try:
        extract(table, ["fake"], tmp_path / "store", address=nodes.address)
    finally:
        nodes.remove_node(accelerated)
    stored = open_set(tmp_path / "store", "fake", table)
    found = {clip_id: stored[clip_id][:, 0].tolist() for clip_id in stored.ids}
    assert found == {f"c{n:02}": [0, 16 if n > 4 else 4] for n in range(1, 21)}


def test_a_store_that_is_not_shared_is_told(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr("features.workers.cluster_extract._PATIENCE_S", 0)
    monkeypatch.setattr("features.store.set_writer.SetWriter.written", lambda self, clip_id: False)
    with pytest.raises(EmofuseError, match="the store must lie on storage that all nodes share, at the same path"):
        extract(clips(tmp_path, {"a": "good"}), ["fake"], tmp_path / "store", address=nodes.address)


def test_processes_and_a_cluster_exclude_each_other(tmp_path, capsys):
    write_clips(clips(tmp_path, {"a": "good"}), table := tmp_path / "clips.parquet")
    words = ["features", "extract", str(table), "-s", "fake", "-o", "store", "--workers", "2", "--address", "auto"]
    assert emofuse.main(words) == 2
    assert "--workers is for processes on this machine" in capsys.readouterr().err
