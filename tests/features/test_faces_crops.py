import cv2
import numpy as np
import pytest
from face_pictures import scene
from media_files import tone, write_video

from features.clips import Clip, ClipTable
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.faces import follow
from features.faces.centerface import centerface_installed
from features.faces.crops import SET
from features.sets import Media, parse_spec
from features.store.store import feature_key, open_set, set_writer

FAST = "detector=viola_jones"


def faces(media, tail=FAST):
    return SET.extract(media, parse_spec(f"faces:{tail}").params)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds at 25 frames per second; the face leaves at 1.2 s."""
    folder = tmp_path_factory.mktemp("clip")
    images = [scene(120 + i, 120) for i in range(30)] + [scene()] * 20
    return Media(write_video(folder / "face.mp4", images, audio=tone(2.0)))


def test_crops_of_the_frames_that_show_the_face(clip):
    made = faces(clip)
    assert made.values.shape == (len(made.time_s), 48, 48) and made.values.dtype == np.uint8
    np.testing.assert_allclose(made.time_s, np.arange(len(made.time_s)) / 25, atol=1e-3)
    assert made.time_s[-1] == pytest.approx(1.2, abs=0.1)
    still = made.values[5:25].astype(float)
    assert np.abs(np.diff(still, axis=0)).mean() < 8  # the crop follows the face


@pytest.mark.parametrize("tail, shape", [("size=64", (64, 64)), ("size=32,colour=true", (32, 32, 3))])
def test_size_and_colour(clip, tail, shape):
    params = parse_spec(f"faces:{tail}").params
    made = faces(clip, f"{tail},{FAST}")
    assert made.values.shape[1:] == shape == SET.shape(params)


def test_fewer_frames_per_second(clip):
    every, few = faces(clip), faces(clip, f"fps=5,{FAST}")
    np.testing.assert_allclose(few.time_s, np.arange(len(few.time_s)) / 5, atol=0.021)
    assert len(few.time_s) == pytest.approx(len(every.time_s) / 5, abs=1)


def test_equalised_crops_use_all_levels(clip):
    grey, colour = faces(clip, f"equalise=true,{FAST}"), faces(clip, f"equalise=true,colour=true,{FAST}")
    for crop in (grey.values[0], cv2.cvtColor(colour.values[0], cv2.COLOR_RGB2GRAY)):
        assert np.ptp(np.percentile(crop, (2, 98))) > 200


def test_the_same_file_gives_the_same_crops(clip):
    for tail in (FAST, "detector=auto"):
        np.testing.assert_array_equal(faces(clip, tail).values, faces(clip, tail).values)


def test_a_part_of_a_file(clip):
    part = faces(Media(clip.path, 0.4, 0.8))
    np.testing.assert_allclose(part.time_s, np.arange(10) / 25, atol=1e-3)


def test_a_still(tmp_path):
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), scene(150, 110)[..., ::-1])
    made = faces(Media(path))
    assert made.values.shape == (1, 48, 48) and made.time_s.tolist() == [0.0]


def test_a_clip_without_a_face_is_told(tmp_path, monkeypatch):
    path = write_video(tmp_path / "none.mp4", [scene()] * 10)
    monkeypatch.setattr(follow, "centerface_installed", lambda: True)
    with pytest.raises(ClipFailure, match=r"no_face: Viola-Jones found no lasting face in 4 looks at 10 frames$"):
        faces(Media(path))
    monkeypatch.setattr(follow, "cnn_installed", lambda: False)
    monkeypatch.setattr(follow, "centerface_installed", lambda: False)
    with pytest.raises(ClipFailure, match=r"10 frames; CenterFace, which .* comes with the extra `faces`$"):
        faces(Media(path), "detector=auto")


@pytest.mark.parametrize("name", ["faces", "landmarks"])
def test_the_key_tells_which_detector_auto_means(name, tmp_path, monkeypatch):
    table = ClipTable((Clip("a", "a.mp4", "train", "x", "g"),), tmp_path)
    auto, plain = parse_spec(f"{name}:detector=auto"), parse_spec(f"{name}:detector=viola_jones")
    monkeypatch.setattr(follow, "centerface_installed", lambda: False)
    monkeypatch.setattr(follow, "cnn_installed", lambda: True)
    with_cnn = feature_key(auto, table)
    writer = set_writer(tmp_path, auto, table)
    writer.fail("a", ClipFailure("no_face", "none"))
    writer.finish()
    monkeypatch.setattr(follow, "cnn_installed", lambda: False)
    assert with_cnn != feature_key(auto, table) == feature_key(plain, table)
    with pytest.raises(EmofuseError, match="where it meant detector=auto, but here it means detector=viola_jones; run"):
        open_set(tmp_path, name, table)


def test_the_cnn_sees_what_viola_jones_does_not(tmp_path):
    pytest.importorskip("dlib", reason="needs the extra research")
    path = write_video(tmp_path / "tilted.mp4", [scene(160, 110, 0.8, 33)] * 15)
    with pytest.raises(ClipFailure, match="no_face"):
        faces(Media(path))
    assert len(faces(Media(path), "detector=auto").values) > 6


@pytest.mark.parametrize(
    "tail, said",
    [
        ("size=8", "expected a size from 16 to 512 pixels, but got 8"),
        ("fps=-1", r"expected fps of 0 \(every frame\) or more, but got -1"),
        ("detector=viola", "Unknown face detector 'viola'.*Did you mean 'viola_jones'"),
    ],
)
def test_parameters_that_cannot_be_meant(clip, tail, said):
    params = parse_spec(f"faces:{tail}").params
    for use in (lambda: SET.shape(params), lambda: SET.extract(clip, params)):
        with pytest.raises(WrongUse, match=said):
            use()


@pytest.mark.real_data
def test_real_clips_give_crops_or_a_reason(real_data):
    counts = {}
    for path in sorted(p for p in (real_data / "clips").iterdir() if p.suffix != ".md"):
        try:
            made = faces(Media(path), "detector=auto")
            assert made.values.shape == (len(made.time_s), 48, 48) and np.all(np.diff(made.time_s) > 0)
            counts[path.stem] = len(made.values)
        except ClipFailure as failure:
            counts[path.stem] = failure.status
    assert len(counts) == 25
    # The faces of vgaf_Test_1 are 40 pixels of 1280.
    small = set() if centerface_installed() else {"vgaf_Test_1"}
    assert {name for name, count in counts.items() if count == "no_face"} == {"no_face", *small}
    # The face leaves after 72 frames; one shot of three shows the singer; the talkers are seen in every frame.
    assert counts["face_noface"] == 72 and counts["short_hamilton_clip"] == pytest.approx(129, abs=5)
    assert counts["bbaf2n"] == 75 and counts["01-01-01-01-01-01-01"] == 98 and counts["WolfgangLanger_Pexels"] > 450
