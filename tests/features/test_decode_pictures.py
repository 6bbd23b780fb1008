"""How a picture is shown: orientation, square pixels, black; against Pillow, FFmpeg's filters and formulas."""

from fractions import Fraction
from itertools import product

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from face_pictures import scene
from media_files import grey_steps, write_video
from PIL import Image, ImageOps

from features.decode import video_frames
from features.decode.stills import read_still
from features.errors import ClipFailure
from features.faces.detect import ViolaJones
from features.sets import Media

# Display matrices (a, b, c, d) and the filters by which FFmpeg shows a picture that has one.
MATRICES = {
    (1, 0, 0, 1): "null",
    (-1, 0, 0, 1): "hflip",
    (1, 0, 0, -1): "vflip",
    (-1, 0, 0, -1): "hflip,vflip",
    (0, 1, -1, 0): "transpose=clock",
    (0, -1, 1, 0): "transpose=cclock",
    (0, 1, 1, 0): "transpose=cclock_flip",
    (0, -1, -1, 0): "transpose=clock_flip",
}


def corners(height=48, width=64):
    """A picture that looks different in each of the eight orientations."""
    image = np.full((height, width, 3), 60, np.uint8)
    image[: height // 2, : width // 2] = 250
    image[: height // 2, width // 2 :] = 180
    image[height // 2 :, : width // 2] = 120
    return image


def first(path, **options):
    return next(video_frames(Media(path), **options))[1]


def filtered(path, filters, pixels="rgb24"):
    """The first frame behind FFmpeg's own filters."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        nodes = [graph.add_buffer(template=stream)]
        for text in [*filters.split(","), f"format={pixels}"]:
            name, _, arguments = text.partition("=")
            nodes.append(graph.add(name, arguments))
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        graph.push(next(container.decode(stream)))
        return graph.pull().to_ndarray()


def with_matrix(path, a, b, c, d):
    """Write the matrix into the track header, as phones do."""
    data = path.read_bytes()
    at = data.index(b"tkhd") + 44
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data[:at] + matrix + data[at + 36 :])
    return path


@pytest.mark.parametrize(("matrix", "filters"), MATRICES.items())
def test_the_eight_display_matrices_are_shown_as_ffmpeg_does(tmp_path, matrix, filters):
    path = with_matrix(write_video(tmp_path / "a.mp4", [corners()] * 2), *matrix)
    np.testing.assert_allclose(first(path).astype(int), filtered(path, filters), atol=2)
    np.testing.assert_allclose(first(path, gray=True).astype(int), filtered(path, filters, "gray"), atol=2)


@pytest.mark.parametrize(("orientation", "ending"), product(range(1, 9), ("jpg", "png", "webp", "tif")))
def test_the_eight_exif_orientations_are_shown_as_pillow_does(tmp_path, orientation, ending):
    path, exif = tmp_path / f"a.{ending}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners()).save(path, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(path))
    np.testing.assert_array_equal(first(path), expected.convert("RGB"))
    np.testing.assert_array_equal(first(path, gray=True), expected.convert("L"))
    assert max(first(path, max_side=32).shape) == 32


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixels_gives_the_same_picture(tmp_path, mode):
    ending = "jpg" if mode == "CMYK" else "png"
    image = Image.fromarray(np.kron([[255, 0], [0, 255]], np.ones((16, 16))).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / f"a.{ending}")
    for pixels in (first(tmp_path / f"a.{ending}"), first(tmp_path / f"a.{ending}", gray=True)):
        assert pixels.dtype == np.uint8 and pixels[4, 4].min() > 250 and pixels[4, 24].max() < 5


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_picture_that_is_cut_off_is_unreadable(tmp_path, kind, options, share):
    path = tmp_path / "a"
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(path, kind, **options)
    assert read_still(path) is not None
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    with pytest.raises(ClipFailure, match=r"^unreadable: ") as caught:
        first(path)
    if kind == "JPEG":
        assert "a JPEG picture that is cut off or damaged (image file is truncated" in str(caught.value)


def test_bytes_after_a_picture_do_not_matter(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), corners())
    whole = first(tmp_path / "a.png")
    with (tmp_path / "a.png").open("ab") as file:
        file.write(b"a phone's notes")
    np.testing.assert_array_equal(first(tmp_path / "a.png"), whole)


def test_a_moving_gif_is_a_video_and_a_still_one_a_picture(tmp_path):
    frames = [Image.fromarray(image) for image in grey_steps(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert [round(t, 2) for t, _ in video_frames(Media(tmp_path / "a.gif"))] == [0.0, 0.1, 0.2]
    frames[0].save(tmp_path / "b.gif")
    assert first(tmp_path / "b.gif").shape == (48, 64, 3)


def write_pixels(path, image, aspect, codec="libx264"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv420p", Fraction(aspect)
        for _ in range(3):
            container.mux(stream.encode(VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("aspect", ["2/1", "4/3", "16/15", "10/11", "1/2"])
@pytest.mark.parametrize(("codec", "ending"), [("libx264", "mp4"), ("libx264", "mkv"), ("mpeg4", "avi")])
def test_pixels_are_made_square_as_by_ffmpeg(tmp_path, aspect, codec, ending):
    path = write_pixels(tmp_path / f"a.{ending}", corners(96, 128), aspect, codec)
    expected = filtered(path, f"setsar={aspect},scale=iw*sar:ih", "gray")
    assert first(path).shape == (*expected.shape, 3)
    assert np.abs(first(path, gray=True).astype(int) - expected).mean() < 2
    assert np.abs(first(path)[..., 1].astype(int) - expected).mean() < 4
    longest = max(expected.shape)
    assert first(path, max_side=64).shape[:2] == tuple(round(side * 64 / longest) for side in expected.shape)


def test_wide_pixels_of_a_turned_picture(tmp_path):
    path = with_matrix(write_pixels(tmp_path / "a.mp4", corners(96, 128), "3/2"), 0, 1, -1, 0)
    assert first(path).shape == (192, 96, 3) and first(path, gray=True).shape == (192, 96)


def test_an_aspect_that_no_camera_has_is_left_out(tmp_path):
    assert first(write_pixels(tmp_path / "a.mp4", corners(), "60/1")).shape == (48, 64, 3)


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2)])
def test_faces_in_stretched_pixels_are_found_where_they_are(tmp_path, aspect):
    upright = scene(160.0)
    stored = cv2.resize(upright, (int(320 / aspect), 240), interpolation=cv2.INTER_AREA)
    path = write_pixels(tmp_path / "a.mp4", stored, aspect)
    expected = ViolaJones()(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY))[0]
    found = ViolaJones()(first(path, gray=True))[0]
    assert found.apart(expected) < 0.1 and found.side == pytest.approx(expected.side, rel=0.1)


def write_luma(path, codec, pixels, full):
    """Every luma from 0 to 255, without a loss."""
    luma = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16), 8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt, stream.codec_context.color_range = pixels, 2 if full else 1
        frame = VideoFrame(128, 128, pixels)
        bits = frame.format.components[0].bits
        for at, plane in enumerate(frame.planes):
            kind = np.dtype(np.uint16 if bits > 8 else np.uint8)
            rows = np.full((plane.height, plane.line_size // kind.itemsize), 1 << (bits - 1), kind)
            if at == 0:
                rows[:, :128] = luma.astype(rows.dtype) << (bits - 8)
            plane.update(rows.tobytes())
        frame.color_range = 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return luma, path


@pytest.mark.parametrize(
    ("pixels", "full"),
    [
        ("yuv420p", False),
        ("yuv420p", True),
        ("yuv444p", False),
        ("yuv422p10le", False),
        ("yuv422p10le", True),
        ("yuv420p10le", False),
        ("gray", True),
        ("gray10le", True),
    ],
)
@pytest.mark.parametrize("max_side", [None, 64])
def test_grey_is_full_range_and_cut_at_black_and_white(tmp_path, pixels, full, max_side):
    luma, path = write_luma(tmp_path / "a.mkv", "ffv1", pixels, full)
    expected = luma.astype(float) if full else np.clip((luma - 16.0) * 255 / 219, 0, 255)
    if max_side:
        expected = expected.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(first(path, gray=True, max_side=max_side), expected, atol=2)
    np.testing.assert_allclose(first(path, max_side=max_side)[..., 1], expected, atol=4)


@pytest.mark.real_data
def test_real_cases_are_shown_as_ffmpeg_and_pillow_do(real_data):
    cases = real_data / "cases"
    np.testing.assert_array_equal(first(cases / "m_hflip.mp4"), filtered(cases / "m_hflip.mp4", "hflip"))
    np.testing.assert_array_equal(first(cases / "m_rot90.mp4"), filtered(cases / "m_rot90.mp4", "transpose=clock"))
    for n in (1, 2, 4):
        path = cases / f"exif{n}.jpg"
        np.testing.assert_array_equal(first(path), ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert first(cases / "sar4_3.mp4").shape == (480, 640, 3)
    assert first(cases / "ramp.mkv", gray=True)[:, :8].max() == 0
