import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from features.audio import short_term, speech
from features.audio.short_term import short_term_features
from features.errors import ClipFailure
from features.sets import Media, get_set

EPS = np.finfo(float).eps
N = 800


def entropy_of_tenths(x):
    size, total = len(x) // 10, sum(v * v for v in x)
    shares = [sum(v * v for v in x[i * size : (i + 1) * size]) / (total + EPS) for i in range(10)]
    return -sum(s * math.log2(s + EPS) for s in shares)


def mfcc(magnitude):
    hz = [133.33 + 200 / 3 * i for i in range(13)]
    while len(hz) < 42:
        hz.append(hz[-1] * 1.0711703)
    logs = []
    for low, centre, high in zip(hz, hz[1:], hz[2:], strict=False):
        total = 0.0
        for i in range(N):
            f = i / N * 16000
            if low < f <= centre:
                total += magnitude[i] * 2 / (high - low) * (f - low) / (centre - low)
            elif centre < f < high:
                total += magnitude[i] * 2 / (high - low) * (high - f) / (high - centre)
        logs.append(math.log10(total + EPS))
    scale = [math.sqrt(1 / 40)] + [math.sqrt(2 / 40)] * 12
    waves = [[math.cos(math.pi * k * (2 * i + 1) / 80) for i in range(40)] for k in range(13)]
    return [a * sum(v * w for v, w in zip(logs, wave, strict=True)) for a, wave in zip(scale, waves, strict=True)]


def chroma(magnitude):
    semitone = [round(12 * math.log2((i + 1) * 10 / 27.5)) for i in range(N)]
    slots = [0.0] * N
    for i, s in enumerate(semitone):
        slots[s] = magnitude[i] ** 2
    slots = [v / semitone.count(semitone[semitone[i]]) for i, v in enumerate(slots)]
    total = sum(v * v for v in magnitude)
    return [sum(slots[c::12]) / (total or EPS) for c in range(12)]


def one_frame(x, previous):
    magnitude = [float(v) for v in np.abs(np.fft.fft(x))[:N] / N]
    previous = magnitude if previous is None else previous
    position = [(i + 1) / N for i in range(N)]
    total = sum(magnitude)
    centroid = sum(p * m for p, m in zip(position, magnitude, strict=True)) / total
    spread = math.sqrt(sum((p - centroid) ** 2 * m for p, m in zip(position, magnitude, strict=True)) / total)
    flux = sum((m / total - p / sum(previous)) ** 2 for m, p in zip(magnitude, previous, strict=True))
    energies = np.cumsum([m * m for m in magnitude])
    roll_off = next(i for i, e in enumerate(energies) if e > 0.9 * energies[-1]) / N
    crossings = sum(abs(np.sign(b) - np.sign(a)) for a, b in pairwise(x)) / 2 / (len(x) - 1)
    pitch = chroma(magnitude)
    row = [crossings, sum(v * v for v in x) / len(x), entropy_of_tenths(x), centroid, spread]
    row += [entropy_of_tenths(magnitude), flux, roll_off, *mfcc(magnitude), *pitch, np.std(pitch)]
    return row, magnitude


def slow(signal):
    x = signal.astype(float)
    x -= x.mean()
    x /= abs(x).max()
    rows, previous = [], None
    for start in range(0, len(x) - 1599, 800):
        row, previous = one_frame(x[start : start + 1600], previous)
        rows.append(row)
    return rows


@pytest.mark.parametrize("kind", ["noise", "glide", "pause"])
def test_agrees_with_the_formulas_frame_by_frame(kind):
    t, noise = np.arange(4000) / 16000, np.random.default_rng(1).normal(0, 0.2, 4000)
    signal = {
        "noise": noise,
        "glide": np.sin(2 * np.pi * (200 * t + 4000 * t**2)) + 0.1,
        "pause": np.where(t < 0.1, np.sin(2 * np.pi * 440 * t), 0) + 1e-3 * noise,
    }[kind].astype(np.float32)
    np.testing.assert_allclose(short_term_features(signal), slow(signal), rtol=1e-4, atol=1e-6)


def test_windows_of_100_ms_overlap_by_half(monkeypatch):
    assert [len(short_term_features(np.ones(n, np.float32))) for n in (1600, 2399, 2400, 16000)] == [1, 1, 2, 19]
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: np.ones(3200, np.float32))
    array = get_set("short_term").extract(Media(Path("x")), {})
    assert array.values.shape[1:] == short_term.SET.shape({}) == (34,)
    np.testing.assert_allclose(array.time_s, [0.05, 0.1, 0.15])


@pytest.mark.parametrize("signal", [np.zeros(4000), np.ones(4000), np.eye(1, 4000, 7)[0]], ids=["zero", "dc", "click"])
def test_degenerate_sound_stays_finite(signal):
    assert np.isfinite(short_term_features(signal.astype(np.float32))).all()


def test_short_sound_is_a_failed_clip(monkeypatch):
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: np.ones(800, np.float32))
    with pytest.raises(ClipFailure, match=r"too_short: its sound lasts 0.050 s"):
        short_term.extract(Media(Path("x")), {})
