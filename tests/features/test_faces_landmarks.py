import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ClipFailure, MachineFault, WrongUse
from features.faces import landmarks
from features.faces.detect import Box
from features.faces.landmarks import normalised, points_in, predictor
from features.faces.track import Patch, Track
from features.sets import Media, get_set, parse_spec


def clip_points(seed, length=5):
    return np.random.default_rng(seed).normal(250, 30, (length, 68, 2))


def picture(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 255, (20, 24))
    return np.kron(coarse, np.ones((12, 12))).astype(np.uint8)


@pytest.fixture
def _dlib():
    pytest.importorskip("dlib", reason="needs the extra research")
    predictor()


@given(seed=st.integers(0, 9), scale=st.floats(0.2, 5), x=st.floats(-500, 500), y=st.floats(-500, 500))
@settings(max_examples=20, deadline=None)
def test_neither_place_nor_size_in_the_picture_matters(seed, scale, x, y):
    points = clip_points(seed)
    for how in ("shift_scale", "z_score"):
        expected = normalised(points, how)
        assert expected.shape == (5, 136) and expected.dtype == np.float32
        np.testing.assert_allclose(normalised(points * scale + (x, y), how), expected, atol=1e-3)


def test_shift_and_scale_keep_shape_and_movement():
    shape = clip_points(0, 1)
    moving = shape + np.arange(6)[:, None, None] * (4, 0)
    values = normalised(moving, "shift_scale").reshape(6, 68, 2)
    np.testing.assert_allclose(values.mean(axis=(0, 1)), 0, atol=1e-6)
    assert (values**2).mean() == pytest.approx(1)
    steps = np.diff(values, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0, 0], steps.shape), atol=1e-5)
    ratio = (values[2, 5] - values[2, 9]) / (shape[0, 5] - shape[0, 9])
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-4)


def test_z_scores_keep_movement_only():
    values = normalised(np.concatenate([clip_points(0, 1)] * 4), "z_score")
    np.testing.assert_allclose(values, 0, atol=1e-3)
    moved = normalised(clip_points(1, 7), "z_score")
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(moved.std(axis=0), 1, atol=1e-5)


@pytest.mark.usefixtures("_dlib")
def test_points_are_in_coordinates_of_the_frame():
    whole = Patch(0.0, picture(), 0, 0, 1.0)
    points = points_in(whole, 140, 110, 90)
    assert points.shape == (68, 2) and np.abs(points.mean(axis=0) - (140, 118)).max() < 25
    cut = Patch(0.0, picture()[20:220, 40:250], 40, 20, 1.0)
    np.testing.assert_allclose(points_in(cut, 140, 110, 90), points)
    larger = Patch(0.0, np.kron(picture(), np.ones((2, 2), np.uint8)), 0, 0, 2.0)
    assert np.abs(points_in(larger, 140, 110, 90) - points).mean() < 4


@pytest.mark.usefixtures("_dlib")
def test_through_the_set(monkeypatch):
    track = Track(patches=[Patch(t, picture(), 0, 0, 1.0) for t in (0.0, 0.05, 0.1)])
    for time_s, box in ((0.0, Box(140, 110, 90)), (0.1, Box(150, 110, 90))):
        track.add(time_s, box, picture_side=288)
    asked = []
    monkeypatch.setattr(landmarks, "follow", lambda media, *options: asked.append(options) or track)
    spec = parse_spec("landmarks:fps=12.5,detector=viola_jones")
    array = get_set("landmarks").extract(Media(Path("x")), spec.params)
    assert asked[0][:2] == (12.5, "viola_jones")
    assert array.values.shape == (3, *get_set("landmarks").shape(spec.params)) == (3, 136)
    assert array.time_s.tolist() == [0.0, 0.05, 0.1]


def test_mistakes_are_told():
    with pytest.raises(WrongUse, match=r"normalisation of landmarks 'z_scores'.*z_score"):
        get_set("landmarks").shape(parse_spec("landmarks:normalise=z_scores").params)
    with pytest.raises(WrongUse, match="'landmarks': expected fps of 0"):
        get_set("landmarks").shape(parse_spec("landmarks:fps=-1").params)


def test_without_dlib_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    predictor.cache_clear()
    with pytest.raises(MachineFault, match=r"dlib .*not installed: run pip install 'emofuse\[research\]'"):
        get_set("landmarks").extract(Media(Path("x")), parse_spec("landmarks").params)


@pytest.mark.real_data
@pytest.mark.usefixtures("_dlib")
def test_real_clips(real_data):
    params = parse_spec("landmarks:fps=5").params
    array = get_set("landmarks").extract(Media(real_data / "clips" / "lbax4n.mpg"), params)
    assert len(array.values) == 15
    shapes = array.values.reshape(15, 68, 2)
    eyes, mouth, chin = (shapes[:, part].mean(axis=1) for part in (slice(36, 48), slice(48, 68), slice(7, 10)))
    assert np.all(eyes[:, 1] < mouth[:, 1]) and np.all(mouth[:, 1] < chin[:, 1])
    assert np.all(shapes[:, 36:42, 0].mean(axis=1) < shapes[:, 42:48, 0].mean(axis=1))
    with pytest.raises(ClipFailure, match="no_face"):
        get_set("landmarks").extract(Media(real_data / "clips" / "no_face.mp4"), params)
