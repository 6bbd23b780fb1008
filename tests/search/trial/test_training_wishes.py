"""`training:` of an entry: settings of a network in place of its family's, part of its keys, taken along by refits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_world import message, recipe_file

from features.errors import WrongUse
from models.family import Context
from models.registry import get_family
from models.training.wishes import with_wishes
from models.whitened import Whitening, build_whitened
from search.recipe.reading import read_recipe
from search.run.folder import study_key
from search.study.plan import entry_spec, stored_spec
from search.trial.trial import run_trial

WISHES = {"patience": 300, "max_iterations": 50, "clip": 0.0, "l1": 0.01, "augment": False}


def built(name, slot, shape, wishes, how=None):
    family = get_family(name)
    context = Context(("a", "b"), {slot: shape})
    return with_wishes(build_whitened(family, family.published[0], context, how or {}), wishes)


def test_wishes_take_the_place_of_the_familys_settings():
    usual = built("lstm_encoder", "frames", (4,), {})
    model = built("lstm_encoder", "frames", (4,), WISHES)
    changed = {"patience": 300, "max_iterations": 50, "clip": None, "l1": 0.01}
    assert model.settings == replace(usual.settings, **changed) and not model.augment and usual.augment
    inside = built("lstm_encoder", "frames", (4,), {"clip": 2.5}, {"frames": Whitening(2, True)})
    assert inside.model.settings.clip == 2.5


def test_machines_have_no_such_settings():
    with pytest.raises(WrongUse, match="expected a network that is trained in epochs, but got patience for none"):
        built("audio_svm", "audio", (4,), {"patience": 3})


@pytest.mark.parametrize(("name", "shape"), [("face_cnn", (48, 48)), ("convnet100", (32, 32))])
def test_images_are_left_as_they_are(name, shape):
    model = built(name, "faces", shape, {"augment": False})
    other = built(name, "faces", shape, {})
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, *shape), np.uint8))
    for one, same in ((model, True), (other, False)):
        network = one._build().eval()
        for module in network.modules():
            if hasattr(module, "augmented"):
                module.training = True  # this one alone: its parts' dropout stays out
        layer = "conv2" if name == "face_cnn" else "conv1"
        first, second = (network.frames(images, layer) for _ in range(2))
        assert torch.equal(first, second) is same


def test_they_are_part_of_the_keys_and_of_what_is_stored(small_run):
    run = small_run()
    spec = entry_spec(run, *run.recipe.entry("centroid"))
    point = {"scale": 1.0, "steps": 2, "kind": "a", "n": 4}
    plain, other = spec.at(point, "train"), replace(spec.at(point, "train"), training={"patience": 3})
    assert plain.config_key != other.config_key and plain.trial_key != other.trial_key
    entry = run.recipe.entry("centroid")[1]
    told = entry.model_validate({**entry.model_dump(), "training": {"patience": 3}})
    assert study_key(entry, run.recipe) != study_key(told, run.recipe) and told.training.wishes() == {"patience": 3}


def test_a_stored_trial_knows_its_settings(small_run, monkeypatch):
    monkeypatch.setattr("models.training.wishes.with_wishes", lambda model, wishes: model)
    run = small_run(
        stages=[{"stage": "clips", "entries": {"centroid": {"configurations": 1, "training": {"patience": 3}}}}]
    )
    spec = entry_spec(run, *run.recipe.entry("centroid"))
    assert spec.training == {"patience": 3}
    spec = spec.at({"scale": 1.0, "steps": 2, "kind": "a", "n": 4}, "train")
    from search.run.predictions import read_footer

    footer = read_footer(run_trial(spec).path)
    assert footer.training == {"patience": 3} and stored_spec(run, footer, "refit").trial_key == spec.trial_key


def test_more_epochs_than_the_familys_may_be_asked_for(tmp_path, world):
    entries = {"centroid": {"configurations": 1, "max_epochs": 70}}
    recipe = read_recipe(recipe_file(tmp_path, stages=[{"stage": "clips", "entries": entries}]))
    assert recipe.entry("centroid")[1].max_epochs == 70


def test_what_is_not_trained_in_epochs_refuses_them(tmp_path):
    for wish, name in (({"max_epochs": 7}, "max_epochs"), ({"training": {"patience": 7}}, "training")):
        stages = [{"stage": "clips", "entries": {"audio_svm": {"configurations": 1, **wish}}}]
        said = message(read_recipe, recipe_file(tmp_path, stages=stages), error=WrongUse)
        assert f"{name}: family 'audio_svm' is not trained in epochs; leave it out." in said
