"""Speech encoders of the `transformers` library: those that read the wave (wav2vec 2.0 and its kin), and Whisper's."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from features.encoders import checkpoints
from features.encoders.hardware import placed
from features.encoders.hidden_states import HiddenStates
from features.encoders.packed import can_pack
from features.encoders.precision import Precision
from features.encoders.speech_batches import Joined, Padded
from features.encoders.speech_sizes import RANDOM_LAYERS, RANDOM_WIDTH, SpeechSizes

# WavLM's own attention, through which padded batches go, has a mask of booleans beside a bias of floats, which torch
# tells each user of once.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")


class SpeechEncoder(Protocol):
    """An encoder of sound at `rate`: step t of its output is of the samples [t `hop`, t `hop` + `field`).

    `most_s` is the longest sound that it takes at once, None where any length goes.
    """

    rate: int
    hop: int
    field: int
    most_s: float | None

    def steps(self, samples: int) -> int:
        """How many steps a signal gives."""
        ...

    def prepared(self, signal: np.ndarray) -> np.ndarray:
        """A whole clip's samples (S,) as the model takes them."""
        ...

    def states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """The hidden states (T, L, F) of each of the prepared signals, as if each were alone."""
        ...

    @property
    def computed(self) -> str:
        """In which precision they were computed."""
        ...


class _Computing:
    _run: Precision

    @property
    def computed(self) -> str:
        """See `SpeechEncoder`."""
        return self._run.computed


class WaveEncoder(_Computing):
    """HuBERT, wav2vec 2.0, WavLM, data2vec-audio, UniSpeech."""

    most_s: float | None = None

    def __init__(self, model: Any, extractor: Any, precision: str):
        self._model, device = placed(model)
        self._run, self._extractor = Precision(device, precision, self._model), extractor
        self.rate = int(extractor.sampling_rate)
        self.hop, self.field = 1, 1
        for kernel, stride in zip(model.config.conv_kernel[::-1], model.config.conv_stride[::-1], strict=True):
            self.hop, self.field = self.hop * stride, (self.field - 1) * stride + kernel
        joined = device.type == "cpu" and can_pack()
        self._batch: Joined | Padded = Joined(model) if joined else Padded(model)
        self._states = HiddenStates(model.encoder.layers)

    def steps(self, samples: int) -> int:
        """See `SpeechEncoder`; the convolutions take whole fields only."""
        return max(0, (samples - self.field) // self.hop + 1)

    def prepared(self, signal: np.ndarray) -> np.ndarray:
        """See `SpeechEncoder`; of many models the signal with mean 0 and deviation 1."""
        return self._extractor(signal, sampling_rate=self.rate, return_tensors="np")["input_values"][0]

    def states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """See `SpeechEncoder`."""
        steps = [self.steps(len(signal)) for signal in signals]
        tensors = [torch.from_numpy(signal).to(self._run.device) for signal in signals]

        def compute() -> Tensor:
            return torch.stack(self._states(layers, lambda: self._batch(tensors, steps)), dim=2)  # (B, T, L, F)

        return self._batch.parted(self._run(compute).numpy(), steps)


class WhisperEncoder(_Computing):
    """Whisper's encoder, which takes sound padded to 30 s; steps past a signal's end are dropped."""

    def __init__(self, model: Any, extractor: Any, precision: str):
        self._model, device = placed(model.get_encoder())
        self._states = HiddenStates(self._model.layers)
        self._run, self._extractor = Precision(device, precision, self._model), extractor
        self.rate = int(extractor.sampling_rate)
        strides = self._model.conv1.stride[0] * self._model.conv2.stride[0]
        self.hop = self.field = int(extractor.hop_length) * strides
        self.most_s: float | None = self._model.config.max_source_positions * self.hop / self.rate

    def steps(self, samples: int) -> int:
        """See `SpeechEncoder`; the last one may be of a part."""
        return -(-samples // self.hop)

    def prepared(self, signal: np.ndarray) -> np.ndarray:
        """See `SpeechEncoder`."""
        return signal

    def states(self, signals: Sequence[np.ndarray], layers: Sequence[int]) -> list[np.ndarray]:
        """See `SpeechEncoder`."""
        made = self._extractor(list(signals), sampling_rate=self.rate, return_tensors="pt")
        x = made["input_features"].to(self._run.device)  # (B, mel bands, frames of 30 s)

        def compute() -> Tensor:
            found = self._states(layers, lambda: self._model(x, output_hidden_states=True))
            return torch.stack(found, dim=2)  # (B, T, L, F)

        states = self._run(compute).numpy()
        return [rows[: self.steps(len(signal))].copy() for rows, signal in zip(states, signals, strict=True)]


def load_speech(sizes: SpeechSizes, precision: str = "auto") -> SpeechEncoder:
    """The encoder that `sizes` tell of."""
    if sizes.folder is None:
        return _random(precision)
    extractor = checkpoints.load_preprocessor(sizes.folder, "AutoFeatureExtractor")
    if sizes.model_type == "whisper":
        return WhisperEncoder(checkpoints.load_model(sizes.folder, unused=("decoder.",)), extractor, precision)
    unused = ("masked_spec_embed", "adapter.")
    return WaveEncoder(checkpoints.load_model(sizes.folder, unused), extractor, precision)


def _random(precision: str) -> SpeechEncoder:
    """A narrow WavLM of random weights, always the same ones."""
    library = checkpoints.transformers()
    sizes: Mapping[str, Any] = {
        "hidden_size": RANDOM_WIDTH,
        "num_hidden_layers": RANDOM_LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": RANDOM_WIDTH,
        "conv_dim": (RANDOM_WIDTH,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.WavLMModel(library.WavLMConfig(**sizes)).eval()
    return WaveEncoder(model, library.Wav2Vec2FeatureExtractor(), precision)
