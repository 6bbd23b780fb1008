"""Bundles from strangers: nothing outside their folder is read, and nothing that doesn't fit is loaded."""

import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from spoiling import digested, edited, key

import emofuse
from ensembles.bundle import stranger
from ensembles.bundle.bundle import open_bundle
from ensembles.bundle.export import export_bundle
from ensembles.bundle.predict import Predictor
from features.errors import EmofuseError
from features.files import file_sha256
from features.sets import get_set


def refusal(bundle, load=open_bundle):
    with pytest.raises(EmofuseError) as told:
        load(bundle)
    text = str(told.value)
    assert text.startswith(str(bundle)) and "\n" not in text
    return text


def test_what_was_exported_predicts(exported, features):
    _, ensemble, bundle = exported
    result = Predictor(bundle).predict(Path("clip.mp4"))
    assert set(result.probabilities) == set(ensemble.classes) and not result.left_out
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert sorted(path.name for path in bundle.iterdir()) == [
        "MODEL_CARD.md",
        "backbones",
        "bundle.json",
        "ensemble.json",
        "members",
        "sha256.json",
    ]


@pytest.mark.parametrize("when", ["imported", "used"])
def test_a_machines_fault_ends_a_prediction_in_one_sentence(exported, tmp_path, monkeypatch, capsys, when):
    (tmp_path / "a.wav").write_bytes(b"x")

    def uncached(*args):
        raise RuntimeError("cannot cache function 'x': no locator available for file 'y.py'")

    if when == "used":
        broken = replace(get_set("functionals"), extract=uncached)
        monkeypatch.setattr("features.one_clip.get_set", lambda name: broken)
    else:
        monkeypatch.setattr("features.sets.import_module", uncached)
    assert emofuse.main(["predict", str(exported[2]), str(tmp_path / "a.wav")]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("emofuse: Feature set ") and "; set NUMBA_CACHE_DIR to a folder that user " in told


def test_a_clip_that_takes_too_much_memory_is_a_row(exported, monkeypatch):
    def hungry(media, spec):
        raise MemoryError

    monkeypatch.setattr("ensembles.bundle.clip_arrays.extract_clip", hungry)
    assert Predictor(exported[2]).predict(Path("a")).reason == "unreadable: main memory ran out while it was read"


OUTSIDE = {
    "link to a file": lambda place: place.symlink_to("/etc/passwd"),
    "link to a device": lambda place: place.symlink_to("/dev/zero"),
    "link to a folder": lambda place: place.symlink_to("/etc"),
    "link to nothing": lambda place: place.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "socket": lambda place: socket.socket(socket.AF_UNIX).bind(str(place)),
}


@pytest.mark.parametrize("what", OUTSIDE)
@pytest.mark.parametrize("place", ["extra", "members/extra", "members/00-svm/extra"])
def test_what_is_no_plain_file_is_refused_before_anything_is_opened(bundle, monkeypatch, what, place):
    monkeypatch.chdir(bundle)  # a socket's name is short
    OUTSIDE[what](Path(place))
    monkeypatch.setattr(stranger, "opened_file", None)
    monkeypatch.setattr("ensembles.bundle.bundle.opened_file", None)
    kind = "a symbolic link" if "link" in what else "a device, pipe or socket"
    assert refusal(bundle) == f"{bundle}: refused, because {place} is {kind} and no plain file."


@pytest.mark.parametrize("name", ["members/00-svm", "members/00-svm/pipeline.skops", "bundle.json", "sha256.json"])
def test_a_part_that_became_a_link_to_the_same_bytes_is_refused(bundle, tmp_path, name):
    part = bundle / name
    shutil.move(part, tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    assert refusal(bundle) == f"{bundle}: refused, because {name} is a symbolic link and no plain file."


def test_a_link_that_takes_a_files_place_later_is_not_followed(bundle, tmp_path, monkeypatch):
    opened = open_bundle(bundle)
    shutil.move(bundle / "members", tmp_path / "members")
    (bundle / "members").symlink_to(tmp_path / "members")
    with pytest.raises(EmofuseError, match=r"members/00-svm/model.json can't be opened as a plain file"):
        (opened.files / "members/00-svm" / "model.json").read_bytes()


def test_bytes_that_change_after_the_check_are_not_parsed(bundle):
    opened = open_bundle(bundle)
    path = bundle / "members/00-svm/model.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(EmofuseError, match=r"members/00-svm/model.json was changed after the export"):
        (opened.files / "members/00-svm" / "model.json").read_bytes()


@pytest.mark.parametrize(
    "folder",
    [
        "../outside",
        "/etc",
        "members/../../outside",
        "members/..",
        "members",
        ".",
        "",
        "members/a/b",
        "members//etc",
        "encoders/a\n",
        7,
        None,
        ["members/00-svm"],
    ],
)
@pytest.mark.parametrize("part", ["members", "backbones"])
def test_a_folder_is_one_of_the_bundles(bundle, tmp_path, part, folder):
    shutil.copytree(bundle / "members/00-svm", tmp_path / "outside")
    edited(bundle / "bundle.json", lambda data: _first(data[part]).update(folder=folder))
    told = refusal(digested(bundle))
    assert "bundle.json: " in told and ".folder: expected " in told and told.endswith("; export it again.")


def _first(parts):
    return parts[0] if isinstance(parts, list) else next(iter(parts.values()))


def test_a_folder_that_is_not_there_is_told(bundle):
    edited(bundle / "bundle.json", lambda data: data["members"][0].update(folder="members/other"))
    assert "members/other/model.json: no such file" in refusal(digested(bundle), Predictor)


@pytest.mark.parametrize("change", ["altered", "added", "removed", "added folder of a name with\na break"])
def test_digests_name_every_file(bundle, change):
    path = bundle / "MODEL_CARD.md"
    if change == "altered":
        path.write_text("other")
        expected = "MODEL_CARD.md was changed after the export"
    elif change == "removed":
        path.unlink()
        expected = "the bundle lacks MODEL_CARD.md"
    else:
        (bundle / change).mkdir()
        (bundle / change / "extra.py").write_text("")
        expected = f"{f'{change}/extra.py'!r} does not belong" if "\n" in change else "extra.py does not belong"
    assert expected in refusal(bundle)


@pytest.mark.parametrize(
    "text", ["[]", "7", "null", '{"a": 7}', '{"bundle.json": "ab"}', "{", "\xff", "[" * 100_000, "9" * 5000]
)
@pytest.mark.parametrize("name", ["sha256.json", "bundle.json", "ensemble.json", "members/00-svm/model.json"])
def test_other_json_is_told(bundle, name, text):
    (bundle / name).write_bytes(text.encode("latin-1"))
    told = refusal(bundle if name == "sha256.json" else digested(bundle), Predictor)
    assert f"{bundle / name}: " in told


def test_too_much_is_refused_by_size(bundle, monkeypatch):
    with (bundle / "bundle.json").open("r+b") as file:
        file.truncate(9 << 20)
    assert refusal(bundle) == f"{bundle}: bundle.json is too large for a bundle (9437184 bytes)."
    with (bundle / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(bundle) == f"{bundle}: expected a bundle, but it holds more files or bytes than any bundle."
    (bundle / "huge").unlink()
    (bundle / "a/b/c/d/e").mkdir(parents=True)
    assert "a/b/c/d is a folder nested too deeply" in refusal(bundle)


def test_no_bundle_at_all_is_told(tmp_path):
    assert refusal(tmp_path / "absent").endswith(
        "expected a bundle's folder, but there is none (No such file or directory)."
    )
    (tmp_path / "b.zip").write_bytes(b"PK")
    assert refusal(tmp_path / "b.zip").endswith("there is none (Not a directory).")
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty").endswith("no bundle of `emofuse ensemble export`: sha256.json is missing.")


def test_the_folder_itself_may_be_a_link_of_the_user(bundle, tmp_path):
    (tmp_path / "link").symlink_to(bundle)
    assert len(open_bundle(tmp_path / "link").members) == 4


UNFIT = {
    "other members": (lambda d: d["members"].pop(), "members of ensemble.json (['svm', 'pooling', 'faces', 'fused'])"),
    "another family": (lambda d: d["members"][0].update(family="pooled_svm"), "a model of the family pooled_svm"),
    "another backbone": (
        lambda d: d["backbones"][_cnn()].update(folder="members/00-svm", family="audio_svm"),
        "expected a backbone as",
    ),
    "other images": (
        lambda d: (
            d["backbones"][_cnn()].update(images="faces:size=64"),
            d["feature_versions"].update({"faces:size=64": get_set("faces").version}),
        ),
        "steps of shape (48, 48), but",
    ),
    "another layer": (lambda d: d["members"][2]["inputs"].update(frames=f"{_cnn()}.conv9"), "a layer of conv1"),
    "a wide layer": (lambda d: d["members"][2]["inputs"].update(frames=f"{_cnn()}.conv3"), "steps of shape (2,), but"),
    "an input that nobody makes": (lambda d: d["members"][0]["inputs"].update(audio="magic"), "inputs among what"),
    "another slot": (lambda d: d["members"][0].update(inputs={"video": "functionals"}), "the inputs audio of svm"),
    "another set": (lambda d: d["members"][0]["inputs"].update(audio="short_term"), "steps of shape (921,), but got"),
    "another version": (lambda d: d["feature_versions"].update(functionals=99), "trained on version 99 of the feature"),
    "no selection": (
        lambda d: (
            d["members"][2]["inputs"].update(frames=f"{_cnn()}.conv3:selected=2"),
            d["selections"].update({f"{_cnn()}.conv3:selected=2": [0, 256]}),
        ),
        "expected a selection of the 256 numbers",
    ),
    "a circle": (
        lambda d: d["encoders"].update(
            a={"entry": "a", "family": "audio_svm", "folder": "members/00-svm", "inputs": {"audio": "b"}},
            b={"entry": "b", "family": "audio_svm", "folder": "members/00-svm", "inputs": {"audio": "a"}},
        ),
        "the encoders ['a', 'b'] read each other in a circle",
    ),
    "another release": (lambda d: d.update(schema_version=2), "bundle of schema version 2, but this emofuse"),
}


def _cnn():
    return f"cnn-{key('cnn')[:8]}"


@pytest.mark.parametrize("name", UNFIT)
def test_parts_that_do_not_fit_are_told(bundle, name):
    change, told = UNFIT[name]
    edited(bundle / "bundle.json", change)
    assert told in refusal(digested(bundle), Predictor)


def test_a_model_of_other_classes_is_told(bundle):
    edited(bundle / "members/00-svm/model.json", lambda data: data.update(classes=["happy", "angry"]))
    assert "the classes ('angry', 'happy') of svm, but got ('happy', 'angry')" in refusal(digested(bundle), Predictor)


def test_a_rebuilt_digest_is_all_that_a_plain_change_needs(bundle):
    (bundle / "MODEL_CARD.md").write_text("mine")
    assert len(open_bundle(digested(bundle)).members) == 4, "digests tell damage; who made a bundle they don't"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["members/01-pooling/model.safetensors", "members/01-pooling/whitening.safetensors"])
def test_weights_that_are_not_finite_are_refused(bundle, name, bad):
    path = bundle / name
    arrays = {k: v.copy() for k, v in load_file(path).items()}
    first = sorted(arrays)[0]
    arrays[first].flat[0] = bad
    save_file(arrays, path)
    assert f"{path}: expected " in (told := refusal(digested(bundle), Predictor))
    assert told.endswith(f"{first!r} holds NaN or infinity.")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights", [[float("nan"), 0.5]] * 4),
        ("weights", [[1e999, 0.5]] * 4),
        ("weights", [[0.0, 0.0]] * 4),
        ("weights", [[0.25]] * 4),
        ("temperatures", [float("nan")] * 4),
        ("temperatures", [0.0] * 4),
        ("temperatures", [1e999] * 4),
        ("log_pool", {"coefficients": [[[float("nan")] * 2] * 2] * 4, "biases": [0.0, 0.0]}),
        ("log_pool", {"coefficients": [[[0.1], [0.1, 0.2]]] * 4, "biases": [0.0, 0.0]}),
        ("classes", ["angry", "angry"]),
    ],
)
def test_numbers_of_the_fusion_that_are_none_are_refused(bundle, field, value):
    edited(bundle / "ensemble.json", lambda data: data.update({field: value}))
    assert f"{bundle / 'ensemble.json'}: expected " in refusal(digested(bundle), Predictor)


