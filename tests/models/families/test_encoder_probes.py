"""What the probes of encoders do beyond the contract."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from models.blocks.attention_pooling import AttentionPooling, aligned
from models.examples import Examples
from models.family import Context
from models.registry import get_family

CLASSES = ("angry", "happy")


def examples(inputs, y):
    return Examples(tuple(f"c{n}" for n in range(len(y))), inputs, CLASSES, np.asarray(y, np.int64))


def test_layer_mix_finds_the_layer_that_tells():
    family, rng, y = get_family("layer_mix"), np.random.default_rng(0), np.arange(40) % 2
    clips = [rng.normal(size=(6, 4, 5)).astype(np.float32) for _ in y]
    for clip, label in zip(clips, y, strict=True):
        clip[:, 2] += 3 * label
    model = family.build({**family.published[0], "lr": 0.01}, Context(CLASSES, {"layers": (4, 5)}))
    model.fit(examples({"layers": clips}, y), None, epochs=60)
    weights = model.network.weights.softmax(0)
    assert weights[2] > weights[[0, 1, 3]].max() + 0.03


def test_embedding_head_projects_as_scikit_learn_does():
    family, rng, y = get_family("embedding_head"), np.random.default_rng(0), np.arange(90) % 2
    x = (rng.normal(size=(90, 80)) @ rng.normal(size=(80, 80))).astype(np.float32)
    model = family.build({**family.published[1], "pca": 64}, Context(CLASSES, {"embedding": (80,)}))
    model.fit(examples({"embedding": list(x)}, y), None, epochs=1)
    found = model.encode(examples({"embedding": list(x)}, y))
    wanted = PCA(64).fit_transform((x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=2e-3)


def test_embedding_head_takes_fewer_clips_than_components():
    family, x = get_family("embedding_head"), np.random.default_rng(0).normal(size=(6, 80)).astype(np.float32)
    model = family.build({**family.published[1], "pca": 64}, Context(CLASSES, {"embedding": (80,)}))
    model.fit(examples({"embedding": list(x)}, [0, 1] * 3), None, epochs=2)
    assert np.isfinite(model.predict(examples({"embedding": list(x)}, [0, 1] * 3))).all()


@pytest.mark.parametrize(("steps", "wanted"), [(50, 5), (7, 3), (3, 7), (1, 4), (5, 5)])
def test_steps_of_two_clocks_meet_at_the_same_share_of_the_clip(steps, wanted):
    x = torch.randn(1, steps + 3, 2)  # the last three are padding
    found = aligned(x, torch.tensor([steps]), torch.tensor([wanted]), wanted + 2)
    for i in range(wanted):
        first, last = i * steps // wanted, (i + 1) * steps // wanted
        torch.testing.assert_close(found[0, i], x[0, first : max(last, first + 1)].mean(0))
    torch.testing.assert_close(found[0, wanted:], found[0, wanted - 1 : wanted].expand(2, -1))


def test_attention_never_looks_past_a_clips_end():
    layer, x = AttentionPooling(4), torch.randn(2, 6, 4)
    other = x.clone()
    other[0, 3:] = 100.0
    lengths = torch.tensor([3, 6])
    torch.testing.assert_close(layer(x, lengths), layer(other, lengths))
    torch.testing.assert_close(layer(x[:1, :3], lengths[:1])[0], layer(x, lengths)[0])
