"""A small bundle that the program itself exported: two families of SVMs, a network behind whitening, a face CNN."""

import shutil

import numpy as np
import pytest
import torch
from spoiling import key

from ensembles.bundle.export import export_bundle
from ensembles.records.ensemble import Ensemble, EnsembleMember
from features.errors import EmofuseError
from features.files import write_json
from features.sets import FeatureArray, get_set
from features.store.stored_set import SetInfo
from models.examples import Examples
from models.family import Context
from models.registry import get_family
from models.whitened import Whitening, build_whitened
from search.run.layout import Layout
from search.run.predictions import Footer, Predictions, write_predictions

CLASSES = ("angry", "happy")
# entry: family, inputs by slot, changed hyperparameters
MEMBERS = {
    "svm": ("audio_svm", {"audio": "functionals"}, {}),
    "pooling": ("temporal_pooling", {"frames": "short_term|pca=3"}, {"hidden": 64}),
    "faces": ("frame_average", {"frames": "cnn.probabilities"}, {}),
    "fused": ("concat_svm", {"members_1": "svm", "members_2": "pooling"}, {}),
}
WIDTHS = {"functionals": (921,), "short_term": (34,), "cnn.probabilities": (2,), "svm": (7,), "pooling": (64,)}


def _examples(inputs, n=8):
    rng, y = np.random.default_rng(0), np.arange(n) % 2
    arrays = {}
    for slot, spec in inputs.items():
        shape = WIDTHS[spec.partition("|")[0]]
        steps = (n,) if spec.partition("|")[0] in ("functionals", "svm", "pooling") else (n, 4)
        arrays[slot] = list(rng.normal(size=(*steps, *shape)) + np.resize(y, n).reshape(-1, *[1] * len(steps)))
        arrays[slot] = [array.astype(np.float32) for array in arrays[slot]]
    return Examples(tuple(f"c{i}" for i in range(n)), arrays, CLASSES, y)


def _save(layout, entry, family, inputs, changed):
    record, how = get_family(family), {}
    shapes = {slot: WIDTHS[spec.partition("|")[0]] for slot, spec in inputs.items()}
    if any("|pca" in spec for spec in inputs.values()):
        how = {"frames": Whitening(3)}
    model = build_whitened(record, {**record.published[0], **changed}, Context(CLASSES, shapes, 1), how)
    if family != "frame_average":
        model.fit(_examples(inputs), None, epochs=1)
    folder = layout.model_folder(key(entry))
    folder.mkdir(parents=True)
    model.save(folder)


def _cnn(layout):
    record = get_family("face_cnn")
    model = record.build(record.published[0], Context(CLASSES, {"faces": (48, 48)}, 1))
    model._network = model._build()
    folder = layout.model_folder(key("cnn"))
    folder.mkdir(parents=True)
    model.save(folder)
    stored = layout.activations / "cnn.probabilities" / "k"
    stored.mkdir(parents=True)
    params = {"backbone": key("cnn"), "layer": "probabilities", "images": "faces"}
    info = SetInfo("cnn.probabilities", "k", "cnn.probabilities", "frame", (2,), "float32", params, 1, "", "")
    write_json(stored / "set.json", info.as_json())


class _Run(Layout):
    """A run whose training clips are gone."""

    def table(self, stage):
        raise EmofuseError("clips.parquet is gone")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """(run, ensemble, bundle): what the tests copy."""
    torch.set_num_threads(1)
    layout = _Run(tmp_path_factory.mktemp("run"))
    _cnn(layout)
    for entry, (family, inputs, changed) in MEMBERS.items():
        _save(layout, entry, family, inputs, changed)
        footer = Footer(
            key(entry),
            key(entry),
            family,
            entry,
            {},
            "full",
            CLASSES,
            1,
            1,
            1,
            {},
            inputs=inputs,
            feature_keys=dict.fromkeys(inputs, "k"),
            versions={"emofuse": "1"},
            encoders={slot: key(spec) for slot, spec in inputs.items() if spec in MEMBERS},
        )
        row = (("c",), ("g",), ("train",), ("fit",), ("angry",))
        write_predictions(layout.path, Predictions(footer, *row, np.array([True]), np.array([[0.5, 0.5]], "f4")))
    M = len(MEMBERS)
    ensemble = Ensemble(
        "small",
        "uniform",
        {},
        0,
        "share",
        CLASSES,
        tuple(EnsembleMember(entry, key(entry), {"train": key(entry)}, key(entry)) for entry in MEMBERS),
        np.full((M, 2), 1 / M),
        ("train",),
        {},
        5,
        1,
        "svm/x",
        {"ensemble": {}, "best_single": {}},
        M,
        temperatures=(1.0,) * M,
    )
    bundle = export_bundle(layout, ensemble, tmp_path_factory.mktemp("out") / "bundle")
    return layout, ensemble, bundle


@pytest.fixture
def bundle(exported, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(exported[2], tmp_path / "bundle")


@pytest.fixture
def features(monkeypatch):
    """Feature sets without media: numbers from a generator, or what `given` holds for a set."""
    given = {}

    def stub(media, spec):
        known, values = get_set(spec.name), given.get(spec.name)
        if values is None:
            steps = 1 if known.level == "clip" else 3
            values = np.random.default_rng(3).normal(size=(steps, *known.shape(spec.params))).astype(np.float32)
        if spec.name == "faces":
            values = np.zeros((3, 48, 48), np.uint8)
        return FeatureArray(values, np.arange(len(values)) / 10)

    monkeypatch.setattr("ensembles.bundle.clip_arrays.extract_clip", stub)
    return given