@pytest.mark.parametrize("value", [float("nan"), 0.0, -1.0, float("inf"), "hot"])
def test_an_svms_temperature_is_a_finite_number_above_0(bundle, value):
    edited(bundle / "members/00-svm/model.json", lambda data: data.update(temperature=value))
    assert "model.json: temperature: expected " in refusal(digested(bundle), Predictor)


def test_a_member_whose_scores_are_not_finite_is_left_out(exported, features):
    predictor = Predictor(exported[2])
    whole = predictor.predict(Path("clip.mp4"))
    model = predictor.members[1]
    model.predict = lambda examples: np.full((1, 2), np.nan, np.float32)
    result = predictor.predict(Path("clip.mp4"))
    assert result.left_out == {"01-pooling": "not_finite: its scores hold NaN or infinity"}
    assert result.label and result.probabilities != whole.probabilities
    assert sum(result.probabilities.values()) == pytest.approx(1)
    for each in predictor.members:
        each.predict = model.predict
    nobody = predictor.predict(Path("clip.mp4"))
    assert (nobody.label, nobody.probabilities) == (None, {})
    assert nobody.reason == "not_finite: its scores hold NaN or infinity"


def test_features_encodings_and_activations_that_are_not_finite_are_told(exported, features):
    predictor = Predictor(exported[2])
    features["functionals"] = np.full((1, 921), np.inf, np.float32)
    left_out = predictor.predict(Path("clip.mp4")).left_out
    assert left_out == {
        "00-svm": "not_finite: the values of functionals hold NaN or infinity",
        "03-fused": "not_finite: the values of functionals hold NaN or infinity",
    }
    features.clear()
    (backbone,) = predictor.backbones.values()
    backbone.activations = lambda images, layer: np.full((3, 2), np.nan, np.float32)
    predictor.encoders[f"svm-{key('svm')[:8]}"].encode = lambda examples: np.full((1, 7), np.nan, np.float32)
    left_out = predictor.predict(Path("clip.mp4")).left_out
    assert left_out["02-faces"] == f"not_finite: the values of {_cnn()}.probabilities hold NaN or infinity"
    assert left_out["03-fused"].startswith("not_finite: the values of svm-")


