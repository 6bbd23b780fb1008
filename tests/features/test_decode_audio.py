"""Sound: damaged samples, cancelling channels, several tracks, other byte orders; against soundfile and formulas."""

import re
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from av import AudioFrame
from media_files import tone

from features.decode import read_audio
from features.errors import ClipFailure
from features.sets import Media

RATE = 16000


def write_tracks(path, *tracks):
    """Mono 16-bit tracks in one file."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in tracks]
        for stream, signal in zip(streams, tracks, strict=True):
            samples = (signal * 32767).astype(np.int16)
            frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_no_number_are_damage_not_silence(tmp_path, value, channels):
    signal = np.stack([tone(1.0)] * channels, axis=1)
    signal[4000, -1] = value
    soundfile.write(tmp_path / "a.wav", signal, RATE, subtype="DOUBLE")
    with pytest.raises(ClipFailure, match=r"unreadable: its sound holds samples that are no finite .* 0\.250 s"):
        read_audio(Media(tmp_path / "a.wav"), 8000)
    with pytest.raises(ClipFailure, match=r"the first at 0\.250 s"):
        read_audio(Media(tmp_path / "a.wav", 0.125), 8000)
    assert len(read_audio(Media(tmp_path / "a.wav", 0.5), RATE)) == 8000  # the damage lies before the clip


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ([1.0, -1.0], 1.0),  # opposite phase: the first of the loudest
        ([0.5, -0.55], -0.55),  # hardly anything is left of the mean
        ([1.0, 1.0], 1.0),
        ([1.0, 0.0], 0.5),
        ([0, 0, 1.0, 0, 0, 0], 1 / 6),
        ([1.0, 0.2], 0.6),
    ],
)
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_channels_that_cancel_give_the_loudest_one(tmp_path, capsys, channels, expected, rate):
    signals = np.stack([c * tone(1.0, rate) for c in channels], axis=1)
    soundfile.write(tmp_path / "a.wav", signals, rate, subtype="FLOAT")
    audio = read_audio(Media(tmp_path / "a.wav"), RATE)
    np.testing.assert_allclose(audio[200:-200], expected * tone(1.0)[200:-200], atol=3e-3)
    cancelled = abs(sum(channels)) < 0.1
    assert ("cancel each other, channel" in capsys.readouterr().err) == cancelled


def test_independent_channels_are_averaged(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2))
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(Media(tmp_path / "a.wav"), RATE), noise.mean(axis=1), atol=1e-6)


def test_silence_is_judged_by_channel(tmp_path):
    quiet = 1.5e-4 * np.sign(tone(1.0))
    soundfile.write(tmp_path / "a.wav", np.stack([quiet, 0 * quiet], axis=1), RATE, subtype="FLOAT")
    assert np.abs(read_audio(Media(tmp_path / "a.wav"), RATE)).max() == pytest.approx(7.5e-5)
    soundfile.write(tmp_path / "a.wav", np.stack([quiet, -quiet], axis=1) / 2, RATE, subtype="FLOAT")
    with pytest.raises(ClipFailure, match=r"no_audio: the audio track is digitally silent \(peak 7e-05|8e-05"):
        read_audio(Media(tmp_path / "a.wav"), RATE)


def test_the_first_track_with_sound_is_taken_and_said(tmp_path, capsys):
    path = write_tracks(tmp_path / "a.mkv", 0 * tone(0.5), tone(0.5), tone(0.5, hertz=100))
    np.testing.assert_allclose(read_audio(Media(path), RATE), tone(0.5), atol=1e-4)
    said = " ".join(capsys.readouterr().err.split())
    assert "track 2 is taken (track 1 of its sound: the audio track is digitally silent (peak 0e+00" in said
    path = write_tracks(tmp_path / "b.mkv", tone(0.5, hertz=100), tone(0.5))
    np.testing.assert_allclose(read_audio(Media(path), RATE), tone(0.5, hertz=100), atol=1e-4)
    assert capsys.readouterr().err == ""
    with pytest.raises(ClipFailure, match="no_audio: the audio track is digitally silent"):
        read_audio(Media(write_tracks(tmp_path / "c.mkv", 0 * tone(0.5), 0 * tone(0.5))), RATE)


@pytest.mark.parametrize("ending", ["wav", "aiff", "flac", "ogg", "au", "mp3"])
@pytest.mark.parametrize("times", [(5.0, None), (5.0, 6.0), (1.5, None)])
def test_a_start_beyond_the_end_is_told_as_such(tmp_path, ending, times):
    soundfile.write(tmp_path / f"a.{ending}", tone(1.0), RATE)
    with pytest.raises(ClipFailure, match=rf"no_audio: the audio track holds no sound between {times[0]:g} s and "):
        read_audio(Media(tmp_path / f"a.{ending}", *times), RATE)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_big_endian_wav_is_read_as_soundfile_does(tmp_path, subtype, channels):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, channels))
    path = tmp_path / "a.wav"
    soundfile.write(path, noise, RATE, subtype=subtype, endian="BIG")
    assert path.read_bytes()[:4] == b"RIFX"
    expected = soundfile.read(path)[0].reshape(RATE, channels).mean(axis=1)
    np.testing.assert_allclose(read_audio(Media(path), RATE), expected, atol=1e-6)
    np.testing.assert_allclose(read_audio(Media(path, 0.25, 0.5), RATE), expected[4000:8000], atol=1e-6)
    with pytest.raises(ClipFailure, match="holds no sound between 5 s and its end"):
        read_audio(Media(path, 5.0), RATE)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "G721_32"),
        ("WAV", "NMS_ADPCM_16"),
        ("AU", "G721_32"),
        ("AU", "G723_24"),
        ("AIFF", "PCM_16"),
        ("AIFF", "FLOAT"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_24"),
        ("CAF", "PCM_16"),
        ("AU", "PCM_16"),
    ],
)
def test_every_coding_of_samples_is_read_as_soundfile_does(tmp_path, kind, subtype):
    path = tmp_path / "a"
    soundfile.write(path, tone(0.5), RATE, format=kind, subtype=subtype)
    expected = soundfile.read(path)[0]
    np.testing.assert_allclose(read_audio(Media(path), RATE)[: len(expected)], expected, atol=5e-3)


def test_pieces_give_what_the_whole_gives(tmp_path):
    # Resampled in one go by FFmpeg, of 3.7 s: several pieces and a rest.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(3.7 * 44100), 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 44100, subtype="FLOAT")
    frame = AudioFrame.from_ndarray(noise.mean(axis=1, dtype=np.float64).astype(np.float32)[None], "fltp", "mono")
    frame.sample_rate = 44100
    resampler = av.AudioResampler("fltp", "mono", RATE)
    whole = np.concatenate([f.to_ndarray()[0] for f in resampler.resample(frame) + resampler.resample(None)])
    np.testing.assert_array_equal(read_audio(Media(tmp_path / "a.wav"), RATE), whole)


def test_a_long_recording_takes_little_more_memory_than_its_result(tmp_path):
    path, seconds = tmp_path / "a.wav", 120
    soundfile.write(path, np.full((48000 * seconds, 2), 1000, np.int16), 48000)
    code = """
