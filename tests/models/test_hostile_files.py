"""Saved models from strangers: no type but ours, no memory that the files' own size doesn't bound, no NaN."""

import io
import json
import resource
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import skops.io
from safetensors.numpy import save
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from features.errors import EmofuseError
from models.examples import Examples
from models.families import audio_svm, face_cnn, temporal_pooling
from models.family import Context
from models.io import load_model
from models.space import Choice, Float, Int, check_stored

CLASSES = ("a", "b")


def examples(slot, steps=()):
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(*steps, 5)) + n % 2).astype(np.float32) for n in range(8)]
    return Examples(tuple("01234567"), {slot: arrays}, CLASSES, np.arange(8) % 2)


@pytest.fixture
def svm(tmp_path):
    model = audio_svm.build({**audio_svm.FAMILY.published[0], "pca": 0.9}, Context(CLASSES, {"audio": (5,)}))
    model.fit(examples("audio"), None)
    model.save(tmp_path)
    return tmp_path


@pytest.fixture
def network(tmp_path):
    point = {**temporal_pooling.FAMILY.published[0], "hidden": 64}
    model = temporal_pooling.build(point, Context(CLASSES, {"frames": (5,)}))
    model.fit(examples("frames", (3,)), None, epochs=1)
    model.save(tmp_path)
    return tmp_path


def refusal(folder):
    """The sentence, and the most memory that Python and numpy took for it."""
    tracemalloc.start()
    try:
        with pytest.raises(EmofuseError) as told:
            load_model(folder)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(told.value)
    assert most < 50 << 20
    return str(told.value)


