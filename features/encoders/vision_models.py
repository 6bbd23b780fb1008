"""Vision encoders of the `transformers` library: one vector for each picture, or for 16 frames one after another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from features.encoders import checkpoints
from features.encoders.hardware import placed
from features.encoders.precision import Precision
from features.encoders.vision_sizes import RANDOM_SIDE, RANDOM_WIDTH, VisionSizes
from features.errors import EmofuseError

# What of a model's output is the vector, by `model_type`: as each model's own classifier reads it.
_VECTORS: dict[str, Callable[[Any], Tensor]] = {
    "clip": lambda output: output.pooler_output,
    "clip_vision_model": lambda output: output.pooler_output,
    "dinov2": lambda output: output.last_hidden_state[:, 0],
    "vit": lambda output: output.last_hidden_state[:, 0],
    "convnext": lambda output: output.pooler_output,
    "videomae": lambda output: output.last_hidden_state.mean(dim=1),
}
_UNUSED = ("text_model.", "text_projection", "visual_projection", "logit_scale", "pooler.dense", "decoder")


class VisionEncoder:
    """CLIP's vision tower, DINOv2, ViT, ConvNeXt, VideoMAE, with the model's own way to take pictures.

    They are squares of `side` pixels, `frames` of them at once.
    """

    def __init__(self, model: Any, processor: Any, kind: str, precision: str):
        tower = model.vision_model if kind == "clip" else model
        self._model, device = placed(tower)
        self._run = Precision(device, precision, self._model)
        self._processor, self._vector = processor, _VECTORS[kind]
        self.frames = int(tower.config.num_frames) if kind == "videomae" else 1
        self.side = _side(processor)

    @property
    def computed(self) -> str:
        """In which precision the vectors were computed."""
        return self._run.computed

    def resized(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 RGB (H, W, 3) as uint8 (3, side, side), resized and cropped as the model was trained on."""
        made = self._processor(picture, do_rescale=False, do_normalize=False, return_tensors="np")
        pixels = made["pixel_values"]
        return pixels.reshape(pixels.shape[-3:]).astype(np.uint8)

    def vectors(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The vectors (F,) of pictures uint8 (3, side, side), or of blocks of them (`frames`, 3, side, side)."""
        processor, x = self._processor, torch.from_numpy(np.stack(pictures)).to(self._run.device).float()
        if processor.do_rescale:
            x = x * processor.rescale_factor
        if processor.do_normalize:
            mean, std = (
                torch.as_tensor(values, dtype=torch.float32, device=x.device).reshape(-1, 1, 1)
                for values in (processor.image_mean, processor.image_std)
            )
            x = (x - mean) / std  # (B, 3, side, side) or (B, frames, 3, side, side)
        return list(self._run(lambda: self._vector(self._model(x))).numpy())


def _side(processor: Any) -> int:
    """The side of the square pictures that the model takes, in pixels."""
    # Some cut a square out of a picture whose shorter side is `size`.
    cropped = getattr(processor, "do_center_crop", None) and getattr(processor, "crop_size", None)
    size = {name: value for name, value in vars(cropped or processor.size).items() if value}
    if len(set(size.values())) != 1:
        raise EmofuseError(f"Expected a model that takes square pictures, but its preprocessor says {size}.")
    return int(next(iter(size.values())))


def load_vision(sizes: VisionSizes, precision: str = "auto") -> VisionEncoder:
    """The encoder that `sizes` tell of."""
    if sizes.folder is None:
        return _random(precision)
    processor = checkpoints.load_preprocessor(sizes.folder, "AutoImageProcessor", backend="pil")
    return VisionEncoder(checkpoints.load_model(sizes.folder, _UNUSED), processor, sizes.model_type, precision)


def _random(precision: str) -> VisionEncoder:
    """A small ViT of random weights, always the same ones."""
    library = checkpoints.transformers()
    config = library.ViTConfig(
        hidden_size=RANDOM_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=RANDOM_WIDTH,
        image_size=RANDOM_SIDE,
        patch_size=RANDOM_SIDE // 4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.ViTModel(config).eval()
    side = {"height": RANDOM_SIDE, "width": RANDOM_SIDE}
    return VisionEncoder(model, library.ViTImageProcessorPil(size=side), "vit", precision)
