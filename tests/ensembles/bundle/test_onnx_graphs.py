"""Ensembles as ONNX graphs: onnxruntime gives what torch gives, for clips of any length."""

import itertools
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ensembles.bundle.onnx_export import export_onnx
from ensembles.bundle.onnx_runner import predict, run_member
from ensembles.bundle.predict import Predictor
from ensembles.fusion.pooling import LogPool, combine
from ensembles.records.over_time import OverTime
from models.examples import Examples
from models.family import Context
from models.registry import families
from models.training.torch_model import TorchModel
from models.whitened import Projection, WhitenedModel

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from ensembles.bundle.graphs import clip_graph, fusion_graph  # noqa: E402

CLASSES, LENGTHS = ("angry", "happy", "sad"), (1, 2, 3, 7, 20)
SHAPES = {1: (7,), 2: (32, 32), 3: (32, 32, 3)}
SHAPE_OF = {"audio_map_lstm": (34, 34), "alexnet_face": (40, 40, 3), "face_cnn": (48, 48), "vgg16": (32, 32, 3)}
CONTINUOUS = [name for name, family in families().items() if "regression" in family.tasks]


def _model(family, point):
    names = [f"{slot.slot}_{number}" for slot in family.inputs for number in (1, 2)]
    slots = family.slots(names)
    shapes = {slot.slot: SHAPE_OF.get(family.name, SHAPES[slot.rank]) for slot in slots}
    model = family.build({**point, **family.smoke}, Context(CLASSES, shapes, 1))
    return model, slots, shapes


def _clips(slots, shapes):
    rng, inputs = np.random.default_rng(0), {}
    for slot in slots:
        sizes = [(() if slot.level == "clip" else (steps,)) + shapes[slot.slot] for steps in LENGTHS]
        arrays = [rng.normal(size=size) for size in sizes]
        image = [np.clip(128 + 60 * x, 0, 255).astype(np.uint8) for x in arrays]
        inputs[slot.slot] = image if slot.is_image else [x.astype(np.float32) for x in arrays]
    return Examples(tuple(map(str, LENGTHS)), inputs, CLASSES)


def _ready(model, clips):
    model._network = model._build()
    with torch.no_grad():
        model.network.fit_scalers(model._pack(clips))
        model.network.head.weight.mul_(10)
    return model


TORCH = [
    name
    for name, family in families().items()
    if name != "frame_average"
    if "classification" in family.tasks and isinstance(_model(family, family.published[0])[0], TorchModel)
]


def _run(model, clips, gives):
    graph = clip_graph(model, gives)
    session = ort.InferenceSession(graph.model)
    how = {"slots": [vars(slot) for slot in graph.slots], "min_steps": graph.min_steps}
    how |= {"window": graph.window, "gap": graph.gap}
    inputs = [{slot: arrays[n] for slot, arrays in clips.inputs.items()} for n in range(len(clips))]
    return np.stack([run_member(session, how, own) for own in inputs])


def _pictures(name):
    return any(slot.rank > 1 and name != "layer_mix" for slot in families()[name].inputs)


@pytest.mark.parametrize("gives", ["probabilities", "encoding"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * _pictures(n)) for n in TORCH])
def test_a_graph_gives_what_its_network_gives(name, gives):
    family = families()[name]
    model, slots, shapes = _model(family, family.published[0])
    clips = _clips(slots, shapes)
    _ready(model, clips)
    expected = model.predict(clips) if gives == "probabilities" else model.encode(clips)
    np.testing.assert_allclose(_run(model, clips, gives), expected, atol=1e-4)


@pytest.mark.parametrize("pooling", ["original", "max_pooling", "temporal_pooling", "both"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_graph_predicts_every_step_as_its_network_does(name, pooling):
    family, shapes = families()[name], {"faces": (20, 20)}
    point = next(point for point in family.published if point["pooling"] == pooling)
    model = family.build({**point, **family.smoke}, Context((), shapes, 1, dimensions=("arousal", "valence")))
    rng, lengths = np.random.default_rng(0), (*LENGTHS, 8)
    faces = [rng.integers(0, 256, (steps, 20, 20)).astype(np.uint8) for steps in lengths]
    clips = Examples(tuple(map(str, lengths)), {"faces": faces}, (), dimensions=("arousal", "valence"))
    expected = _ready(model, clips).predict_steps(clips)
    session = ort.InferenceSession(clip_graph(model, "steps").model)
    for own, steps in zip(faces, expected, strict=True):
        np.testing.assert_allclose(session.run(None, {"faces": own})[0], steps, atol=1e-4)
    assert np.ptp(expected[4]) > 0.01


def test_a_whitened_networks_graph_whitens():
    family = families()["temporal_pooling"]
    model, slots, shapes = _model(family, family.published[0])
    clips = _clips(slots, shapes)
    _ready(model, clips)
    rng = np.random.default_rng(2)
    known = Projection(rng.normal(size=9).astype(np.float32), rng.normal(size=(9, 7)).astype(np.float32))
    whitened = WhitenedModel(model, {}, {"frames": known})
    wide = _clips(slots, {"frames": (9,)})
    np.testing.assert_allclose(_run(whitened, wide, "probabilities"), whitened.predict(wide), atol=1e-4)


def test_what_is_no_graph_is_said():
    assert clip_graph(object()) == "it is no torch network"


def _ensemble(**parts):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), 3).T
    weights[0, 0] = 0
    weights /= weights.sum(axis=0)
    return SimpleNamespace(
        **{"weights": weights, "temperatures": None, "log_pool": None, "missing": "share", "over_time": None} | parts
    )


