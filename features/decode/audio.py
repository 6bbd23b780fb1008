"""The sound of a clip as one mono signal, read and resampled in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from av import AudioFrame, AudioResampler

from features.decode.sound import Block, SoundFile
from features.errors import ClipFailure
from features.progress import say
from features.sets import Media

# Peak below which a channel counts as digitally silent: -80 dBFS, the dither of an empty track.
_SILENT_PEAK = 1e-4
# Smaller holes between blocks are rounding of the stamps; larger ones than the upper limit are broken stamps.
_HOLE_S = (0.05, 3600.0)
# Of independent channels, or sound on one of many, the sum holds the channels' whole energy; of opposite phase, none.
_CANCELLED = 0.05
_PIECE_S = 1.0


def read_audio(media: Media, sample_rate: int) -> np.ndarray:
    """The clip's sound, float32 (S,) in [-1, 1], the mean of all channels at `sample_rate`.

    Where channels in opposite phase cancel in their mean, it is the loudest channel; of several tracks it is the first
    that holds sound; both are said. Sample 0 is the clip's start: a track that begins later, or has a hole, is filled
    with zeros. It takes no more memory than its result and some seconds of sound.

    Raises ClipFailure: `missing`, `unreadable` (also for samples that are no number), `no_audio` when there is no
    track, every channel is digitally silent or there is nothing in the clip.
    """
    file = SoundFile(media)
    failures: list[ClipFailure] = []
    for track in range(file.tracks):
        try:
            audio = _track(file, track, sample_rate)
        except ClipFailure as failure:
            failures.append(failure)
            continue
        if failures:
            reason = "; ".join(f"track {n} of its sound: {f.reason}" for n, f in enumerate(failures, start=1))
            say(f"{media.path}: track {track + 1} is taken ({reason})")
        return audio
    damaged = [failure for failure in failures if failure.status == "unreadable"]
    raise (damaged or failures)[0]


def _track(file: SoundFile, track: int, sample_rate: int) -> np.ndarray:
    heard = _heard(file, track, sample_rate)
    media = file.media
    if not heard.count:
        end = "its end" if media.end_s is None else f"{media.end_s:g} s"
        raise ClipFailure(
            "no_audio",
            f"the audio track holds no sound between {media.start_s:g} s and {end}, "
            f"it ends at {max(heard.end_s + media.start_s, 0):.3g} s",
        )
    peak = heard.peaks.max()
    if not peak > _SILENT_PEAK:
        raise ClipFailure("no_audio", f"the audio track is digitally silent (peak {peak:.0e} of full scale)")
    if heard.mixed_energy < _CANCELLED * heard.energies.sum():
        loudest = int((heard.energies > 0.99 * heard.energies.max()).argmax())  # the first of equal ones
        say(f"{media.path}: the channels of its sound cancel each other, channel {loudest + 1} is taken alone")
        heard = _heard(file, track, sample_rate, loudest)
    return heard.signal.array()


class _Signal:
    """A signal that grows, zero where nothing was written."""

    def __init__(self) -> None:
        self._bytes = bytearray()  # grows in place, without a second copy

    def write(self, place: int, samples: np.ndarray) -> int:
        """Put samples at `place` and return the place behind them."""
        data, start = samples.astype(np.float32).tobytes(), 4 * place
        if len(self._bytes) < start:
            self._bytes.extend(bytes(start - len(self._bytes)))
        self._bytes[start : start + len(data)] = data
        return place + len(samples)

    def array(self) -> np.ndarray:
        """The signal, float32 (S,)."""
        return np.frombuffer(self._bytes, np.float32)


@dataclass
class _Heard:
    """What one pass over a track gave: the mono signal, and what tells of the channels (C,)."""

    signal: _Signal = field(default_factory=_Signal)
    peaks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    energies: np.ndarray = field(default_factory=lambda: np.zeros(0))
    mixed_energy: float = 0.0
    count: int = 0
    end_s: float = 0.0

    def add(self, samples: np.ndarray) -> np.ndarray:
        """Take account of samples (channels, n), and return the channels' mean (n,)."""
        more = max(0, len(samples) - len(self.peaks))
        self.peaks, self.energies = (np.pad(known, (0, more)) for known in (self.peaks, self.energies))
        channels = slice(0, len(samples))
        peaks = np.abs(samples).max(axis=1)
        self.peaks[channels] = np.maximum(self.peaks[channels], peaks)
        self.energies[channels] += np.einsum("cn,cn->c", samples, samples)
        mixed = samples.sum(axis=0)
        self.mixed_energy += float(np.einsum("n,n->", mixed, mixed))  # BLAS would start threads
        self.count += samples.shape[1]
        return mixed / len(samples)


