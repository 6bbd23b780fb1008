"""What a speech checkpoint's configuration says of it, told without loading a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.encoders.checkpoints import is_random, known_kind, model_folder, read_config, whole_number
from features.sets import Value

_WAVE = ("hidden_size", "num_hidden_layers")
# By `model_type`: the fields that hold the width and the number of layers.
KINDS = {
    **dict.fromkeys(("data2vec-audio", "hubert", "unispeech", "wav2vec2", "wavlm"), _WAVE),
    "whisper": ("d_model", "encoder_layers"),
}
# Of `model=random`: as many layers as the largest of these models have.
RANDOM_WIDTH, RANDOM_LAYERS = 16, 32


@dataclass(frozen=True)
class SpeechSizes:
    """A speech encoder's kind, width and number of layers; `folder` is None for random weights."""

    model_type: str
    width: int
    layers: int
    folder: Path | None


def speech_sizes(set_name: str, params: Mapping[str, Value]) -> SpeechSizes:
    """The sizes of the model that `params` names; WrongUse for one that isn't a speech encoder of a known kind."""
    if is_random(params):
        return SpeechSizes("wavlm", RANDOM_WIDTH, RANDOM_LAYERS, None)
    folder = model_folder(set_name, params)
    config = read_config(folder)
    kind = known_kind(config, KINDS, "speech", "onnx:model=FILE,of=speech", folder)
    width, layers = (whole_number(config, name, folder) for name in KINDS[kind])
    return SpeechSizes(kind, width, layers, folder)