@pytest.mark.parametrize("missing", ["share", "uniform"])
@pytest.mark.parametrize("temperatures", [None, (0.5, 1.0, 2.0, 4.0)])
@pytest.mark.parametrize("pooled", [False, True])
def test_the_fusions_graph_fuses_whatever_is_missing(missing, temperatures, pooled):
    rng = np.random.default_rng(1)
    pool = LogPool.of(rng.normal(size=(4, 3, 3)), rng.normal(size=3)) if pooled else None
    one = _ensemble(missing=missing, temperatures=temperatures, log_pool=pool, method="m")
    session = ort.InferenceSession(fusion_graph(one))
    P = rng.dirichlet(np.ones(3), (4, 6)).astype(np.float32)
    P[0, 0] = (1, 0, 0)
    valid = np.array([[1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0]], bool)
    heats = None if temperatures is None else np.array(temperatures)
    expected = combine(P, one.weights, valid, missing, heats, pool)
    found = [session.run(None, {"P": P[:, n], "valid": valid[:, n]})[0] for n in range(6)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_fusion_over_time_fuses_whatever_is_missing():
    rng = np.random.default_rng(1)
    weights = np.array([[0.0, 0.5], [0.0, 0.5], [1.0, 0.0]])
    over_time = OverTime(("arousal", "valence"), (2.0, 1.0), (0.1, -0.3), (0.4, 0.5), 0.1, ("a", "b"), {})
    one = SimpleNamespace(weights=weights, over_time=over_time, method="concordance")
    session = ort.InferenceSession(fusion_graph(one))
    for valid in itertools.product((True, False), repeat=3):
        P = rng.normal(size=(3, 7, 2)).astype(np.float32)
        has = np.broadcast_to(np.array(valid)[:, None, None], P.shape)
        (found,) = session.run(None, {"P": P.swapaxes(0, 1), "valid": np.array(valid)})
        np.testing.assert_allclose(found, over_time.fuse(P, has, weights), atol=1e-5)


def test_a_bundles_graphs_run_without_emofuse(exported, tmp_path, capsys):
    _, _, bundle = exported
    predictor = Predictor(bundle)
    export_onnx(predictor, tmp_path / "graphs")
    assert re.search(
        r"member \d\d, svm \(audio_svm\), is not among the graphs: it is no torch network", capsys.readouterr().err
    )
    manifest = json.loads((tmp_path / "graphs" / "manifest.json").read_text())
    rng = np.random.default_rng(0)
    features = {
        spec: rng.normal(size=((9,) if one["per_frame"] else ()) + tuple(one["shape"])).astype(np.float32)
        for spec, one in manifest["features"].items()
    }
    features = {
        spec: x if x.ndim < 3 else np.clip(x * 60 + 128, 0, 255).astype(np.uint8) for spec, x in features.items()
    }
    found = predict(tmp_path / "graphs", features)
    M = len(manifest["members"])
    P, valid = np.full((M, 1, 2), 0.5, np.float32), np.zeros((M, 1), bool)
    for m, member in enumerate(manifest["members"]):
        if member["graph"] and all(spec in manifest["features"] for spec in member["inputs"].values()):
            inputs = {slot: [features[spec]] for slot, spec in member["inputs"].items()}
            P[m], valid[m] = predictor.members[m].predict(Examples(("c",), inputs, CLASSES[:2])), True
    assert valid.any()
    np.testing.assert_allclose(list(found.values()), predictor.bundle.ensemble.predict_proba(P, valid)[0], atol=1e-4)
    np.savez(tmp_path / "clip.npz", **features)
    command = [sys.executable, "-I", str(tmp_path / "graphs" / "run.py"), str(tmp_path / "clip.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == found
