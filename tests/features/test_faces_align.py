import cv2
import numpy as np
import pytest
from face_pictures import grey, look, scene
from hypothesis import given
from hypothesis import strategies as st

from features.datasets.synthetic.looks import EYE_Y, NOSE_Y
from features.faces.align import EYES, aligned_crops, eye_transform, find_eyes
from features.faces.detect import ViolaJones
from features.faces.track import Patch, Tracker

places = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@given(left=places, angle=st.floats(-np.pi, np.pi), distance=st.floats(1, 1000), size=st.integers(16, 512))
def test_the_eyes_land_where_they_should_and_shapes_stay(left, angle, distance, size):
    left = np.array(left)
    right = left + distance * np.array([np.cos(angle), np.sin(angle)])
    matrix = eye_transform(left, right, size)
    np.testing.assert_allclose(matrix[:, :2] @ left + matrix[:, 2], EYES[0] * size, atol=1e-6 * size)
    np.testing.assert_allclose(matrix[:, :2] @ right + matrix[:, 2], EYES[1] * size, atol=1e-6 * size)
    turn = matrix[:, :2]
    scale = (EYES[1, 0] - EYES[0, 0]) * size / distance
    np.testing.assert_allclose(turn @ turn.T, scale**2 * np.eye(2), atol=1e-6 * scale**2)
    assert np.linalg.det(turn) > 0


def true_eyes(degrees):
    """The drawn face's eyes in `scene(160, 120, 0.6, degrees)`: (2, 2)."""
    drawn = np.array([[side * look().eye_gap, EYE_Y - (EYE_Y + NOSE_Y) / 2] for side in (-1, 1)])
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return 0.6 * drawn @ np.array([[cos, -sin], [sin, cos]]) + (160, 120)


@pytest.mark.parametrize("degrees", [-12, 0, 12])
def test_eyes_are_found(degrees):
    picture = grey(scene(160, 120, 0.6, degrees))
    (box,) = ViolaJones()(picture)
    eyes = find_eyes(Patch(0.0, picture, 0, 0, 1.0), *box)
    found = (eyes - 0.5) * box.side + (box.x, box.y)
    np.testing.assert_allclose(found, true_eyes(degrees), atol=0.06 * box.side)


def test_no_eyes_in_a_blank():
    assert np.isnan(find_eyes(Patch(0.0, np.full((100, 100), 90, np.uint8), 0, 0, 1.0), 50, 50, 80)).all()


@pytest.mark.parametrize("degrees", [-12, 12])
def test_a_tilted_head_is_set_upright(degrees):
    picture = grey(scene(160, 120, 0.6, degrees))
    tracker = Tracker(ViolaJones(), None, 96)
    for i in range(8):
        tracker.step(i / 10, picture)
    times, crops = aligned_crops(tracker.best(), 48)
    assert crops.shape == (8, 48, 48) and crops.dtype == np.uint8 and len(times) == 8

    def cut(eyes):
        return cv2.warpAffine(picture, eye_transform(*eyes, 48), (48, 48)).ravel()

    box = tracker.best().boxes[4]
    upright, tilted = cut(true_eyes(degrees)), cut((EYES - 0.5) * box.side + (box.x, box.y))
    likeness = np.corrcoef([upright, crops[4].ravel(), tilted])
    assert likeness[0, 1] > 0.85 > 0.75 > likeness[0, 2]
