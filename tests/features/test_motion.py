from pathlib import Path

import numpy as np
import pytest

from features import motion
from features.errors import ClipFailure, WrongUse
from features.motion import motion_blocks, tiles
from features.sets import Media, get_set, parse_spec


def video(length, height=40, width=56, seed=0):
    pictures = np.random.default_rng(seed).integers(0, 256, (length, height, width), np.uint8)
    return pictures, zip(np.arange(length) / 25, pictures, strict=True)


def test_tiles_are_cubes_of_the_picture():
    pictures, _ = video(10)
    rows = tiles(pictures)
    assert rows.shape == (2 * 3, 2560)
    np.testing.assert_array_equal(rows[4].reshape(10, 16, 16), pictures[:, 16:32, 16:32])


def test_every_cube_without_a_limit():
    pictures, frames = video(47)
    blocks, times = motion_blocks(frames, 0)
    assert blocks.dtype == np.uint8 and len(blocks) == 4 * 6
    np.testing.assert_array_equal(blocks, np.concatenate([tiles(pictures[i : i + 10]) for i in (0, 10, 20, 30)]))
    np.testing.assert_allclose(times, np.repeat([0.18, 0.58, 0.98, 1.38], 6))


@pytest.mark.parametrize(("length", "tens"), [(1, 1), (3, 1), (5, 1), (9, 1), (10, 2), (11, 1), (20, 2)])
def test_short_videos_follow_themselves(length, tens):
    pictures, frames = video(length)
    blocks, _ = motion_blocks(frames, 0)
    assert len(blocks) == tens * 6
    # 16 x 16 numbers per frame; the fifth frame of the first cube
    np.testing.assert_array_equal(blocks[0].reshape(10, 16, 16)[4], pictures[4 % length, :16, :16])


def test_a_limit_thins_out_evenly_and_always_alike():
    _, frames = video(100, 96, 96)
    every, _ = motion_blocks(frames, 0)
    chosen, times = motion_blocks(video(100, 96, 96)[1], 90)
    assert chosen.shape == (90, 2560) and np.all(np.diff(times) >= 0)
    positions = [int(np.flatnonzero((every == block).all(axis=1))[0]) for block in chosen]
    assert positions == sorted(set(positions))
    assert np.all(np.histogram(positions, 3, (0, 360))[0] > 15)
    again, _ = motion_blocks(video(100, 96, 96)[1], 90)
    np.testing.assert_array_equal(chosen, again)
    other, _ = motion_blocks(video(100, 96, 96, seed=1)[1], 90)
    assert not np.array_equal(chosen, other)


def test_a_picture_that_changes_its_size():
    pictures, _ = video(20)
    blocks, _ = motion_blocks(iter([(0.0, p if i < 10 else p[:20, :28]) for i, p in enumerate(pictures)]), 0)
    assert len(blocks) == 12


def test_through_the_set(monkeypatch):
    asked = {}
    monkeypatch.setattr(motion, "video_frames", lambda media, **options: asked.update(options) or video(30)[1])
    spec = parse_spec("motion_blocks:max_blocks=5,fps=12.5,max_side=320")
    array = get_set("motion_blocks").extract(Media(Path("x")), spec.params)
    assert array.values.shape == (5, *get_set("motion_blocks").shape(spec.params)) == (5, 2560)
    assert asked == {"every_s": 0.08, "max_side": 320, "gray": True}


def test_mistakes_are_told(monkeypatch):
    with pytest.raises(ClipFailure, match="unreadable: its picture is 12x40 pixels, but motion blocks need 16x16"):
        motion_blocks(video(10, 40, 12)[1], 0)
    with pytest.raises(WrongUse, match="'motion_blocks': expected max_blocks of 0 or more, but got -1"):
        get_set("motion_blocks").shape(parse_spec("motion_blocks:max_blocks=-1").params)


@pytest.mark.real_data
def test_real_clips(real_data):
    params = parse_spec("motion_blocks:max_blocks=300").params
    for name in ("bbaf2n.mpg", "vgaf_Test_10.mp4", "01-01-01-01-01-01-01.mp4"):
        array = get_set("motion_blocks").extract(Media(real_data / "clips" / name), params)
        assert array.values.shape == (300, 2560) and array.values.std() > 10
