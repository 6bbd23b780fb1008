"""What a vision checkpoint's configuration says of it, told without loading a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.encoders.checkpoints import is_random, known_kind, model_folder, read_config, whole_number
from features.sets import Value

# By `model_type`: the field that holds the width; CLIP's lies in a part of its own.
KINDS = {
    "clip": "hidden_size",
    "clip_vision_model": "hidden_size",
    "convnext": "hidden_sizes",
    "dinov2": "hidden_size",
    "videomae": "hidden_size",
    "vit": "hidden_size",
}
# Of `model=random`.
RANDOM_WIDTH, RANDOM_SIDE = 16, 32


@dataclass(frozen=True)
class VisionSizes:
    """A vision encoder's kind and width; `folder` is None for random weights."""

    model_type: str
    width: int
    folder: Path | None


def vision_sizes(set_name: str, params: Mapping[str, Value]) -> VisionSizes:
    """The sizes of the model that `params` names; WrongUse for one that isn't a vision encoder of a known kind."""
    if is_random(params):
        return VisionSizes("vit", RANDOM_WIDTH, None)
    folder = model_folder(set_name, params)
    config = read_config(folder)
    kind = known_kind(config, KINDS, "vision", "onnx:model=FILE", folder)
    part = config.get("vision_config") if kind == "clip" else config
    return VisionSizes(kind, whole_number(part if isinstance(part, dict) else {}, KINDS[kind], folder), folder)
