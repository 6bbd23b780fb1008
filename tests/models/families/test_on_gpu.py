"""Every network on a GPU: the CPU's scores, the same numbers every time, and a resumed training that ends the same.

EMOFUSE_GPU=cpu rehearses these tests where there is none.
"""

import gc
import os
from dataclasses import replace

import numpy as np
import pytest
import test_family_contract as contract
import test_regression_contract as continuous
import torch

from models.blocks.synchrony import train_synchrony
from models.io import load_model
from models.registry import families
from models.training.torch_model import TorchModel

GPU = os.environ.get("EMOFUSE_GPU", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(GPU == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device"),
]
# Families with a network that is trained on the trial's device.
CLIPS = sorted(
    set(families())
    - {
        "audio_svm",
        "activity_svm",
        "cnn_pool_svm",
        "concat_svm",
        "frame_average",
        "pooled_svm",
    }
)
STEPS = sorted(name for name in CLIPS if "regression" in families()[name].tasks)


def model_of(name, world, device, **settings):
    """A model of small size without dropout, and examples to fit and to score."""
    family = families()[name]
    quiet = {key: 0.0 for key in ("dropout",) if key in family.space}
    one_each = {"single_epochs": 1} if "single_epochs" in family.space else {}
    model = family.build({**world.easy(family), **quiet, **one_each}, replace(world.context(family), device=device))
    assert isinstance(model, TorchModel)
    model.settings = replace(model.settings, **settings)
    return model, world.clips(family, 8), world.clips(family, 6, seed=1)


def weights(model):
    return {name: value.cpu() for name, value in model.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killed(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize(("name", "world"), [(n, contract) for n in CLIPS] + [(n, continuous) for n in STEPS])
def test_a_killed_training_goes_on_to_the_same_weights(name, world, precision, tmp_path):
    def fit(epochs=3, **more):
        model, train, held_out = model_of(name, world, GPU, precision=precision, checkpoint_every_s=0.0)
        return model, model.fit(train, held_out, max_epochs=epochs, **more)

    def killer(epoch, metrics):
        if epoch == 2:
            raise Killed

    model, result = fit()
    again, other = fit()
    assert other == result and same(weights(again), weights(model)), "two trainings of one seed"
    with pytest.raises(Killed):
        fit(report=killer, resume=tmp_path)
    resumed, other = fit(resume=tmp_path)
    assert other == result and same(weights(resumed), weights(model)), "resumed"


@pytest.mark.parametrize("name", CLIPS)
def test_scores_and_encodings_are_those_of_the_cpu(name, tmp_path):
    model, train, held_out = model_of(name, contract, "cpu")
    model.fit(train, None, epochs=2)
    model.save(tmp_path)
    there = load_model(tmp_path, GPU)
    assert next(there.network.parameters()).device.type == GPU
    np.testing.assert_allclose(there.predict(held_out), model.predict(held_out), atol=1e-4)
    ours, theirs = model.encode(held_out), there.encode(held_out)
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * max(1.0, float(abs(ours).max())))


@pytest.mark.parametrize("name", [name for name in CLIPS if families()[name].stage == "backbone"])
def test_activations_are_those_of_the_cpu(name, tmp_path):
    model, train, held_out = model_of(name, contract, "cpu")
    model.fit(train, None, epochs=1)
    model.save(tmp_path)
    there, images = load_model(tmp_path, GPU), np.concatenate(held_out.inputs["faces"])
    for layer in (model.layers[0], model.layers[-1]):
        ours = model.activations(images, layer)
        np.testing.assert_allclose(there.activations(images, layer), ours, atol=1e-4 * max(1.0, float(abs(ours).max())))


@pytest.mark.parametrize("name", STEPS)
def test_every_steps_score_is_the_cpus(name, tmp_path):
    model, train, held_out = model_of(name, continuous, "cpu")
    model.fit(train, None, epochs=2)
    model.save(tmp_path)
    there = load_model(tmp_path, GPU)
    for ours, theirs in zip(model.predict_steps(held_out), there.predict_steps(held_out), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


@pytest.mark.parametrize(("name", "world"), [(n, contract) for n in CLIPS] + [(n, continuous) for n in STEPS])
def test_the_first_two_epochs_losses_are_the_cpus(name, world):
    # RMSprop's first step moves every weight by ten learning rates, whatever its gradient's size: at their own rate an
    # error of a millionth in the gradients is one of up to 30 % in the next loss.
    gentle = {"lr": 1e-5} if world is continuous else {}
    losses = {}
    for device in ("cpu", GPU):
        model, train, _ = model_of(name, world, device, precision="float32", **gentle)
        curve = model.fit(train, None, epochs=2).curve
        losses[device] = [row["loss"] for row in curve]
    np.testing.assert_allclose(losses[GPU], losses["cpu"], rtol=0.02, atol=1e-3)


def test_the_synchrony_autoencoder_learns_what_it_does_on_the_cpu():
    x = torch.randn(256, 12, generator=torch.Generator().manual_seed(0))
    made = {
        device: train_synchrony(x.to(device), units=8, weight=0.1, lr=0.01, epochs=3, seed=0) for device in ("cpu", GPU)
    }
    np.testing.assert_allclose(made[GPU][1], made["cpu"][1], rtol=1e-3)
    torch.testing.assert_close(made[GPU][0].W.detach().cpu(), made["cpu"][0].W.detach(), atol=1e-3, rtol=1e-2)


@pytest.mark.skipif(GPU == "cpu", reason="about a GPU's memory")
def test_a_model_that_is_let_go_leaves_no_memory_behind():
    gc.collect()
    before = torch.cuda.memory_allocated()
    model, train, held_out = model_of("face_cnn", contract, GPU)
    model.fit(train, held_out, max_epochs=2)
    assert torch.cuda.memory_allocated() > before
    del model
    gc.collect()
    assert torch.cuda.memory_allocated() <= before
