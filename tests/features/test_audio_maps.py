from pathlib import Path

import numpy as np
import pytest

from features.audio import speech
from features.audio.maps import audio_maps
from features.sets import Media, get_set


@pytest.mark.parametrize(("n", "maps"), [(1, 1), (33, 1), (34, 1), (35, 2), (51, 2), (52, 3), (68, 3), (69, 4)])
def test_the_padding_rules(n, maps):
    rows = np.random.default_rng(n).normal(size=(n, 34)).astype(np.float32)
    made = audio_maps(rows)
    assert made.shape == (maps, 34, 34)
    for k, square in enumerate(made):
        for column in range(34):
            np.testing.assert_array_equal(square[:, column], rows[min(17 * k + column, n - 1)])


def test_through_the_set(monkeypatch):
    noise = np.random.default_rng(0).normal(0, 0.1, 30400).astype(np.float32)
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: noise)
    array = get_set("audio_maps").extract(Media(Path("x")), {})
    short = get_set("short_term").extract(Media(Path("x")), {})
    assert len(short.values) == 37 and array.values.dtype == np.float32
    assert array.values.shape == (2, *get_set("audio_maps").shape({})) == (2, 34, 34)
    np.testing.assert_array_equal(array.values[1, :, :20], short.values[17:].T)
    # The second map's last 14 columns repeat the last window, at 1.85 s.
    np.testing.assert_allclose(array.time_s, [0.875, (sum(short.time_s[17:]) + 14 * 1.85) / 34], rtol=1e-6)
