from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.audio import contours, short_term, yaafe_like
from features.audio.functionals import speech_functionals
from features.audio.pieces import pieces
from features.audio.yaafe import envelope


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 9))
def test_every_window_is_kept_once_in_order_with_its_neighbours(count, size, margin):
    windows = np.arange(count)
    parts = list(pieces(count, size, margin))
    np.testing.assert_array_equal(np.concatenate([windows[computed][kept] for computed, kept in parts]), windows)
    for computed, kept in parts:
        assert kept.start == min(margin, computed.start + kept.start) and kept.stop - kept.start <= size
        assert len(windows[computed]) - kept.stop == min(margin, count - computed.start - kept.stop)


def signal(seconds):
    t = np.arange(round(seconds * 16000)) / 16000
    voice = np.sin(2 * np.pi * (150 + 30 * np.sin(t)) * t) * (np.sin(2 * t) > -0.3)
    return (0.3 * voice + np.random.default_rng(0).normal(0, 0.01, t.size)).astype(np.float32)


@pytest.mark.parametrize(
    ("features", "sizes"),
    [
        (speech_functionals, [(contours, 97)]),
        (short_term.short_term_features, [(short_term, 13)]),
        # Which of two equal peaks is the higher hangs on the last bit.
        (partial(yaafe_like.yaafe_features, peaks=False), [(yaafe_like, 31), (envelope, 2)]),
    ],
    ids=["functionals", "short_term", "yaafe_like"],
)
def test_pieces_give_what_the_whole_gives(monkeypatch, features, sizes):
    x = signal(5.03)
    whole = features(x)
    for module, size in sizes:
        monkeypatch.setattr(module, "_PIECE", size)
    np.testing.assert_allclose(features(x), whole, rtol=1e-5, atol=1e-5)
