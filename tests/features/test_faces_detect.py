import sys

import numpy as np
import pytest
from face_pictures import grey, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import EmofuseError
from features.faces import detect
from features.faces.detect import Box, Cnn, ViolaJones


@given(x=st.integers(80, 240), y=st.integers(90, 150), scale=st.floats(0.4, 0.8), degrees=st.floats(-10, 10))
@settings(max_examples=8, deadline=None)
def test_a_face_is_found_where_it_is(x, y, scale, degrees):
    (box,) = ViolaJones()(grey(scene(x, y, scale, degrees)))
    assert (box.x, box.y) == pytest.approx((x, y), abs=0.1 * box.side)
    assert box.side == pytest.approx(160 * scale, rel=0.2)


def test_no_face_where_there_is_none():
    noise = np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8)
    for picture in (grey(scene()), noise, np.zeros((5, 5), np.uint8), np.full((300, 20), 255, np.uint8)):
        assert ViolaJones()(picture) == []


def test_a_small_face_is_found_in_the_second_pass():
    (box,) = ViolaJones()(grey(scene(900, 400, 0.35, height=720, width=1280)))
    assert (box.x, box.y) == pytest.approx((900, 400), abs=8)


def test_a_known_face_is_found_around_its_last_place_only():
    picture = grey(scene(160, 120))
    near = ViolaJones().near(picture, Box(170, 112, 90))
    assert (near.x, near.y) == pytest.approx((160, 120), abs=14)
    for nowhere in (Box(290, 40, 60), Box(400, 300, 60), Box(160, 120, 20)):
        assert ViolaJones().near(picture, nowhere) is None


def test_distances_are_in_sides():
    assert Box(0, 0, 30).apart(Box(30, 40, 70)) == 1.0


def test_the_cnn_cuts_as_viola_jones_does():
    pytest.importorskip("dlib", reason="needs the extra research")
    picture = grey(scene(160, 110, 0.8))
    (ours,), (theirs,) = Cnn()(picture), ViolaJones()(picture)
    assert ours.apart(theirs) < 0.15 and ours.side == pytest.approx(theirs.side, rel=0.25)


def test_a_missing_cnn_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr(detect, "find_spec", lambda name: None)
    with pytest.raises(EmofuseError, match=r"needs dlib and its model, .* run `pip install 'emofuse\[research\]'`"):
        Cnn()
