"""The sound of a clip as one mono signal."""

from collections.abc import Iterator

import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from features.decode.container import decoded, opened, origin_s, seek_before
from features.errors import ClipFailure
from features.sets import Media

# Peak below which a track counts as digitally silent: -80 dBFS, the dither of an empty track.
_SILENT_PEAK = 1e-4
# Smaller holes between frames are rounding of the stamps; larger ones than the upper limit are broken stamps.
_HOLE_S = (0.05, 3600.0)


def read_audio(media: Media, sample_rate: int) -> np.ndarray:
    """The clip's sound, float32 (S,) in [-1, 1], the mean of all channels at `sample_rate`.

    Sample 0 is the clip's start: a track that begins later, or has a hole, is filled with zeros. Raises ClipFailure:
    `missing`, `unreadable`, `no_audio` when there is no track, it is digitally silent or has nothing in the clip.
    """
    end_s = np.inf if media.end_s is None else media.end_s - media.start_s
    with opened(media) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise ClipFailure("no_audio", "the file holds no audio track")
        if media.start_s > 0:
            seek_before(container, media)
        runs = []
        for start_s, rate, signal in _runs(container, stream, media, end_s):
            signal = signal[max(0, round(-start_s * rate)) :]
            if np.isfinite(end_s):
                signal = signal[: max(0, round((end_s - max(start_s, 0)) * rate))]
            if len(signal):
                runs.append((max(start_s, 0.0), _resampled(signal, rate, sample_rate)))
    if not runs:
        raise ClipFailure("no_audio", "the audio track holds no sound between the clip's start and end")
    places = [round(start_s * sample_rate) for start_s, _ in runs]
    audio = np.zeros(max(p + len(s) for p, (_, s) in zip(places, runs, strict=True)), np.float32)
    for place, (_, signal) in zip(places, runs, strict=True):
        audio[place : place + len(signal)] = signal
    peak = np.abs(audio).max()
    if not peak > _SILENT_PEAK:
        raise ClipFailure("no_audio", f"the audio track is digitally silent (peak {peak:.0e} of full scale)")
    return audio


def _runs(
    container: InputContainer, stream: AudioStream, media: Media, end_s: float
) -> Iterator[tuple[float, int, np.ndarray]]:
    """Stretches of sound without a hole: (seconds from the clip's start, sample rate, mono samples)."""
    origin = origin_s(container, media)
    pieces: list[np.ndarray] = []
    start_s, rate, count = -media.start_s, 0, 0  # a first stamp close to the file's start is the file's start
    for frame in decoded(container, stream):
        due_s = start_s + count / rate if rate else start_s
        time_s = due_s if frame.time is None else frame.time - origin
        if time_s >= end_s:
            break
        hole = time_s - due_s > _HOLE_S[0] and time_s - max(due_s, 0) < _HOLE_S[1]
        if hole or frame.sample_rate != rate:
            if pieces:
                yield start_s, rate, np.concatenate(pieces)
            pieces, start_s, rate, count = [], time_s if hole else due_s, frame.sample_rate, 0
        pieces.append(_mono(frame))
        count += frame.samples
    if not rate:
        raise ClipFailure("unreadable", "none of the audio track can be decoded")
    yield start_s, rate, np.concatenate(pieces)


def _mono(frame: AudioFrame) -> np.ndarray:
    # The channels' plain mean: the resampler's own downmix is 3 dB louder for float codecs than for integer ones.
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mono = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype == np.uint8:
        mono = (mono - 128) / 128
    elif samples.dtype.kind == "i":
        mono /= -float(np.iinfo(samples.dtype).min)
    return mono.astype(np.float32)


def _resampled(signal: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return signal
    frame = AudioFrame.from_ndarray(signal[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    resampler = AudioResampler(format="fltp", layout="mono", rate=wanted)
    frames = resampler.resample(frame) + resampler.resample(None)
    return np.concatenate([f.to_ndarray()[0] for f in frames]) if frames else np.zeros(0, np.float32)