def described(folder, **changes):
    path = folder / "model.json"
    data = json.loads(path.read_text())
    data.pop("content_sha256", None)
    point = {**data["hyperparameters"], **changes.pop("point", {})}
    path.write_text(json.dumps({**data, "hyperparameters": point, **changes}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"point": {"hidden": 10**7}}, r"hyperparameter 'hidden': expected a whole number above 0 to 25600, but got 1"),
        ({"point": {"hidden": 20_000}}, "there is a size mismatch of "),
        ({"point": {"hidden": -3}}, "expected a whole number above 0 to 25600, but got -3"),
        ({"point": {"hidden": True}}, "but got True"),
        ({"point": {"dropout": float("nan")}}, "hyperparameter 'dropout': expected a number from 0 to "),
        ({"point": {"pool": "magic"}}, "hyperparameter 'pool': expected one of ['max'"),
        ({"point": {"magic": 1}}, "hyperparameters: expected batch_size, class_weight"),
        ({"hyperparameters": {}}, "but got []."),
        ({"hyperparameters": []}, "hyperparameters: expected "),
        ({"shapes": {"frames": [10**12]}}, "shapes.frames[0]: expected a number less than 2147483648"),
        ({"shapes": {"frames": [10**9]}}, "there is a size mismatch of "),
        ({"shapes": {"frames": [5, 5]}}, "expected a shape of 1 axes for the input 'frames', but got (5, 5)"),
        ({"shapes": {"faces": [5]}}, "expected shapes of the inputs frames of a temporal_pooling model, but"),
        ({"shapes": {}}, "but got those of []."),
        ({"classes": "ab"}, "classes: expected "),
        ({"classes": ["a"] * 3}, "there is a size mismatch of 'head."),
        ({"seed": -1}, "seed: expected a number greater than or equal to 0"),
        ({"seed": 1e30}, "seed: expected "),
        ({"family": "audio_svm"}, "expected C, class_weight, gamma, kernel, pca, but got ['batch"),
        ({"family": ["x"]}, "family: expected a valid string"),
        ({"dimensions": ["x", "y"]}, "expected classes or dimensions for a temporal_pooling model (classification)"),
        ({"classes": []}, "but got the classes () and the dimensions ()."),
    ],
)
def test_descriptions_of_other_sizes_and_types(network, changes, told):
    described(network, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert told in refusal(network)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes: torch's memory too"


@pytest.mark.parametrize(("shape", "told"), [((10**9,), "model's files"), ((6,), "of the shapes and classes in model")])
def test_an_svms_width_is_bounded_by_its_file(svm, shape, told):
    described(svm, shapes={"audio": list(shape)})
    assert told in refusal(svm)


def test_an_svms_classes_are_those_that_it_was_fitted_on(svm):
    described(svm, classes=["a"])
    assert "of the shapes and classes in model.json, but got IndexError" in refusal(svm)


def test_a_backbone_of_impossible_images_is_told(tmp_path):
    model = face_cnn.build(face_cnn.FAMILY.published[0], Context(CLASSES, {"faces": (48, 48)}))
    model._network = model._build()
    model.save(tmp_path)
    described(tmp_path, shapes={"faces": [2, 2]})
    assert refusal(tmp_path).startswith(f"{tmp_path}/model.json: face_cnn with 9x9 filters expects faces of 48x48")


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 10**12),
        struct.pack("<Q", 2**63 + 5) + b"{}",
        safetensors([]),
        safetensors({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        safetensors({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
        safetensors(
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            b"1234",
        ),
        safetensors(b'{"a":' * 10_000),
        safetensors(b"[" * 200_000),
        safetensors(b" " * (2 << 20)),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "whitening.safetensors"])
def test_headers_that_claim_other_bytes(network, name, data):
    (network / name).write_bytes(data)
    what = "the weights of a temporal_pooling model" if name.startswith("model") else "the whitening of a saved model"
    assert f"{network / name}: expected {what}, but " in refusal(network)


@pytest.mark.parametrize(
    "arrays",
    [
        {"frames.mean": np.zeros(5, "f4")},
        {"frames.mean": np.zeros(5, "f4"), "frames.matrix": np.zeros((4, 5), "f4")},
        {"other.mean": np.zeros(5, "f4"), "other.matrix": np.zeros((5, 5), "f4")},
        {"mean": np.zeros(5, "f4")},
        {"frames.mean": np.zeros(5, "f4"), "frames.matrix": np.zeros((5, 5), "f4"), "frames.x": np.zeros(1, "f4")},
    ],
)
def test_a_whitening_of_something_else(network, arrays):
    (network / "whitening.safetensors").write_bytes(save(arrays))
    assert "expected the whitening of a saved model, a mean (F,) and a matrix (F, components)" in refusal(network)


def repacked(folder, change=None, compression=zipfile.ZIP_STORED, add=()):
    """Write pipeline.skops again, with a change to its list of contents and more parts."""
    path = folder / "pipeline.skops"
    with zipfile.ZipFile(path) as old:
        parts = {entry.filename: old.read(entry) for entry in old.infolist()}
    if change is not None:
        schema = json.loads(parts["schema.json"])
        parts["schema.json"] = json.dumps(change(schema) or schema).encode()
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, data in {**parts, **dict(add)}.items():
            new.writestr(name, data)


def nested(depth):
    node = {}
    for _ in range(depth):
        node = {"a": node}
    return node


def header(shape, dtype="<f8"):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: repacked(f, lambda s: nested(100)), "nested too deeply"),
        (lambda f: repacked(f, add={"schema.json": b"[" * 100_000}), "can't be read ("),
        (lambda f: repacked(f, add={"schema.json": b" " * (1 << 20)}), "its list of contents is too long"),
        (lambda f: repacked(f, compression=zipfile.ZIP_DEFLATED, add={"x.npy": b"\0" * (64 << 20)}), "larger than the"),
        (lambda f: repacked(f, add={"x.npy": header((10**12,))}), "an array claims the shape (1000000000000,)"),
        (lambda f: repacked(f, add={"x.npy": header((2,)) + b"\0" * 8}), "an array claims the shape (2,) of float64"),
        (lambda f: repacked(f, add={"x.npy": header((1,), "|O") + b"\0" * 8}), "an array claims the shape (1,) of obj"),
        (lambda f: repacked(f, add={"x.npy": b"no array"}), "can't be read (the magic string is not correct"),
        (lambda f: repacked(f, lambda s: s.pop("content") and None), "expected a saved audio_svm model, but "),
        (lambda f: repacked(f, lambda s: s.update(__class__="system", __module__="os")), "(os.system)"),
        (lambda f: repacked(f, lambda s: s.update(__loader__="ReduceNode")), "(sklearn.pipeline.Pipeline)"),
        (lambda f: repacked(f, lambda s: s.update(content={"__loader__": "DictNode", "__id__": 0})), "refused"),
        (lambda f: repacked(f, lambda s: {"protocol": 10**9}), "can't be read ("),
        (lambda f: repacked(f, lambda s: [1]), "can't be read ("),
    ],
)
def test_skops_files_that_are_not_ours(svm, spoil, told):
    spoil(svm)
    sentence = refusal(svm)
    assert sentence.startswith(f"{svm / 'pipeline.skops'}: ") and told in sentence


