"""Recordings made out of nothing, whose emotion changes."""

import numpy as np
import pytest

from features.clips import check_clips
from features.datasets import read_dataset
from features.datasets.synthetic import make_recordings
from features.decode import read_audio, video_frames
from features.errors import WrongUse

SMALL = {"train_actors": 1, "val_actors": 1, "test_actors": 1, "duration_s": (4.0, 6.0), "workers": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp("recordings"), seed=1, **SMALL)


def test_they_are_annotated_every_100_ms(table):
    check_clips(table)
    assert [(clip.clip_id, clip.split, clip.label) for clip in table.clips] == [
        ("r01_01", "train", None),
        ("r02_01", "val", None),
        ("r03_01", "test", None),
    ]
    for clip in table.clips:
        time_s, values = table.annotations.series[clip.clip_id]
        frames = list(video_frames(table.media(clip)))
        assert len(read_audio(table.media(clip), 16_000)) / 16_000 == pytest.approx(len(frames) / 25, abs=0.2)
        assert len(time_s) == pytest.approx(len(frames) / 2.5, abs=1)
        np.testing.assert_allclose(np.diff(time_s), 0.1)
        assert np.abs(values).max() < 1.2 and np.ptp(values, axis=0).max() > 0.2
        assert np.abs(np.diff(values, axis=0)).max() < 0.6, "one emotion passes over into the next"


def test_the_same_seed_gives_the_same(table, tmp_path):
    again = make_recordings(tmp_path, seed=1, **SMALL)
    assert again.fingerprint == table.fingerprint
    assert again.annotations.fingerprint == table.annotations.fingerprint


def test_the_adapter_and_its_mistakes(tmp_path):
    with pytest.raises(WrongUse, match=r"A recording lasts a second or more, but got 0.45 to 0.55 s"):
        read_dataset("synthetic_recordings", tmp_path, seconds=0.5)
    with pytest.raises(WrongUse, match="at least one actor in train and in val"):
        read_dataset("synthetic_recordings", tmp_path, val_actors=0)
