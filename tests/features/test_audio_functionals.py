from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audio import speech
from features.audio.contours import SPECTRAL_NAMES, contours
from features.audio.functionals import FUNCTIONALS, SET, functionals, names, speech_functionals
from features.errors import ClipFailure
from features.sets import Media

RATE = 16000


def voice(hz, length_s, loud=0.1):
    t = np.arange(int(length_s * RATE)) / RATE
    return (loud * sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 12))).astype(np.float32)


def named(signal):
    return dict(zip(names(), speech_functionals(signal).tolist(), strict=True))


def test_the_list_of_names_is_the_documented_921():
    assert len(names()) == len(set(names())) == SET.shape({})[0] == 921
    assert len(SPECTRAL_NAMES) == 41


@pytest.mark.parametrize("hz", [90, 220, 440])
def test_pitch_of_a_voice_is_found(hz):
    numbers = named(voice(hz, 0.6))
    assert numbers["pitch_p50"] == pytest.approx(12 * np.log2(hz / 55), abs=0.2)
    assert numbers["voiced_share"] > 0.9


def test_a_louder_higher_voice_is_told_apart():
    calm, excited = named(voice(120, 0.5)), named(voice(250, 0.5, loud=0.4))
    assert all(excited[name] > calm[name] for name in ("loudness_mean", "pitch_mean", "centroid_mean"))


def test_pauses_and_silence_around_the_words():
    quiet, word = np.zeros(4800, np.float32), voice(150, 0.3)
    numbers = named(np.concatenate([quiet, word, quiet, word, quiet]))
    assert numbers["pause_mean_s"] == pytest.approx(0.3, abs=0.04)
    assert numbers["voiced_mean_s"] == pytest.approx(0.3, abs=0.04)
    assert numbers["voiced_runs_per_s"] == pytest.approx(2 / 1.5, rel=0.02)
    assert np.exp(numbers["log_active_duration"]) == pytest.approx(0.6, abs=0.1)
    assert numbers["mfcc_1_mean"] == pytest.approx(named(np.concatenate([word, word]))["mfcc_1_mean"], rel=0.2)


def test_functionals_against_scipy():
    x = np.random.default_rng(0).gamma(2, size=(3, 200))
    s, k = scipy.stats.skew(x, axis=1), scipy.stats.kurtosis(x, axis=1, fisher=False)
    expected = np.column_stack(
        [
            *(x.mean(1), x.std(1), np.sign(s) * np.log1p(abs(s)), np.log(k + 1e-3)),
            *np.percentile(x, [5, 25, 50, 75, 95], axis=1),
        ]
    )
    assert len(FUNCTIONALS) == 10
    np.testing.assert_allclose(functionals(x)[:, :9], expected, rtol=1e-4)
    rising = np.linspace(0, 6, 500)[None]
    assert functionals(rising)[0, 9] == pytest.approx(6 / 12, rel=0.01)
    assert functionals(-rising)[0, 9] == pytest.approx(-6 / 12, rel=0.01)


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(["zero", "dc", "click", "noise", "faint", "clipped", "half"]),
    length=st.integers(1600, 9000),
    seed=st.integers(0, 99),
)
def test_never_nan(kind, length, seed):
    noise = np.random.default_rng(seed).normal(0, 1, length)
    signal = {
        "zero": np.zeros(length),
        "dc": np.full(length, 0.5),
        "click": np.eye(1, length, seed)[0],
        "noise": noise * 0.2,
        "faint": noise * 1e-7,
        "clipped": np.sign(noise),
        "half": np.where(np.arange(length) < length // 2, 0, noise),
    }[kind].astype(np.float32)
    numbers = speech_functionals(signal)
    assert numbers.shape == (921,)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()


def test_contours_have_one_value_per_10_ms():
    c = contours(voice(200, 0.5))
    assert c.spectral.shape == (41, 51)
    assert c.semitones.shape == c.active.shape == c.voiced.shape == (51,)


def test_extract_through_the_set(monkeypatch):
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: voice(200, 0.3))
    assert SET.extract(Media(Path("x")), {}).values.shape == (1, 921)
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: voice(200, 0.05))
    with pytest.raises(ClipFailure, match=r"too_short: its sound lasts 0.050 s, but audio features need 0.1 s"):
        SET.extract(Media(Path("x")), {})