@pytest.mark.parametrize(
    "foreign",
    [
        RandomForestClassifier(2),
        LogisticRegression(),
        FunctionTransformer(np.tile),
        np.random.default_rng(0),
        {"a": np.datetime64("2020-01-01")},
        slice(1, 2),
        b"bytes",
        {1, 2},
        np.ma.masked_array([1], [True]),
    ],
)
def test_types_that_skops_trusts_but_no_model_of_ours_has(svm, foreign):
    if isinstance(foreign, RandomForestClassifier | LogisticRegression):
        foreign.fit(np.eye(4), [0, 1, 0, 1])
    skops.io.dump(foreign, svm / "pipeline.skops")
    assert "refused, because it holds types that no audio_svm model has (" in refusal(svm)


@pytest.mark.parametrize(
    ("step", "attribute", "value", "told"),
    [
        ("svm", "dual_coef_", np.nan, "'dual_coef_' of step 'svm' holds NaN or infinity"),
        ("scale", "mean_", np.inf, "'mean_' of step 'scale' holds NaN or infinity"),
        ("limit", "kw_args", {"a_min": np.nan}, "'kw_args' of step 'limit' holds NaN"),
        ("svm", "decision_function", 3.0, "step 'svm' has its 'decision_function' replaced"),
        ("svm", "classes_", np.array([0, 7]), "of the shapes and classes in model.json, but got IndexError"),
        ("pca", "components_", np.zeros((2, 9)), "of the shapes and classes in model.json, but got ValueError"),
        ("svm", "gamma", "wide", "of the shapes and classes in model.json, but got "),
    ],
)
def test_attributes_that_no_fit_leaves(svm, step, attribute, value, told):
    pipeline = skops.io.load(svm / "pipeline.skops", trusted=["models.svm.RbfSVM", "numpy.clip"])
    own = pipeline.named_steps[step]
    old = getattr(own, attribute)
    setattr(own, attribute, np.full_like(old, value) if isinstance(value, float) and value != 3.0 else value)
    (svm / "pipeline.skops").write_bytes(skops.io.dumps(pipeline))
    assert told in refusal(svm)


def test_other_steps_than_the_familys(svm):
    pipeline = skops.io.load(svm / "pipeline.skops", trusted=["models.svm.RbfSVM", "numpy.clip"])
    pipeline.steps.pop(1)
    (svm / "pipeline.skops").write_bytes(skops.io.dumps(pipeline))
    assert "but it holds scale (StandardScaler) and pca (PCA) and svm (RbfSVM)." in refusal(svm)


def test_a_zip_that_claims_more_than_it_holds(svm):
    data = (svm / "pipeline.skops").read_bytes()
    at = data.rindex(b"PK\x01\x02")
    (svm / "pipeline.skops").write_bytes(data[: at + 24] + struct.pack("<I", 2**31) + data[at + 28 :])
    assert "its parts are larger than the file" in refusal(svm)
    assert io.BytesIO(data).read(2) == b"PK"


def test_points_that_a_recipe_may_have_moved_are_taken():
    space = {"n": Choice((16, 32)), "lr": Float(1e-4, 0.1), "k": Int(1, 5), "pool": Choice(("max", "mean"))}
    check_stored(space, {"n": 8, "lr": 1.0, "k": 500, "pool": "mean"}, "here")
    for name, value in (("n", 8.5), ("n", 0), ("n", 3201), ("lr", 0), ("lr", "1"), ("k", 501), ("pool", "sum")):
        with pytest.raises(EmofuseError, match=f"^here '{name}': expected .*, but got {value!r}"):
            check_stored(space, {"n": 16, "lr": 0.1, "k": 1, "pool": "max", name: value}, "here")