import resource, sys
from pathlib import Path
from features.decode import read_audio
from features.sets import Media
path, peaks = Path(sys.argv[1]), []
for end_s in (2, None):
    audio = read_audio(Media(path, 0, end_s), 16000)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(audio.nbytes, peaks[1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    result, peak = map(int, done.stdout.split())
    assert result == 4 * 16000 * seconds
    unit = 1024 if sys.platform != "darwin" else 1
    assert peak * unit < 1.5 * result + 10e6  # the file itself has three times as many samples, twice


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("wav", r"breaks off after 160022 bytes, its header tells of 3\d+; what there is is used"),
        ("flac", r"breaks off after [45]\.\d s, its header tells of 10\.0 s"),
        ("aiff", "breaks off after 5.0 s"),
    ],
)
def test_sound_that_is_cut_off_is_said_and_read(tmp_path, capsys, ending, said):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 10 * RATE), RATE)
    assert len(read_audio(Media(path), RATE)) == 10 * RATE and capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for _ in range(2):
        assert 3 * RATE < len(read_audio(Media(path), RATE)) < 6 * RATE
    assert re.search(said, (err := capsys.readouterr().err)) and err.count("breaks off") == 1
    read_audio(Media(path, 0, 1), RATE)
    assert capsys.readouterr().err == ""


@pytest.mark.real_data
def test_real_cases_are_told_and_read(real_data, capsys):
    cases = real_data / "cases"
    with pytest.raises(ClipFailure, match="no finite number"):
        read_audio(Media(cases / "nan1.wav"), RATE)
    whole = read_audio(Media(cases / "base48.wav"), RATE)
    for name in ("antiphase.wav", "two_tracks.mkv"):
        assert np.corrcoef(np.abs(whole), np.abs(read_audio(Media(cases / name), RATE)))[0, 1] > 0.99
    assert "cancel each other" in (said := capsys.readouterr().err) and "track 2 is taken" in said
