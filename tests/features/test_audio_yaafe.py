from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audio import speech
from features.audio.yaafe.envelope import envelope_features
from features.audio.yaafe.framing import frames, shape_statistics
from features.audio.yaafe.spectral import quarter_octaves, spectral_features
from features.audio.yaafe.temporal import line_spectral_frequencies, temporal_features
from features.audio.yaafe.transforms import autocorrelation_peaks, derivatives
from features.audio.yaafe_like import FEATURES, TRANSFORMS, dimensions, yaafe_features
from features.sets import Media, get_set, parse_spec


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


def tone(hz, length_s=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(length_s * 16000)) / 16000).astype(np.float32)


def named(signal):
    values, columns = yaafe_features(signal), {}
    for name, n in dimensions(True).items():
        columns[name], values = values[:, :n], values[:, n:]
    return columns


def test_27_features_and_4_transforms():
    assert (len(FEATURES), len(TRANSFORMS)) == (27, 4)
    assert sum(FEATURES.values()) == 901
    assert [sum(dimensions(peaks).values()) for peaks in (True, False)] == [1017, 939]
    signal = noise(5000)
    columns = temporal_features(frames(signal)) | spectral_features(frames(signal)) | envelope_features(signal)
    assert {name: column.shape[1] for name, column in columns.items()} == FEATURES
    np.testing.assert_array_equal(yaafe_features(signal)[:, :939], yaafe_features(signal, peaks=False))


def test_frames_are_centred():
    columns = named(np.eye(1, 3000, 1536, dtype=np.float32)[0])
    assert len(columns["Energy"]) == 2999 // 512 + 1
    np.testing.assert_allclose(columns["Energy"][:, 0] * 32, [0, 0, 0, 1, 1, 0])
    np.testing.assert_allclose(columns["TemporalShapeStatistics"][3:5, 0], [512, 0])