def test_an_export_that_can_not_be_loaded_is_refused_and_not_there(exported, tmp_path):
    layout, ensemble, _ = exported
    run = type(layout)(shutil.copytree(layout.path, tmp_path / "run"))
    weights = run.model_folder(key("pooling")) / "model.safetensors"
    save_file({name: array * np.nan for name, array in load_file(weights).items()}, weights)
    out = tmp_path / "out"
    with pytest.raises(EmofuseError, match="out: nothing was exported, since it could not be loaded: ") as told:
        export_bundle(run, ensemble, out)
    assert f"{out}/members/01-pooling/model.safetensors" in str(told.value) and "\n" not in str(told.value)
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == ["run"]
    weights.unlink()
    weights.symlink_to("/etc/passwd")
    with pytest.raises(EmofuseError, match=r"refused, because model.safetensors is a symbolic link and no plain file"):
        export_bundle(run, ensemble, out)


def test_an_older_bundle_stays_where_an_export_fails(exported, bundle, tmp_path):
    layout, ensemble, _ = exported
    run = type(layout)(shutil.copytree(layout.path, tmp_path / "run"))
    (run.model_folder(key("svm")) / "pipeline.skops").write_bytes(b"no")
    before = {path: file_sha256(path) for path in bundle.rglob("*") if path.is_file()}
    with pytest.raises(EmofuseError, match="bundle: nothing was exported"):
        export_bundle(run, ensemble, bundle)
    assert {path: file_sha256(path) for path in bundle.rglob("*") if path.is_file()} == before
    assert json.loads((bundle / "sha256.json").read_text())
