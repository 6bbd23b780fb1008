"""Time stamps: they strictly grow whatever the file says, and AVI gives those of the same stream in MP4."""

from itertools import islice

import av
import numpy as np
import pytest
from media_files import grey_steps, write_video

from features.decode import video_frames
from features.sets import Media

_B = {"bf": "3", "b_strategy": "0", "x264-params": "b-pyramid=normal"}


def remuxed(source, target, change=lambda packet, at: None, **options):
    """The packets of `source` in another file, in which `change` may alter their stamps."""
    with av.open(str(source)) as read, av.open(str(target), "w", **options) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        at = 0
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                change(packet, at)
                packet.stream = stream
                written.mux(packet)
                at += 1
    return target


def read(path, *times):
    """(times, index of each picture)"""
    frames = list(video_frames(Media(path, *times), gray=True))
    return [t for t, _ in frames], [round((image.mean() - 4) / 9) for _, image in frames]


def write_b(path):
    """25 frames with three B-frames in a row, each of a brightness of its own."""
    images = [np.full((48, 64, 3), 4 + 9 * i, np.uint8) for i in range(25)]
    return write_video(path, images, options={**_B, "g": "10"})


@pytest.fixture
def with_b(tmp_path):
    return write_b(tmp_path / "b.mp4")


def test_avi_with_b_frames_has_the_stamps_of_mp4(with_b, tmp_path):
    avi = write_b(tmp_path / "b.avi")
    with av.open(str(avi)) as container:
        pts = [frame.pts for frame in islice(container.decode(video=0), 8)]
    assert pts != sorted(set(pts))  # else the case says nothing
    assert read(avi)[0] == pytest.approx([i / 25 for i in range(25)], abs=1e-6)
    assert read(avi)[1] == read(with_b)[1] == list(range(25))
    for times in ((0.4, 0.8), (0.5, None), (0.0, 0.2)):
        assert read(avi, *times)[0] == pytest.approx(read(with_b, *times)[0], abs=1e-6)
        assert read(avi, *times)[1] == read(with_b, *times)[1]


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("mpeg4", {}),
        ("mpeg4", {"bf": "2"}),
        ("libx264", {"bf": "0"}),
        ("libx264", {**_B, "refs": "1"}),
        ("ffv1", {}),
    ],
)
def test_every_codec_in_avi_is_evenly_spaced_from_the_start(tmp_path, codec, options):
    avi = write_video(tmp_path / "a.avi", grey_steps(20), codec=codec, options=options)
    times, _ = read(avi)
    assert times == pytest.approx([i / 25 for i in range(20)], abs=1e-3)


def test_stamps_in_decoding_order_are_put_right(with_b, tmp_path):
    # As programs write that take AVI's packets over into another container.
    def in_order(packet, at):
        packet.pts = packet.dts

    mkv = remuxed(with_b, tmp_path / "b.mkv", in_order)
    times, pictures = read(mkv)
    assert pictures == list(range(25))
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=2e-3)


def test_a_raw_stream_without_stamps_has_the_constant_rate(with_b, tmp_path):
    times, pictures = read(remuxed(with_b, tmp_path / "b.h264", format="h264"))
    assert pictures == list(range(25))
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=1e-3)


def test_a_repeated_stamp_makes_no_later_frame_late(tmp_path):
    path = write_video(tmp_path / "a.mkv", grey_steps(20), options={"bf": "0"})

    def repeat(packet, at):
        if at == 10:
            packet.pts = packet.dts = packet.pts - 40

    times, _ = read(remuxed(path, tmp_path / "b.mkv", repeat))
    assert np.all(np.diff(times) > 0)
    assert [times[i] for i in (9, 10, 11, 19)] == pytest.approx([0.36, 0.36, 0.44, 0.76], abs=2e-3)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "avi", "ts", "flv", "mpg", "h264", "nut"])
@pytest.mark.parametrize("start_s", [0.0, 0.3])
def test_stamps_grow_in_every_container(with_b, tmp_path, ending, start_s):
    if ending == "mpg":
        path = write_video(tmp_path / "c.mpg", grey_steps(25), codec="mpeg1video")
    else:
        path = write_b(tmp_path / "c.avi") if ending == "avi" else remuxed(with_b, tmp_path / f"c.{ending}")
    times, _ = read(path, start_s)
    assert np.all(np.diff(times) > 0) and times[0] >= 0
    assert len(times) == pytest.approx(25 - 25 * start_s, abs=1)


@pytest.mark.real_data
def test_a_real_avi_has_the_stamps_of_its_mp4(real_data):
    times = [[t for t, _ in video_frames(Media(real_data / "cases" / f"h264_b3.{e}"))] for e in ("avi", "mp4")]
    assert len(times[0]) == 750
    np.testing.assert_allclose(*times, atol=1e-6)
