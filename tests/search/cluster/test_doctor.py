"""What the doctor says of answers that nodes gave; tests/search/test_on_cluster.py asks real nodes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small_world import corpus, recipe_file

from features.clips import Clip, ClipTable
from features.sets import FeatureArray, parse_spec
from features.store.store import set_writer
from search.cluster import doctor
from search.cluster.capacity import Capacity, Node
from search.cluster.doctor import Patient
from search.cluster.probe import MARKER, Answer, Gpu, Question, code_digest, probe
from search.recipe.estimate import disk_need
from search.recipe.reading import read_recipe

HERE = Answer("head", {"python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0"}, "c0de", "", {("t", "vec"): "k1"})
GPU = Gpu("NVIDIA A10G", 24000, 23000)


@pytest.fixture
def patient(tmp_path, world):
    table = corpus(tmp_path)
    recipe = read_recipe(recipe_file(tmp_path))
    return Patient(recipe, table, tmp_path / "store", None, str(tmp_path / "run"))


def _told(findings):
    return [(finding.level, finding.text) for finding in findings]


def test_a_node_with_other_libraries_or_sources_is_named():
    answers = {"a": replace(HERE, versions={**HERE.versions, "torch": "2.12.0"}), "b": replace(HERE, code="0ther")}
    assert _told(doctor._versions(HERE, answers)) == [
        ("problem", "a has torch 2.12.0 (here 2.13.0); install the same on every node."),
        ("problem", "b runs other source files of emofuse; install it there anew."),
    ]
    ((level, text),) = _told(doctor._versions(HERE, {"a": HERE, "b": HERE}))
    assert (level, text) == (
        "ok",
        "python 3.11.7, ray 2.60.0, torch 2.13.0 and the same source files on all 2 nodes",
    )


def test_storage_that_a_node_does_not_share(patient):
    apart = {"a": HERE, "b": replace(HERE, marker="it does not see what this machine wrote there")}
    ((level, text),) = _told(doctor._storage(patient, apart))
    assert level == "problem" and text.startswith(f"b: {patient.run} is not shared, it does not see")
    assert _told(doctor._storage(patient, {"a": HERE}))[0][0] == "ok"
    assert "give the run's folder with -o" in _told(doctor._storage(replace(patient, run=None), {}))[0][1]


def test_features_that_differ_on_a_node(patient):
    answers = {
        "a": replace(HERE, reads={("t", "vec"): "k2"}),
        "b": replace(HERE, reads={("t", "vec"): ""}, errors=(("vec", "t: no such file."),)),
    }
    assert _told(doctor._features(patient, HERE, answers)) == [
        (
            "problem",
            "a: 'vec' for t: it holds other content there than here; put clips and store where every node "
            "reaches them.",
        ),
        ("problem", "b: 'vec' for t: t: no such file; put clips and store where every node reaches them."),
    ]
    missing = replace(HERE, errors=(("vec", "Feature set 'vec' has not been extracted"),))
    assert _told(doctor._features(patient, missing, {"a": missing})) == [
        ("problem", "Feature set 'vec' has not been extracted"),
    ]


def test_a_backbone_needs_stills(patient):
    assert _told(doctor._stills(patient)) == []
    backbone = SimpleNamespace(all_entries=lambda: [("backbone", None), ("clips", None)])
    patient = replace(patient, recipe=backbone)
    ((level, text),) = _told(doctor._stills(patient))
    assert level == "problem" and "give their table with --stills" in text
    assert _told(doctor._stills(replace(patient, stills=patient.clips))) == []


def test_clips_that_failed_are_counted(patient, tmp_path):
    from features.clips import read_clips
    from features.errors import ClipFailure

    table = read_clips(patient.clips)
    (_, spec), *_ = patient.reads()
    writer = set_writer(patient.store, parse_spec(spec), table)
    rng = np.random.default_rng(0)
    for n, clip in enumerate(table.clips):
        if n < 3:
            writer.fail(clip.clip_id, ClipFailure("no_audio" if n else "unreadable", "as a test"))
        else:
            writer.add(clip.clip_id, FeatureArray(rng.normal(size=(1, 4)).astype(np.float32), np.zeros(1)))
    writer.finish()
    here = replace(HERE, reads=dict.fromkeys(patient.reads(), "k"))
    ((level, text),) = _told(doctor._failed_clips(patient, here))
    assert level == "warning"
    assert f"3 of {len(table)} clips of clips.parquet failed (2 no_audio, 1 unreadable)" in text


def test_gpus_are_compared_with_what_is_there(patient):
    def told(believed, **answer):
        capacity = Capacity((Node("a", 8, believed, 9000),))
        return _told(doctor._gpus(patient.recipe, capacity, {"a": replace(HERE, **answer)}))

    assert "Ray was told of 2 GPUs, but its driver knows 1" in told(2, gpus=(GPU,), torch_gpu=True)[0][1]
    assert "torch is built for CPUs alone" in told(1, gpus=(GPU,))[0][1]
    assert told(1, gpus=(GPU,), torch_gpu=True) == [("ok", "NVIDIA A10G with 24000 MB")]
    (low, _) = told(1, gpus=(replace(GPU, total_mb=2400),), torch_gpu=True)
    assert low == (
        "warning",
        "centroid on a: 0.25 of a GPU is 600 MB of NVIDIA A10G, but a trial may need 1000 MB; ask for "
        "gpu: 0.42 under its `resources` in the recipe.",
    )


def test_requests_against_nodes(patient):
    def told(**capacity):
        return _told(doctor._requests(patient.recipe, Capacity(**capacity)))

    assert told(nodes=(Node("a", 8, 1, 9000),)) == [("ok", "centroid: 1 CPU, 0.25 GPU, 2250 MB a trial; 4 at a time")]
    assert told(nodes=(Node("a", 0, 1, 9000),))[0][0] == "problem"
    (level, text) = told(nodes=(Node("a", 0, 0, 9000),), grows=True)[0]
    assert level == "warning" and "wait until the autoscaler brings a node" in text
    own = told(nodes=(Node("a", 0.5, 0, 9000),), own=True)
    assert [level for level, _ in own] == ["ok", "warning", "warning"] and "more than this machine has" in own[1][1]
    assert own[2][1] == "there is no GPU, so trials of centroid train on CPUs."


def test_a_node_looks_and_leaves_its_marker(tmp_path, patient):
    (tmp_path / MARKER).write_text("token")
    question = Question(str(tmp_path), "token", str(patient.store), patient.reads())
    answer = probe(question)
    assert answer.marker == "" and answer.code == code_digest() and not answer.errors
    assert set(answer.reads) == {(str(patient.clips), "vec")} and "torch" in answer.versions
    assert len([path for path in tmp_path.iterdir() if path.is_file() and path.read_bytes() == b"token"]) == 2
    assert probe(replace(question, token="another")).marker == "another file lies there"
    away = probe(replace(question, folder=str(tmp_path / "away"), store=str(tmp_path / "gone")))
    assert away.marker == "it does not see what this machine wrote there" and not (tmp_path / "away").exists()
    assert "has not been extracted" in away.errors[0][1]


def test_the_need_for_disk_counts_models_checkpoints_and_activations(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "name: x\npartitions: [train, swap]\nstages:\n"
        "- {stage: backbone, entries: {face_cnn: {configurations: 3}}}\n"
        "- {stage: clips, entries: {cnn_irnn: {configurations: 10, inputs: {frames: face_cnn.conv2}},\n"
        "    pooled_svm: {configurations: 1, inputs: {frames: 'face_cnn.conv3:selected=7|pca=3'}}}}\n"
        "- {stage: fusion, entries: {concat_svm: {configurations: 1, "
        "inputs: {members: [cnn_irnn, 'pooled_svm|pca=2']}}}}\n"
    )
    recipe = read_recipe(tmp_path / "recipe.yaml")
    faces = next(slot.default for slot in recipe.entry("face_cnn")[1].record().inputs)

    sides = [(split, i) for split in ("train", "val") for i in range(4)]
    table = ClipTable(tuple(Clip(f"{s}{i}", None, s, "ab"[i % 2], f"{s}{i}") for s, i in sides), tmp_path)
    writer = set_writer(tmp_path / "store", parse_spec(faces), table)
    for clip in table.clips:
        writer.add(clip.clip_id, FeatureArray(np.zeros((5, *writer.shape), np.uint8), np.arange(5) / 25))
    writer.finish()
    need = disk_need(recipe, tmp_path / "store", table, table, at_once=2)
    assert need.activations_mb == pytest.approx(len(table) * 5 * (800 + 7) * 4 / 2**20)
    reads = Patient(recipe, tmp_path / "clips", tmp_path / "store", tmp_path / "stills").reads()
    assert reads == ((str((tmp_path / "stills").resolve()), "faces"),)
    assert need.models_mb == pytest.approx(3 * need.checkpoints_mb / 8, rel=0.5) and need.total_mb < 100