def _heard(file: SoundFile, track: int, sample_rate: int, channel: int | None = None) -> _Heard:
    """One pass over a track; its signal is the mean of the channels, or one `channel`."""
    media, heard = file.media, _Heard()
    length_s = np.inf if media.end_s is None else media.end_s - media.start_s
    for start_s, rate, pieces in _runs(file.blocks(track), media.start_s, length_s):
        place, resampler = round(max(start_s, 0.0) * sample_rate), _Resampler(rate, sample_rate)
        skip = max(0, round(-start_s * rate))
        last = round((length_s - max(start_s, 0.0)) * rate) + skip if np.isfinite(length_s) else None
        at = 0
        for piece in pieces:
            samples = piece[:, max(0, skip - at) : None if last is None else max(0, last - at)]
            first, at = max(at, skip), at + piece.shape[1]
            if samples.shape[1]:
                _check_finite(samples, media.start_s + start_s + first / rate, rate)
                mono = heard.add(samples)
                if channel is not None and channel < len(samples):
                    mono = samples[channel]
                place = heard.signal.write(place, resampler(mono.astype(np.float32)))
        heard.signal.write(place, resampler.rest())
        heard.end_s = start_s + at / rate
    return heard


def _runs(
    blocks: Iterator[Block], clip_start_s: float, end_s: float
) -> Iterator[tuple[float, int, Iterator[np.ndarray]]]:
    """Stretches of sound without a hole: (seconds from the clip's start, sample rate, pieces (channels, n)).

    The pieces of a stretch are to be taken before the next stretch.
    """
    block = next(blocks, None)
    due_s = -clip_start_s  # a first stamp close to the file's start is the file's start
    while block is not None and (block.time_s is None or block.time_s < end_s):
        start_s = block.time_s if block.time_s is not None and _hole(block.time_s, due_s) else due_s
        run = _Run(block, blocks, start_s, end_s)
        yield start_s, block.rate, run.pieces()
        block, due_s = run.next_block, run.due_s


class _Run:
    """One stretch: its pieces, and the block with which the next one begins."""

    def __init__(self, first: Block, blocks: Iterator[Block], start_s: float, end_s: float):
        self._first, self._blocks, self._start_s, self._end_s = first, blocks, start_s, end_s
        self.next_block: Block | None = None
        self.due_s = start_s

    def pieces(self) -> Iterator[np.ndarray]:
        """Samples (channels, n) of about a second."""
        rate, channels = self._first.rate, len(self._first.samples)
        gathered, waiting, count = [self._first.samples], self._first.samples.shape[1], self._first.samples.shape[1]
        for block in self._blocks:
            self.due_s = self._start_s + count / rate
            time_s = self.due_s if block.time_s is None else block.time_s
            if time_s >= self._end_s:
                break
            if block.rate != rate or _hole(time_s, self.due_s):
                self.next_block = block
                break
            if waiting >= _PIECE_S * rate or len(block.samples) != channels:
                yield np.concatenate(gathered, axis=1)
                gathered, waiting, channels = [], 0, len(block.samples)
            gathered.append(block.samples)
            waiting, count = waiting + block.samples.shape[1], count + block.samples.shape[1]
        self.due_s = self._start_s + count / rate
        yield np.concatenate(gathered, axis=1)


def _hole(time_s: float, due_s: float) -> bool:
    return time_s - due_s > _HOLE_S[0] and time_s - max(due_s, 0) < _HOLE_S[1]


def _check_finite(samples: np.ndarray, start_s: float, rate: int) -> None:
    if np.abs(samples).max() < np.finfo(np.float32).max:  # false for NaN too
        return
    with np.errstate(over="ignore"):
        wrong = ~np.isfinite(samples.astype(np.float32)).all(axis=0)
    if wrong.any():
        at_s = start_s + int(wrong.argmax()) / rate
        raise ClipFailure("unreadable", f"its sound holds samples that are no finite number, the first at {at_s:.3f} s")


class _Resampler:
    """Mono float32 at one rate, piece by piece, at another."""

    def __init__(self, rate: int, wanted: int):
        self._rate, self._fed = rate, False
        self._resampler = None if rate == wanted else AudioResampler(format="fltp", layout="mono", rate=wanted)

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        """What is ready after the samples (n,)."""
        if self._resampler is None:
            return signal
        frame = AudioFrame.from_ndarray(signal[None], format="fltp", layout="mono")
        frame.sample_rate, self._fed = self._rate, True
        return self._joined(frame)

    def rest(self) -> np.ndarray:
        """What is left at the end."""
        return self._joined(None) if self._fed else np.zeros(0, np.float32)

    def _joined(self, frame: AudioFrame | None) -> np.ndarray:
        assert self._resampler is not None
        frames = self._resampler.resample(frame)
        return np.concatenate([f.to_ndarray()[0] for f in frames]) if frames else np.zeros(0, np.float32)
