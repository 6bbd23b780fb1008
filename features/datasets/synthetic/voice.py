"""Speaks syllables without words: pulses of the glottis and breath, shaped by the resonances of a vocal tract."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from features.datasets.synthetic.emotions import VOICE_PARTS

SAMPLE_RATE = 16_000
_BLOCK = 80  # samples (5 ms) between two values of the slow curves

# First three formants in Hz of a, e, i, o, u, for a low adult voice (the vowel charts' usual round numbers).
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (280, 2250, 2900), (570, 840, 2410), (310, 870, 2250))
_BANDWIDTHS = (80, 100, 140, 220)
_FOURTH_FORMANT = 3500


@dataclass(frozen=True)
class Timbre:
    """One actor's voice: pitch in Hz at rest, length of the vocal tract (1 = adult, low), habits of speech.

    `rest` (8,) is how the actor's neutral voice differs from others', in the order of VOICE_PARTS.
    """

    pitch_hz: float
    formant_scale: float
    rest: np.ndarray


def draw_timbre(rng: np.random.Generator, *, low_voice: bool) -> Timbre:
    """A new actor's voice."""
    pitch = rng.uniform(105, 130) if low_voice else rng.uniform(165, 200)
    scale = rng.uniform(0.96, 1.04) if low_voice else rng.uniform(1.12, 1.20)
    return Timbre(pitch, scale, 0.06 * rng.standard_normal(len(VOICE_PARTS)))


