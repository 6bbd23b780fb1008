"""The papers' recipes against what the papers state of inputs and of the way that parts belong together."""

from pathlib import Path

import pytest

from search.recipe.inputs import selected, whitening
from search.recipe.reading import read_recipe

ROOT = Path(__file__).parents[1]
IMPORTED = frozenset({"afew_faces_224_colour", "fer2013_100", "fer2013_224_colour"})


@pytest.fixture
def entries(monkeypatch):
    """The entries by name of a recipe that comes with emofuse."""
    monkeypatch.setattr("search.recipe.reading.imported_sets", lambda store: IMPORTED)
    return lambda name: {entry.name: entry for _, entry in read_recipe(ROOT / "recipes" / f"{name}.yaml").all_entries()}


def first_point(entry):
    return entry.complete(entry.published_points()[0])


def test_guo(entries):
    found = entries("guo2019")
    own, given = found["vgg_lstm"], found["vgg_lstm_given"]
    assert own.weights_from == given.weights_from == "vgg16"
    assert own.input_specs() == {"faces": "faces:colour=true,fps=7.5,size=224"} and first_point(own)["gap"] == 1
    assert 60 / 7.5 == first_point(given)["gap"] == 8, "every 8th of 60 frames per second"
    assert found["audio_svm"].input_specs() == {"audio": "is10"} and "kernel" in found["audio_svm"].effective_space()
    assert found["audio_lstm"].input_specs() == {"audio": "short_term"}
    assert first_point(found["audio_lstm"])["hidden"] == 512
    assert found["audio_map_lstm"].input_specs() == {"maps": "audio_maps"}
    assert len(found) == 6, "five models of section 3.2 and the backbone that two of them start from"


def test_chao(entries):
    found = entries("chao2016")
    layers = {name: found[f"lstm_{name}"].input_specs()["frames"] for name in ("pool5", "conv4", "conv3")}
    assert list(layers.values()) == [f"alexnet_face.{layer}:selected=2048" for layer in ("pool5", "pool2", "pool1")]
    assert all(selected(spec) == 2048 for spec in layers.values())
    assert all(first_point(found[f"lstm_{name}"])["pool"] == "mean" for name in (*layers, "landmarks"))
    assert first_point(found["last_pool5"])["pool"] == "last"
    audio = found["max_audio"]
    assert whitening(audio.input_specs()["frames"]).components == 50
    assert (first_point(audio)["hidden"], first_point(audio)["pool"]) == (128, "max")
    rows = {
        name: (point["pool"], point["pool_at"], point["hidden"])
        for name in ("max_pool5", "max64_pool5", "mean64_pool5", "raw_max_pool5", "raw_mean_pool5")
        for point in map(found[name].complete, found[name].published_points())
    }
    assert rows == {
        "max_pool5": ("max", "hidden", 256),
        "max64_pool5": ("max", "hidden", 64),
        "mean64_pool5": ("mean", "hidden", 64),
        "raw_max_pool5": ("max", "input", 64),
        "raw_mean_pool5": ("mean", "input", 64),
    }, "table 1"
    assert list(found["concat_lstm"].input_specs().values()) == [
        "lstm_pool5",
        "lstm_conv4",
        "lstm_conv3",
        "lstm_landmarks",
        "max_audio",
    ]
    assert found["alexnet_face"].fixed == {"frozen": True}


def test_zheng(entries):
    before, found = entries("zheng_fer2013")["convnet100"], entries("zheng")
    assert before.effective_space()["frozen"].corners() == (False,) and found["convnet100"].fixed == {"frozen": True}
    assert found["attention_lstm"].input_specs() == {"frames": "convnet100.logits"}
    points = found["attention_lstm"].published_points()
    assert [(p["attention"], p["lr"], p["decay"], p["l1"]) for p in points] == [
        (True, 0.005, 0.99, 0.0001),
        (False, 0.005, 0.99, 0.0001),
    ]


def test_zheng_starts_from_what_the_first_recipe_trained_whatever_its_size(monkeypatch, tmp_path):
    from models.family import Context
    from models.registry import get_family
    from models.training.pretrained import start_from

    family, classes = get_family("convnet100"), ("a", "b")
    trained = {**family.published[0], "hidden": 512, "batch_norm": True, "lr": 0.02}
    context = Context(classes, {"faces": (100, 100)})
    model = family.build(trained, context)
    model._network = model._build()
    model.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    _, entry = read_recipe(ROOT / "recipes" / "zheng.yaml", None, {"convnet100": weights}).entry("convnet100")
    point = entry.complete(entry.published_points()[0])
    assert point == {**trained, "frozen": True}
    start_from(family.build(point, context)._build(), weights)


def submissions(name):
    return {one.name: one for one in read_recipe(ROOT / "recipes" / f"{name}.yaml").submissions}


def test_submissions_of_guo_and_chao_have_exactly_the_members_of_the_papers(entries):
    guo = submissions("guo2019")
    assert guo["both_vgg"].members == ("vgg_lstm", "vgg_lstm_given")
    assert guo["hybrid"].members == ("vgg_lstm", "vgg_lstm_given", "audio_svm", "audio_lstm", "audio_map_lstm")
    assert {guo[name].method for name in ("both_vgg", "hybrid")} == {"grid"}
    assert guo["hybrid_all"].refit_of == "hybrid"
    chao = submissions("chao2016")
    assert chao["decision_lstm"].members == ("lstm_pool5", "lstm_conv4", "lstm_conv3", "lstm_landmarks", "max_audio")
    assert chao["decision_max"].members == ("max_pool5", "max_conv4", "max_conv3", "max_landmarks", "max_audio")
    fused = {name: tuple(entries("chao2016")[name].input_specs().values()) for name in ("concat_lstm", "concat_max")}
    assert fused == {"concat_lstm": chao["decision_lstm"].members, "concat_max": chao["decision_max"].members}
    assert {one.method for one in chao.values()} == {"uniform"}
    assert {one.partition for one in (*guo.values(), *chao.values()) if one.members} == {"train"}
