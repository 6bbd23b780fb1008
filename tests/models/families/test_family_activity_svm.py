from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics.pairwise import chi2_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from features.errors import EmofuseError
from models.blocks.synchrony import SynchronyAutoencoder, contraction, train_synchrony
from models.examples import Examples
from models.families.activity_svm import FAMILY, MotionWords, normalise, sample_blocks, whiten
from models.family import Context
from models.io import load_model
from models.svm import Chi2SVM

SIDE, LENGTH = 6, 4
CLASSES = ("left", "right")
SMALL = {**FAMILY.published[0], "variance": 0.9, "units": 100, "lr": 0.01}


def generator():
    return torch.Generator().manual_seed(0)


def gratings(n, seed=0):
    """`n` clips of uint8 blocks (T, 144) in which stripes move to the left or to the right."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    time, _, x = np.mgrid[:LENGTH, :SIDE, :SIDE].reshape(3, 1, -1)
    clips = []
    for label in y:
        phase, contrast = rng.uniform(0, 2 * np.pi, (40, 1)), rng.uniform(20, 60, (40, 1))
        wave = np.sin(2 * np.pi * (x + (2 * label - 1) * time) / SIDE + phase)
        clips.append((128 + contrast * wave + rng.normal(0, 4, wave.shape)).astype(np.uint8))
    return Examples(tuple(f"clip{i}" for i in range(n)), {"blocks": clips}, CLASSES, y)


@pytest.fixture(scope="module")
def fitted():
    model = FAMILY.build(SMALL, Context(CLASSES, {"blocks": (SIDE * SIDE * LENGTH,)}))
    model.fit(gratings(16), None)
    return model


def test_contraction_is_the_squared_norm_of_the_jacobian():
    model = SynchronyAutoencoder(7, 5, generator()).double()
    model.W.data *= 80
    x = torch.randn(4, 7, dtype=torch.float64, generator=generator())
    _, f, h = model(x)
    expected = [(torch.autograd.functional.jacobian(lambda row: model(row)[2], row) ** 2).sum() for row in x]
    torch.testing.assert_close(contraction(f, h, model.W), torch.stack(expected))


def test_reconstruction_and_loss_are_the_formulas():
    model = SynchronyAutoencoder(3, 2, generator())
    model.W.data *= 100
    model.b.data += 0.3
    x = torch.randn(5, 3, generator=generator())
    W, b, total = model.W.detach().numpy(), model.b.detach().numpy(), 0.0
    for row in x.numpy():
        f = W.T @ row
        h = expit(f * f)
        penalty = 4 * sum((h[q] * (1 - h[q])) ** 2 * f[q] ** 2 * W[:, q] @ W[:, q] for q in range(2))
        total += ((row - W @ (h * f) - b) ** 2).sum() + 0.5 * penalty
    assert model.loss(x, 0.5).item() == pytest.approx(total / 5, rel=1e-5)


def test_filters_start_within_a_hundredth_of_zero():
    model = SynchronyAutoencoder(200, 300, generator())
    assert 0.0099 < model.W.abs().max() <= 0.01
    assert abs(model.W.mean().item()) < 1e-4 and not model.b.any()


def test_normalised_filters_have_mean_0_and_the_average_deviation():
    model = SynchronyAutoencoder(50, 6, generator())
    model.W.data = (torch.randn(50, 6, generator=generator()) + 3) * torch.arange(1, 7)
    average = (model.W.std(dim=0, correction=0) + 0.001).mean()
    model.normalise_()
    torch.testing.assert_close(model.W.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.W.std(dim=0, correction=0), average.expand(6), rtol=2e-3, atol=0)


def test_training_lowers_the_loss_and_a_seed_fixes_it():
    x = torch.randn(400, 3, generator=generator()) @ torch.randn(3, 20, generator=generator())
    settings = {"units": 8, "weight": 0.1, "lr": 0.01, "epochs": 15}
    model, losses = train_synchrony(x, seed=1, **settings)
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(model.W, train_synchrony(x, seed=1, **settings)[0].W)
    assert not torch.equal(model.W, train_synchrony(x, seed=2, **settings)[0].W)


def test_a_diverged_autoencoder_is_told():
    with pytest.raises(EmofuseError, match=r"diverged with lr 1 and contraction 0\.5; lower one of them"):
        train_synchrony(torch.full((9, 4), 1e30), units=3, weight=0.5, lr=1.0, epochs=2, seed=0)


def test_blocks_are_normalised_by_their_own_and_the_average_deviation():
    block = np.array([10, 20, 30, 200], np.uint8)
    expected = (block - block.mean()) / (block.std() + 7 + 0.001)
    found = normalise(block[None], np.array([7], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_whitened_blocks_are_uncorrelated_with_unit_variance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 5
    rows = np.column_stack([rows, rows[:, 0], np.full(500, 3.0)])  # two numbers too many: a copy and a constant
    mean, deviation, whitening = whiten(rows, 0.99999)
    assert whitening.shape == (8, 6)
    whitened = (rows - mean) / deviation @ whitening
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(6), atol=1e-8)
    assert whiten(rows, 0.5)[2].shape[1] < 4


def test_blocks_are_sampled_from_all_clips_without_repetition():
    clips = [np.arange(start, stop)[:, None] for start, stop in ((0, 30), (30, 31), (31, 100))]
    np.testing.assert_array_equal(sample_blocks(clips, 100, 0)[:, 0], np.arange(100))
    some = sample_blocks(clips, 40, 0)[:, 0]
    assert len(np.unique(some)) == 40 and (np.diff(some) > 0).all() and some.max() > 31 > some.min()
    np.testing.assert_array_equal(some, sample_blocks(clips, 40, 0)[:, 0])
    assert not np.array_equal(some, sample_blocks(clips, 40, 1)[:, 0])


def test_a_block_votes_for_its_nearest_word_with_its_mean_activity():
    one = np.ones(1, np.float32)
    blocks = np.array([[0.0, 2.0], [4.0, 0.0], [3.0, 3.0]])
    motion = MotionWords(one, np.zeros(2, np.float32), np.ones(2, np.float32), np.array([[1.0, 0], [0, 3.0]]), None)
    f = np.array([[-1.0, 3.0], [2.0, -6.0], [0.0, 0.0]]) / (np.array([[1.0], [2.0], [0.0]]) + 1.001)
    activity = 2 * expit((f * [[1, 1]]) ** 2) - 1
    np.testing.assert_allclose(motion.activity(blocks), activity, atol=1e-6)
    words = replace(motion, words=activity[[1, 0]])
    first, second = activity.mean(axis=1)[:2]
    np.testing.assert_allclose(words.histogram(blocks), np.array([second, first]) / (first + second), rtol=1e-5)
    np.testing.assert_array_equal(words.histogram(blocks[2:]), [0, 0])  # at rest


def test_chi_square_machine_equals_scikit_learns_one_against_the_rest():
    X = np.random.default_rng(0).dirichlet(np.full(9, 0.5), 40)
    y = np.arange(40) % 3
    kernel = lambda A, B: chi2_kernel(A, B, gamma=1.5)  # noqa: E731
    theirs = OneVsRestClassifier(SVC(C=10.0, kernel=kernel)).fit(X[:30], y[:30]).decision_function(X[30:])
    ours = Chi2SVM(C=10.0, gamma=1.5).fit(X[:30], y[:30]).decision_function(X[30:])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_directions_of_motion_are_told_apart(fitted):
    new = gratings(12, seed=1)
    np.testing.assert_array_equal(fitted.predict(new).argmax(1), new.y)


def test_histograms_sum_to_1_over_as_many_words_as_the_blocks_allow(fitted):
    histograms = fitted.encode(gratings(5, seed=2))
    assert histograms.shape == (5, 64)  # 16 clips of 40 blocks, ten for a word
    np.testing.assert_allclose(histograms.sum(1), 1, rtol=1e-6)


def test_brightness_does_not_matter(fitted):
    dark = gratings(4, seed=3)
    bright = replace(dark, inputs={"blocks": [blocks + np.uint8(30) for blocks in dark.inputs["blocks"]]})
    np.testing.assert_allclose(fitted.encode(bright), fitted.encode(dark), atol=1e-3)


def test_held_out_clips_play_no_part_in_the_words(fitted):
    other = FAMILY.build(SMALL, fitted.context)
    other.fit(gratings(16), gratings(6, seed=4))
    np.testing.assert_array_equal(other.words.words, fitted.words.words)
    np.testing.assert_array_equal(other.words.filters, fitted.words.filters)


def test_alike_blocks_are_refused():
    still = replace(gratings(4), inputs={"blocks": [np.full((3, 144), 9, np.uint8)] * 4})
    with pytest.raises(EmofuseError, match="expects blocks that differ, but those of all training clips are alike"):
        FAMILY.build(SMALL, Context(CLASSES, {"blocks": (144,)})).fit(still, None)


def test_an_unfitted_model_and_a_damaged_file_are_told(fitted, tmp_path):
    for work in ("predict", "encode"):
        with pytest.raises(EmofuseError, match="activity_svm model is not fitted yet: fit or load it first"):
            getattr(FAMILY.build(SMALL, fitted.context), work)(gratings(2))
    fitted.save(tmp_path)
    (tmp_path / "words.safetensors").write_bytes(b"no")
    with pytest.raises(EmofuseError, match=r"words.safetensors: expected the words of a saved activity_svm model"):
        load_model(tmp_path)