def speak(timbre: Timbre, parts: np.ndarray, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Speech as `parts` (8,) colour it: S = `samples` float32 (S,) at SAMPLE_RATE, and their loudness (S,) 0..1."""
    part = dict(zip(VOICE_PARTS, parts + timbre.rest, strict=True))
    syllables = _syllables(samples / SAMPLE_RATE, part["tempo"], rng)
    envelope = _envelope(samples, syllables)
    glottis = _glottis(_pitch_hz(samples, syllables, timbre, part, rng), part["brightness"])
    breath = 0.06 * 4 ** (2 * part["breath"]) * rng.standard_normal(samples)
    source = (glottis + breath) * envelope
    voice = _vocal_tract(source, syllables, timbre.formant_scale, rng) + _consonants(samples, syllables, rng)
    voice /= np.sqrt(np.mean(voice**2)) + 1e-9
    level_db = -26 + 9 * part["loudness"] + rng.normal(0, 1.5)  # the last: nearer to or farther from the microphone
    room = _room_noise(samples, rng) * 10 ** (rng.uniform(-58, -46) / 20)
    heard = voice * 10 ** (level_db / 20) + room
    return np.clip(heard, -0.98, 0.98).astype(np.float32), envelope


def _syllables(duration_s: float, tempo: float, rng: np.random.Generator) -> np.ndarray:
    """(K, 3): each syllable's start and end in seconds, and its stress 0..1; phrases with a pause between them."""
    rate = 4.2 * 2 ** (0.85 * tempo)
    now = rng.uniform(0.08, 0.25)
    rows: list[tuple[float, float, float]] = []
    while True:
        length = rng.uniform(0.75, 1.25) / rate
        if now + length > duration_s - 0.06 and rows:
            return np.array(rows)
        rows.append((now, min(now + 0.82 * length, duration_s), rng.uniform(0.3, 1.0)))
        now += length + (rng.uniform(0.1, 0.25) * 2 ** (-0.5 * tempo) if rng.random() < 0.08 else 0)


def _envelope(samples: int, syllables: np.ndarray) -> np.ndarray:
    time_s = np.arange(samples) / SAMPLE_RATE
    envelope = np.zeros(samples)
    for start, end, stress in syllables:
        inside = np.clip((time_s - start) / (end - start), 0, 1)
        envelope = np.maximum(envelope, (0.45 + 0.55 * stress) * np.sin(np.pi * inside) ** 0.7)
    return envelope


def _pitch_hz(
    samples: int, syllables: np.ndarray, timbre: Timbre, part: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """The melody (S,): a line over the phrase, an accent on each stressed syllable, tremor and jitter."""
    time_s = np.arange(0, samples, _BLOCK) / SAMPLE_RATE
    place = time_s / time_s[-1]
    spread = 3.2 * 2 ** (1.3 * part["range"])  # semitones
    semitones = 9.0 * part["pitch"] + (-1.5 + 8.0 * part["slope"]) * (place - 0.5)
    for start, end, stress in syllables:
        off_centre = (time_s - (start + end) / 2) / (0.6 * (end - start))
        semitones += spread * (stress - 0.5) * np.exp(-(off_centre**2))
    tremor = np.clip(part["tremor"], 0, 1.5)
    semitones += 1.4 * tremor * np.sin(2 * np.pi * rng.uniform(6, 8) * time_s + rng.uniform(0, 6))
    semitones += (0.12 + 0.6 * tremor) * rng.standard_normal(len(time_s))
    hertz = np.clip(timbre.pitch_hz * 2 ** (semitones / 12), 60, 600)
    return np.interp(np.arange(samples), np.arange(0, samples, _BLOCK), hertz)


def _glottis(pitch_hz: np.ndarray, brightness: float) -> np.ndarray:
    """The air's flow changes (S,): one pulse a period; a pressed, bright voice closes faster than a soft one."""
    phase = np.cumsum(pitch_hz / SAMPLE_RATE) % 1.0
    open_share, close_share = 0.45, 0.18 * 2 ** (-0.9 * brightness)
    opening = 0.5 - 0.5 * np.cos(np.pi * np.clip(phase / open_share, 0, 1))
    closing = np.cos(0.5 * np.pi * np.clip((phase - open_share) / close_share, 0, 1))
    flow = np.diff(opening * closing, prepend=0.0)
    flow = flow + 2 ** (1.8 * brightness) * np.diff(flow, prepend=0.0)
    damp = np.clip(0.45 - 0.40 * brightness, 0.0, 0.85)
    flow = lfilter([1 - damp], [1, -damp], flow)
    return flow / (np.std(flow) + 1e-9)


def _vocal_tract(source: np.ndarray, syllables: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Each syllable's stretch of `source` (S,) through the resonators of its vowel, faded over into the next."""
    spoken, fade = np.zeros_like(source), round(0.02 * SAMPLE_RATE)
    for start, end, _ in syllables:
        first, last = max(0, round(start * SAMPLE_RATE) - fade), min(len(source), round(end * SAMPLE_RATE) + fade)
        vowel = (*_VOWELS[rng.integers(len(_VOWELS))], _FOURTH_FORMANT)
        piece = source[first:last]
        for formant, bandwidth in zip(vowel, _BANDWIDTHS, strict=True):
            piece = _resonate(piece, formant * scale * rng.uniform(0.98, 1.02), bandwidth)
        window = np.ones(last - first)
        ramp = np.linspace(0, 1, fade)
        window[:fade] *= ramp
        window[-fade:] *= ramp[::-1]
        spoken[first:last] += piece * window
    return spoken


def _resonate(signal: np.ndarray, frequency: float, bandwidth: float) -> np.ndarray:
    """A second-order resonator (Klatt 1980) with unit gain at 0 Hz."""
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * frequency / SAMPLE_RATE), radius**2
    return lfilter([1 + a1 + a2], [1, a1, a2], signal)


def _consonants(samples: int, syllables: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hiss before two syllables in three."""
    hiss = np.zeros(samples)
    for start, _, stress in syllables:
        if rng.random() < 0.35:
            continue
        length = round(rng.uniform(0.02, 0.07) * SAMPLE_RATE)
        first = max(0, round(start * SAMPLE_RATE) - length // 2)
        burst = rng.standard_normal(length) * np.hanning(length) * rng.uniform(0.1, 0.5) * (0.5 + 0.5 * stress)
        burst = np.diff(burst, prepend=0.0)[: samples - first]
        hiss[first : first + len(burst)] += burst
    return hiss


def _room_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    noise = lfilter([1.0], [1, -rng.uniform(0.6, 0.95)], rng.standard_normal(samples))
    return noise / np.std(noise)