def test_temporal_features_against_plain_formulas():
    signal = noise(4096) + tone(300)[:4096]
    frame = frames(signal)[3]
    columns = {name: column[3] for name, column in named(signal).items()}
    r = [sum(frame[: 1024 - lag] * frame[lag:]) for lag in range(49)]
    np.testing.assert_allclose(columns["AutoCorrelation"], r, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(columns["LPC"], -scipy.linalg.solve_toeplitz(r[:2], r[1:3]), rtol=1e-4)
    np.testing.assert_allclose(columns["Energy"], np.sqrt(np.mean(frame**2)), rtol=1e-5)
    np.testing.assert_allclose(columns["ZCR"], np.sum(frame[1:] * frame[:-1] < 0) / 1024, rtol=1e-5)


def test_zeros_do_not_count_as_crossings():
    frame = np.array([[0, 1, 0, 0, 2, 0, -1, 0, 3.0]])
    assert temporal_features(np.repeat(frame, 60, axis=1))["ZCR"][0, 0] == pytest.approx(2 / 540)


def test_line_spectral_frequencies_lead_back_to_the_filter():
    a = np.poly([0.9 * np.exp(sign * 1j * w) for w in (0.4, 0.9, 1.5, 2.2, 2.9) for sign in (1, -1)]).real
    lsf = line_spectral_frequencies(a[None, 1:])[0]
    assert np.all(np.diff(lsf) > 0) and lsf[0] > 0 and lsf[-1] < np.pi

    def polynomial(angles, known):
        return np.polymul(np.poly(np.exp(1j * np.concatenate([angles, -angles]))).real, [1, known])

    np.testing.assert_allclose((polynomial(lsf[::2], 1) + polynomial(lsf[1::2], -1))[:-1] / 2, a, atol=1e-6)


def test_shape_statistics():
    z = np.exp(-0.5 * ((np.arange(200) - 80) / 9) ** 2)[None]
    np.testing.assert_allclose(shape_statistics(z), [[80, 9, 0, 0]], atol=1e-6)


def test_spectrum_and_mel_are_librosas():
    signal = noise(6000)
    columns = named(signal)
    magnitude = np.abs(librosa.stft(signal.astype(float), n_fft=1024, hop_length=512, pad_mode="constant"))[:, :-1].T
    n = len(magnitude)
    np.testing.assert_allclose(columns["MagnitudeSpectrum"][:n], magnitude, rtol=1e-4, atol=1e-4)
    mel = librosa.feature.melspectrogram(S=magnitude.T, sr=16000, n_fft=1024, n_mels=40, fmin=130, fmax=6854, htk=True)
    np.testing.assert_allclose(columns["MelSpectrum"][:n], mel.T, rtol=1e-3)
    mfcc = librosa.feature.mfcc(S=np.log10(mel), n_mfcc=14)[1:].T
    np.testing.assert_allclose(columns["MFCC"][:n], mfcc, rtol=1e-3, atol=1e-3)


def test_a_tone_and_its_spectrum():
    columns = {name: column[10] for name, column in named(tone(1000)).items()}
    assert columns["SpectralShapeStatistics"][0] == pytest.approx(64, abs=0.5)
    assert columns["SpectralRolloff"][0] == pytest.approx(1000, abs=20)
    assert columns["SpectralVariation"][0] == pytest.approx(0, abs=1e-3)
    assert columns["ComplexDomainOnsetDetection"][0] < 1e-3 * columns["MagnitudeSpectrum"].sum()
    assert columns["OBSI"].argmax() == 5 and columns["OBSIR"][4] > 0 > columns["OBSIR"][5]
    assert columns["Loudness"].sum() == pytest.approx(1)
    np.testing.assert_allclose(columns["PerceptualSpread"], (1 - columns["Loudness"].max()) ** 2, atol=1e-6)
    hiss = {name: column[10] for name, column in named(noise(16000)).items()}
    for name in ("SpectralFlatness", "SpectralFlux", "PerceptualSharpness", "ZCR"):
        assert hiss[name][0] > columns[name][0], name
    assert columns["SpectralCrestFactorPerBand"][8] > 3 * hiss["SpectralCrestFactorPerBand"][8]


def test_bands_of_a_quarter_octave():
    bands = quarter_octaves()
    assert bands[0] == (15, 21, 1) and bands[8] == (61, 81, 2)
    assert all((end - first) % group == 0 and end <= 513 for first, end, group in bands)


@pytest.mark.parametrize(("hz", "column"), [(6, 0), (20, 4)])
def test_modulation_of_the_amplitude(hz, column):
    signal = tone(500, 4.0) * (1 + 0.8 * tone(hz, 4.0))
    rows = envelope_features(signal)
    assert rows["Envelope"].shape == (4, 164)
    assert rows["AmplitudeModulation"][2, column] == pytest.approx(hz, abs=0.1)
    np.testing.assert_allclose(rows["Envelope"][2].mean(), 1, rtol=0.05)


def test_long_rows_go_to_the_nearest_frames():
    signal = noise(16384 * 2 + 1)
    envelope = named(signal)["Envelope"]
    changes = np.flatnonzero(np.any(np.diff(envelope, axis=0) != 0, axis=1)) + 1
    assert len(envelope) == 65 and changes.tolist() == [16, 48]


def test_derivatives():
    t = np.arange(30.0)
    first, second = derivatives(np.column_stack([3 * t, t**2]))
    np.testing.assert_allclose(first[5:-5], np.column_stack([np.full(20, 3.0), 2 * t[5:-5]]))
    np.testing.assert_allclose(second[5:-5], np.repeat([[0, 2]], 20, axis=0), atol=1e-9)


def test_peaks_of_the_autocorrelation():
    t = np.arange(120)
    peaks = autocorrelation_peaks(np.column_stack([np.cos(2 * np.pi * t / 12), np.zeros(120)]))
    assert peaks.shape == (4, 12)
    assert peaks[1, :6:2].tolist() == [12, 24, 36]
    np.testing.assert_allclose(peaks[1, 1:6:2], [0.8, 0.6, 0.4], atol=0.03)
    assert not peaks[:, 6:].any()


@given(
    kind=st.sampled_from(["noise", "zeros", "click", "tone", "dc", "start"]),
    length=st.integers(1600, 6000),
    loud=st.sampled_from([1e-38, 1e-20, 1e-4, 1.0, 1e4]),
)
@settings(max_examples=40, deadline=None)
def test_never_nan(kind, length, loud):
    signal = {
        "noise": noise(length),
        "zeros": np.zeros(length),
        "click": np.eye(1, length, length // 3)[0],
        "tone": tone(250)[:length],
        "dc": np.ones(length),
        "start": np.where(np.arange(length) < 700, noise(length), 0),
    }[kind]
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        values = yaafe_features((signal * loud).astype(np.float32))
    assert values.shape == ((length - 1) // 512 + 1, 1017) and np.isfinite(values).all()


def test_through_the_set(monkeypatch):
    monkeypatch.setattr(speech, "read_audio", lambda media, rate: noise(2000))
    for text, n in (("yaafe_like", 1017), ("yaafe_like:peaks=false", 939)):
        spec = parse_spec(text)
        array = get_set("yaafe_like").extract(Media(Path("x")), spec.params)
        assert array.values.shape == (4, n) and get_set("yaafe_like").shape(spec.params) == (n,)
    np.testing.assert_allclose(array.time_s, [0, 0.032, 0.064, 0.096])


@pytest.mark.real_data
def test_real_speech(real_data):
    path = sorted((real_data / "ravdess_audio" / "Actor_01").glob("*.flac"))[0]
    array = get_set("yaafe_like").extract(Media(path), {"peaks": True})
    assert np.isfinite(array.values).all() and len(array.values) > 50
