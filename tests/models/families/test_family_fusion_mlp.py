"""The fusion network of Kahou 2015, section 5.1, and the regulariser of Wu et al. 2015."""

import numpy as np
import pytest
import torch

from models.examples import Examples
from models.families.fusion_mlp import ACTIVATIONS, FAMILY, FusionMLP, structured_penalty
from models.family import Context

CLASSES = tuple("abcdefg")
SHAPES = {"members_1": (105,), "members_2": (10,), "members_3": (200,)}


def clips(n=14, seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    inputs = {slot: [rng.normal(size=shape).astype(np.float32) for _ in range(n)] for slot, shape in shapes.items()}
    return Examples(tuple(f"c{i}" for i in range(n)), inputs, CLASSES, np.arange(n) % len(CLASSES))


def fitted(epochs=1, shapes=SHAPES, **changes):
    model = FAMILY.build({**FAMILY.published[0], **changes}, Context(CLASSES, shapes))
    model.fit(clips(shapes=shapes), None, epochs=epochs)
    return model


def test_it_has_the_papers_layers():
    network = fitted().network
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "modalities.members_1.weight": (100, 105),
        "modalities.members_2.weight": (10, 10),
        "modalities.members_3.weight": (50, 200),
        "common.weight": (70, 160),
        "head.weight": (7, 70),
    }


def test_the_published_points_are_both_settings_with_three_activations():
    found = {(p["activation"], p["lr"], p["momentum"]) for p in FAMILY.published}
    assert found == {(a, *setting) for a in ("sigmoid", "relu", "recttanh") for setting in ((0.1, 0.0), (0.001, 0.9))}
    assert fitted().settings.clip == 10.0


def test_rectified_tanh():
    x = torch.linspace(-3, 3, 13)
    np.testing.assert_allclose(ACTIVATIONS["recttanh"](x), np.maximum(0, np.tanh(x.numpy())), atol=1e-6)


def test_the_penalty_is_its_definition():
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape) for shape in ((5, 3), (2, 4), (3, 1))]
    groups = 0.0
    for j in range(5):
        into = [w for weight in weights if j < len(weight) for w in weight[j]]
        groups += np.sqrt(sum(w * w for w in into))
    singles = sum(abs(w) for weight in weights for row in weight for w in row)
    found = structured_penalty([torch.tensor(weight) for weight in weights], shared=0.3, own=0.7)
    assert float(found) == pytest.approx(0.15 * groups + 0.35 * singles)


def test_units_of_zeros_stay_without_nan():
    weight = torch.zeros(3, 2, requires_grad=True)
    structured_penalty([weight], 1.0, 1.0).backward()
    assert torch.equal(weight.grad, torch.zeros(3, 2))


def test_the_penalty_acts_in_training():
    def largest(shared):
        weights = fitted(30, shared=shared, own=1e-6).network.modalities["members_3"].weight.detach()
        return float(weights.norm(dim=1).max())

    assert largest(0.01) < 0.99 * largest(1e-6)


def test_any_number_of_members_and_the_third_width_for_further_ones():
    shapes = {f"members_{m}": (m + 2,) for m in range(1, 12)}
    model = fitted(shapes=shapes)
    widths = {slot: layer.out_features for slot, layer in model.network.modalities.items()}
    assert list(widths)[-2:] == ["members_10", "members_11"]
    assert list(widths.values()) == [100, 10] + [50] * 9
    assert model.encode(clips(shapes=shapes)).shape == (14, 70)


def test_weight_decay_is_for_the_layers_behind_the_modalities():
    network = FusionMLP(SHAPES, dict.fromkeys(SHAPES, 5), 4, 7, "relu", 0.0, 0.1, 0.1)
    decays = {len(list(group["params"])): group["weight_decay"] for group in network.parameter_groups(0.5)}
    assert decays == {6: 0.0, 4: 0.5}
