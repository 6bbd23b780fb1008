"""librosa's functions in machine code, compiled by one process at a time.

Numba keeps what it compiled in files that all processes share. Two processes that compile a function at the same time
leave a wrapper of the one and a body of the other there, and whoever loads the pair is killed by a wild jump.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from features.disk.intact import one_at_a_time
from features.progress import say_once

_PATIENCE_S = 4.0


@contextmanager
def _told() -> Iterator[None]:
    """Say what takes so long, where numba has nothing kept yet."""
    text = "loading librosa's functions; on their first use on a machine they are compiled, which takes up to a minute"
    timer = threading.Timer(_PATIENCE_S, say_once, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def compile_first() -> None:
    """Call once what a feature set calls of librosa, while no other process of this user does."""
    with one_at_a_time("librosa"), _told():
        import librosa

        signal = np.sin(np.arange(4096, dtype=np.float32) / 10)
        for one in (signal, signal.astype(np.float64)):
            librosa.yin(one, fmin=60.0, fmax=600.0, sr=16000, frame_length=1024, hop_length=160)
            librosa.feature.zero_crossing_rate(one, frame_length=400, hop_length=160)
            librosa.stft(one, n_fft=512)
        librosa.filters.mel(sr=16000, n_fft=512)
