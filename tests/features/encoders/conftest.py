"""Checkpoints and clips of the encoders' tests."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))  # for media_files

pytest.importorskip("transformers", reason="the extra `encoders` is not installed")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """`checkpoint(kind)`: a folder with a tiny checkpoint, made once."""
    from tiny_checkpoints import save

    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = save(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """`speech(seconds)`: a file of noise with syllables."""
    folder = tmp_path_factory.mktemp("speech")

    def file(seconds, rate=16000):
        path = folder / f"{seconds}-{rate}.wav"
        if not path.exists():
            t = np.arange(round(seconds * rate)) / rate
            noise = np.random.default_rng(0).normal(size=len(t))
            soundfile.write(path, (0.1 * noise * (1.2 + np.sin(20 * t))).astype(np.float32), rate, subtype="FLOAT")
        return path

    return file
