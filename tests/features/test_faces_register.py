from pathlib import Path

import numpy as np
import pytest
from face_pictures import grey, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clips import Clip, ClipTable
from features.errors import EmofuseError, WrongUse
from features.faces import crops, register
from features.faces.centerface import centerface_installed
from features.faces.register import five_points, mean_shape, registered_spec
from features.faces.similarity import Similarity, cut, parse_similarity, similarity_between
from features.sets import FeatureArray, Media, parse_spec
from features.store.store import set_writer

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
def test_a_moved_crop_has_noise_beyond_the_picture(channels):
    picture = np.random.default_rng(0).integers(80, 120, (40, 40, *channels)).astype(np.uint8)
    whole, half = np.eye(2, 3), Similarity(0.5, 0, 0.25, 0.25)
    plain, moved = cut(picture, half.matrix(40), 40), cut(picture, whole, 40, half)
    assert plain.shape == moved.shape == (40, 40, *channels)
    np.testing.assert_array_equal(moved[11:29, 11:29], plain[11:29, 11:29])
    border = moved[:8]
    assert not plain[:8, 12].std(axis=0).any() and border.std() == pytest.approx(picture.std(), rel=0.2)
    assert abs(border.mean() - picture.mean()) < 2
    np.testing.assert_array_equal(moved, cut(picture, whole, 40, half))
    np.testing.assert_array_equal(cut(picture, whole, 40, Similarity()), picture)


def test_mean_shape_is_the_mean(monkeypatch):
    shapes = iter(np.random.default_rng(0).normal(size=(3, 5, 2)))
    monkeypatch.setattr(register, "five_points", lambda crop: next(shapes))
    np.testing.assert_allclose(mean_shape([None] * 3), np.random.default_rng(0).normal(size=(3, 5, 2)).mean(axis=0))
    with pytest.raises(EmofuseError, match="no face to register"):
        mean_shape([])


def faces_of(name, pictures, monkeypatch, **params):
    monkeypatch.setattr(crops, "video_frames", lambda media, **options: iter(pictures[media.path.name]))
    return crops.SET.extract(Media(Path(name)), {**crops.SET.params, "detector": "none", **params}).values


def test_pictures_that_are_faces(monkeypatch):
    wide = np.random.default_rng(0).integers(0, 256, (48, 60), np.uint8)
    pictures = {"wide": [(0.0, wide), (0.04, wide)], "large": [(0.0, np.kron(wide, np.ones((4, 4), np.uint8)))]}
    np.testing.assert_array_equal(faces_of("wide", pictures, monkeypatch), [wide[:, 6:54]] * 2)
    np.testing.assert_array_equal(faces_of("large", pictures, monkeypatch)[0], wide[:, 6:54])
    assert faces_of("wide", pictures, monkeypatch, size=100).shape == (2, 100, 100)
    right = faces_of("wide", pictures, monkeypatch, register="1/0/0.125/0")
    np.testing.assert_array_equal(right[0], wide[:, :48])


def stored(tmp_path, monkeypatch, name, pictures, text="faces:detector=none"):
    clips = [Clip(str(i), None, "val" if i == 0 else "train", "x", str(i), media_sha256=f"{name}{i}") for i in range(3)]
    table, spec = ClipTable(tuple(clips), tmp_path), parse_spec(text)
    writer = set_writer(tmp_path / "store", spec, table)
    for clip in clips:
        crop = faces_of(clip.clip_id, {clip.clip_id: [(0.0, pictures[int(clip.clip_id)])]}, monkeypatch, **spec.params)
        writer.add(clip.clip_id, FeatureArray(crop, np.zeros(1)))
    return writer.finish(), table


def test_registration_prints_the_spec(tmp_path, monkeypatch):
    # A bright square stands for the face, its corners for eyes and mouth.
    def corners(crop):
        rows, columns = np.nonzero(crop > 128)
        low, high = np.array([columns.min(), rows.min()]) / 48, np.array([columns.max() + 1, rows.max() + 1]) / 48
        return np.array([low, (high[0], low[1]), (low + high) / 2, (low[0], high[1]), high])

    def squares(left, top, side):
        pictures = np.zeros((3, 48, 48), np.uint8)
        pictures[1:, top : top + side, left : left + side] = 255
        return pictures

    monkeypatch.setattr(register, "five_points", corners)
    tight, table = stored(tmp_path, monkeypatch, "tight", squares(6, 0, 36))
    loose, other = stored(tmp_path, monkeypatch, "loose", squares(12, 12, 24))
    spec = registered_spec(tight, table, loose, other, 10)
    assert spec == "faces:detector=none,register=0.6667/0.00/0.1667/0.2500"
    moved, table = stored(tmp_path, monkeypatch, "tight", squares(6, 0, 36), spec)
    crop = moved["1"][0]
    assert (crop[13:35, 13:35] == 255).all() and not crop[14:34, 9:11].any() and not crop[14:34, 38:39].any()
    with pytest.raises(WrongUse, match="can't be registered: expected an extracted set `faces` without register="):
        registered_spec(moved, table, loose, other, 10)


@pytest.mark.skipif(not centerface_installed(), reason="needs the extra faces")
def test_without_dlib_centerface_gives_the_points(monkeypatch, capsys):
    monkeypatch.setattr(register, "cnn_installed", lambda: False)
    crops = [grey(scene(120 + 4 * i, 110, 0.9, height=240, width=240)) for i in range(3)]
    tight = [crop[20:220, 20:220] for crop in crops]
    found = similarity_between(mean_shape(tight), mean_shape(crops))
    assert found.scale == pytest.approx(200 / 240, abs=0.03)
    assert (found.x, found.y) == pytest.approx((20 / 240, 20 / 240), abs=0.03)
    assert five_points(np.dstack([crops[0]] * 3)).shape == (5, 2)
    assert not capsys.readouterr().err
    np.testing.assert_array_equal(mean_shape([*crops, grey(scene(height=240, width=240))]), mean_shape(crops))
    assert "CenterFace finds no face in 1 of 4 crops; they are left out" in capsys.readouterr().err


@pytest.mark.real_data
def test_crops_that_are_cut_tightly_are_measured(real_data):
    pytest.importorskip("dlib", reason="needs the extra research")
    faces = np.load(real_data / "features" / "ravdess_actor01_av.npz")["faces"][::4, 10]
    tight = [face[14:98, 14:98] for face in faces]
    found = similarity_between(mean_shape(tight), mean_shape(faces))
    assert found.scale == pytest.approx(84 / 112, abs=0.03)
    assert found.x == pytest.approx(0.125, abs=0.03) and found.y == pytest.approx(0.125, abs=0.03)
    assert five_points(faces[0]).shape == (5, 2)
