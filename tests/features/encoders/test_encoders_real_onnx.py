"""A real network through the set `onnx`: Google's speech embedding (Lin and others 2020), as openwakeword ships it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from features.audio.speech import read_speech
from features.encoders import onnx_graph
from features.sets import Media, parse_spec

pytest.importorskip("onnx", reason="the extra `test` is not installed")
PATH = Path(__file__).parents[3] / "benchmarks" / "speech_embedding.py"
spec = importlib.util.spec_from_file_location("speech_embedding_benchmark", PATH)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

FOLDER = benchmark.models()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="needs openwakeword 0.4.0, whose wheel holds the networks")


def directly(signal: np.ndarray) -> np.ndarray:
    """The embedding as openwakeword computes it, one network after the other."""
    import onnxruntime

    mel, embedding = (
        onnxruntime.InferenceSession(FOLDER / name) for name in ("melspectrogram.onnx", "embedding_model.onnx")
    )
    rows = mel.run(None, {"input": 32767 * signal[None]})[0].squeeze() / 10 + 2
    return embedding.run(None, {"input_1": rows[None, :, :, None].astype(np.float32)})[0].ravel()


def test_a_speech_network_gives_what_it_gives_by_itself(tmp_path, speech):
    params = parse_spec(f"onnx:model={benchmark.joined(FOLDER, tmp_path / 'speech.onnx')},of=speech").params
    media = Media(speech(2.0))
    found = onnx_graph.extract(media, params)
    assert found.values.shape == (3, 96) and onnx_graph.SET.shape(params) == (96,)
    signal = np.pad(read_speech(media, 16000), (0, 3 * benchmark.SAMPLES - 32000))
    for row, part in zip(found.values, signal.reshape(3, benchmark.SAMPLES), strict=True):
        np.testing.assert_allclose(row, directly(part.astype(np.float32)), atol=1e-3)
    assert np.abs(found.values[0] - found.values[1]).max() > 0.1
