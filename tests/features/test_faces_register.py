import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import EmofuseError, WrongUse
from features.faces import register
from features.faces.register import (
    Similarity,
    five_points,
    mean_shape,
    parse_similarity,
    similarity_between,
    warped,
)

MEAN = np.array([[0.32, 0.40], [0.68, 0.40], [0.5, 0.6], [0.34, 0.77], [0.67, 0.77]])


def moved(points, similarity):
    return points @ similarity.matrix(1)[:, :2].T + similarity.matrix(1)[:, 2]


@given(scale=st.floats(0.3, 3), degrees=st.floats(-90, 90), x=st.floats(-1, 1), y=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_a_similarity_is_found_again(scale, degrees, x, y):
    truth = Similarity(scale, degrees, x, y)
    found = similarity_between(MEAN, moved(MEAN, truth))
    np.testing.assert_allclose(found.matrix(1), truth.matrix(1), atol=1e-6)
    np.testing.assert_allclose(parse_similarity(str(truth)).matrix(48), truth.matrix(48), atol=0.05)


def test_least_squares_of_shapes_that_differ():
    other = MEAN + np.random.default_rng(0).normal(0, 0.02, MEAN.shape)
    best = ((moved(MEAN, similarity_between(MEAN, other)) - other) ** 2).sum()
    for step in np.random.default_rng(1).normal(0, 0.01, (50, 4)):
        near = Similarity(*(np.array([1.0, 0, 0, 0]) + step))
        assert ((moved(MEAN, near) - other) ** 2).sum() >= best


@pytest.mark.parametrize("text", ["1", "1/2/3", "a/b/c/d", "0/0/0/0", "1/nan/0/0", "-1/0/0/0"])
def test_bad_similarities_are_told(text):
    with pytest.raises(WrongUse, match=f"expected register=scale/degrees/x/y .* got '{text}'"):
        parse_similarity(text)
    assert parse_similarity("") is None


@pytest.mark.parametrize("channels", [(), (3,)])
def test_noise_beyond_the_edges(channels):
    picture = np.random.default_rng(0).integers(80, 120, (40, 40, *channels)).astype(np.uint8)
    half = Similarity(0.5, 0, 0.25, 0.25)
    plain, noisy = (warped(picture, half.matrix(40), 40, noise) for noise in (False, True))
    assert plain.shape == noisy.shape == (40, 40, *channels)
    np.testing.assert_array_equal(noisy[11:29, 11:29], plain[11:29, 11:29])
    border = noisy[:8]
    assert not plain[:8, 12].std(axis=0).any() and border.std() == pytest.approx(picture.std(), rel=0.2)
    assert abs(border.mean() - picture.mean()) < 2
    np.testing.assert_array_equal(noisy, warped(picture, half.matrix(40), 40, True))


def test_mean_shape_is_the_mean(monkeypatch):
    shapes = iter(np.random.default_rng(0).normal(size=(3, 5, 2)))
    monkeypatch.setattr(register, "five_points", lambda crop: next(shapes))
    np.testing.assert_allclose(mean_shape([None] * 3), np.random.default_rng(0).normal(size=(3, 5, 2)).mean(axis=0))
    with pytest.raises(EmofuseError, match="no face to register"):
        mean_shape([])


@pytest.mark.real_data
def test_crops_that_are_cut_tightly_are_measured(real_data):
    pytest.importorskip("dlib", reason="needs the extra research")
    faces = np.load(real_data / "features" / "ravdess_actor01_av.npz")["faces"][::4, 10]
    cut = [face[14:98, 14:98] for face in faces]
    found = similarity_between(mean_shape(cut), mean_shape(faces))
    assert found.scale == pytest.approx(84 / 112, abs=0.03)
    assert found.x == pytest.approx(0.125, abs=0.03) and found.y == pytest.approx(0.125, abs=0.03)
    assert five_points(faces[0]).shape == (5, 2)
