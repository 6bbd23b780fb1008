"""Small media files made for tests."""

from fractions import Fraction

import av
import numpy as np
from av import AudioFrame, VideoFrame


def write_video(path, images, times_s=None, *, codec="libx264", rate=25, audio=None, audio_rate=16000, options=None):
    """Write RGB images at the given times (default: one per 1/rate s) and, where given, mono float audio."""
    times_s = [i / rate for i in range(len(images))] if times_s is None else times_s
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        base = Fraction(1, rate if codec == "mpeg1video" or str(path).endswith(".avi") else 1000)
        video.time_base = video.codec_context.time_base = base
        sound = (
            container.add_stream("mp2" if codec == "mpeg1video" else "aac", rate=audio_rate, layout="mono")
            if audio is not None
            else None
        )
        for image, time_s in zip(images, times_s, strict=True):
            frame = VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s / base), base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            frame = AudioFrame.from_ndarray(audio[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = audio_rate, 0, Fraction(1, audio_rate)
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def grey_steps(count, height=48, width=64):
    """Flat images whose brightness tells their index: 20, 30, 40, ..."""
    return [np.full((height, width, 3), min(20 + 10 * i, 250), np.uint8) for i in range(count)]


def noise(count, height=48, width=64):
    """Pictures that hardly compress, so that every packet is large."""
    return list(np.random.default_rng(0).integers(0, 255, (count, height, width, 3), np.uint8))


def tone(seconds, rate=16000, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
