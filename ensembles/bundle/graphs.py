"""Torch models as ONNX graphs of one clip: features as they lie in a store go in, predictions come out."""

import io
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ensembles.continuous.objective import NO_WEIGHT
from ensembles.records.ensemble import Ensemble
from ensembles.records.over_time import OverTime
from features.errors import EmofuseError
from models.blocks.stills import StillNetwork
from models.blocks.volumes import VolumeNetwork
from models.blocks.window_lstm import WindowLSTM
from models.family import Model
from models.metrics import FLOOR
from models.training.network import ClipNetwork, recur
from models.training.regression import StepNetwork, repeated
from models.training.torch_model import TorchModel
from models.whitened import Projection, WhitenedModel

# What every operator below is part of; onnxruntime of three years knows it.
_OPSET = 17
# `steps` are predictions of continuous emotion (T, D).
Gives = Literal["probabilities", "encoding", "steps"]


@dataclass(frozen=True)
class Slot:
    """An input of a graph: (T, ...) of a frame-level one, else (F,); an image is uint8, all else float32."""

    name: str
    per_frame: bool
    shape: tuple[int, ...]
    image: bool


@dataclass(frozen=True)
class ClipGraph:
    """A graph with its inputs. Whoever runs it repeats the last step of a clip shorter than `min_steps`.

    A longer clip than `window` steps, each `gap` apart, is cut into windows, the last one flush with its end; the
    outputs are then averaged over them.
    """

    model: bytes
    slots: tuple[Slot, ...]
    min_steps: int
    window: int | None
    gap: int


def clip_graph(model: Model, gives: Gives = "probabilities") -> ClipGraph | str:
    """The graph of a loaded model, or in words why there is none."""
    known: Mapping[str, Projection] = {}
    if isinstance(model, WhitenedModel):
        known, model = model.projections, model.model
    if not isinstance(model, TorchModel):
        return "it is no torch network"
    network, slots = model.network.eval(), []
    for slot in model.family.slots(model.context.shapes):
        shape = known[slot.slot].mean.shape if slot.slot in known else tuple(model.context.shapes[slot.slot])
        slots.append(Slot(slot.slot, slot.level == "frame", shape, slot.is_image))
    module = _OneClip(network, tuple(slots), known, gives)
    cut = network.cut_into
    example, per_step = [_zeros(slot, module.traced) for slot in slots], gives == "steps"
    data = _exported(module, example, slots, gives, model.family.name, per_step)
    return ClipGraph(data, tuple(slots), network.min_steps, cut.steps if cut else None, cut.gap if cut else 1)


class _OneClip(nn.Module):
    """The network on a batch of one clip, with all that is done to features before it."""

    def __init__(self, network: ClipNetwork, slots: tuple[Slot, ...], known: Mapping[str, Projection], gives: Gives):
        super().__init__()
        self.network, self.slots, self._gives = network, slots, gives
        for name, projection in known.items():
            self.register_buffer(f"mean_{name}", torch.tensor(projection.mean))
            self.register_buffer(f"matrix_{name}", torch.tensor(projection.matrix))
        self._known = frozenset(known)

    @property
    def traced(self) -> int:
        """How many steps the example has, which the graph must not depend on."""
        # Axes of length 1 would be taken for such whatever the clip, also behind a pooling over time.
        unit = self.network.window * self.network.rate if isinstance(self.network, VolumeNetwork) else 1
        return max(5, self.network.min_steps, 2 * unit + 1)

    def forward(self, *given: Tensor) -> Tensor:
        inputs, lengths = {}, {}
        for slot, x in zip(self.slots, given, strict=True):
            if not slot.per_frame:
                x = x[None]
            if slot.name in self._known:
                x = (x - getattr(self, f"mean_{slot.name}")) @ getattr(self, f"matrix_{slot.name}")
            if not slot.image:
                x = self.network.scalers[slot.name](x)
            inputs[slot.name] = x[None]  # (1, T, ...)
            lengths[slot.name] = torch._shape_as_tensor(x)[:1]
        return self._scores(inputs, lengths)

    def _scores(self, inputs: dict[str, Tensor], lengths: dict[str, Tensor]) -> Tensor:
        network = self.network
        if self._gives == "steps":
            assert isinstance(network, StepNetwork)
            steps = next(iter(inputs.values())).shape[1]
            return repeated(network.steps(inputs, lengths), network.window)[0, :steps]
        if isinstance(network, WindowLSTM):
            rows = network.frames(inputs[network.slot][0])  # (T, D)
            own = torch.minimum(torch.arange(network.cut_into.steps), lengths[network.slot] - 1)
            code = recur(network.lstm, rows[own][None])[:, -1]
            return network.head(code).softmax(1)[0] if self._gives == "probabilities" else code[0]
        if isinstance(network, StillNetwork):
            rows = network.frames(inputs[network.slot][0])
            return (network.head(rows).softmax(1) if self._gives == "probabilities" else rows).mean(0)
        if self._gives == "encoding":
            return network.encode(inputs, lengths)[0]
        return network(inputs, lengths).softmax(1)[0]


class LayerGraph(nn.Module):
    """A layer of a backbone for every picture (T, H, W[, 3])."""

    def __init__(self, network: StillNetwork, layer: str):
        super().__init__()
        self.network, self._layer = network, layer

    def forward(self, images: Tensor) -> Tensor:
        return self.network.read(images, self._layer)


def layer_graph(backbone: Any, layer: str) -> bytes:
    """A backbone's layer (T, F) as a graph of `images` (T, H, W[, 3]) uint8."""
    slot = Slot("images", True, tuple(backbone.context.shapes["faces"]), True)
    module = LayerGraph(backbone.network.eval(), layer)
    return _exported(module, [_zeros(slot, 3)], [slot], "layer", backbone.family.name, per_step=True)


def _zeros(slot: Slot, steps: int) -> Tensor:
    return torch.zeros(*([steps] if slot.per_frame else []), *slot.shape, dtype=torch.uint8 if slot.image else None)


def _exported(
    module: nn.Module, example: list[Tensor], slots: list[Slot], output: str, family: str, per_step: bool = False
) -> bytes:
    axes = {slot.name: {0: f"steps_of_{slot.name}"} for slot in slots if slot.per_frame}
    if per_step:
        axes[output] = {0: f"steps_of_{slots[0].name}"}
    file = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer, which can't know that one clip has all its steps
            torch.onnx.export(
                module.eval(),
                tuple(example),
                file,  # type: ignore[arg-type]
                input_names=[slot.name for slot in slots],
                output_names=[output],
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
    except ImportError as error:
        raise EmofuseError(f"ONNX graphs need onnx ({error}): pip install 'emofuse[onnx]'.") from None
    except Exception as error:  # a plug-in's network may do what no graph can
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise EmofuseError(f"The family {family!r} can't be written as an ONNX graph ({text}).") from None
    return file.getvalue()


class _Fusion(nn.Module):
    """`ensembles.fusion.pooling.combine` for one clip: `P` (M, C) and `valid` (M,) to (C,)."""

    weights: Tensor
    coefficients: Tensor
    biases: Tensor
    temperatures: Tensor

    def __init__(self, ensemble: Ensemble):
        super().__init__()
        self._pooled, self._missing = ensemble.log_pool is not None, ensemble.missing
        self._heated = ensemble.temperatures is not None
        pool, heats = ensemble.log_pool, ensemble.temperatures
        self.register_buffer("weights", torch.tensor(ensemble.weights).double())
        self.register_buffer("coefficients", torch.tensor(pool.coefficients if pool else []).double())
        self.register_buffer("biases", torch.tensor(pool.biases if pool else []).double())
        self.register_buffer("temperatures", torch.tensor(list(heats or [])).double())

    def forward(self, P: Tensor, valid: Tensor) -> Tensor:
        P, has = P.double(), valid.double()[:, None]  # (M, C), (M, 1)
        classes = self.weights.shape[1]
        if self._heated:
            P = (P.clamp(min=FLOOR).log() / self.temperatures[:, None]).softmax(1)
        count = has.sum().clamp(min=1)
        if self._pooled:
            logs = (0.99 * P + 0.01 / classes).log()
            mean = (logs * has).sum(0, keepdim=True) / count
            filled = mean if self._missing == "share" else torch.full_like(mean, -math.log(classes))
            logs = logs * has + filled * (1 - has)
            fused = (torch.einsum("mk,mkc->c", logs, self.coefficients) + self.biases).softmax(0)
        elif self._missing == "uniform":
            fused = ((P * has + (1 - has) / classes) * self.weights).sum(0)
        else:
            present = (has * self.weights).sum(0)
            shared = (P * has * self.weights).sum(0) / torch.where(present > 0, present, torch.ones_like(present))
            fused = torch.where(present > 0, shared, (P * has).sum(0) / count)
        total, uniform = fused.sum(), torch.full_like(fused, 1 / classes)
        fused = torch.where(total > 0, fused / torch.where(total > 0, total, torch.ones_like(total)), uniform)
        return torch.where(has.sum() > 0, fused, uniform).float()


class _FusionOverTime(nn.Module):
    """`ensembles.continuous.fusion.fuse` for one recording: `P` (T, M, D) and `valid` (M,) to (T, D)."""

    weights: Tensor
    scale: Tensor
    offset: Tensor
    label_mean: Tensor

    def __init__(self, weights: np.ndarray, over_time: OverTime):
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights).double())
        for name in ("scale", "offset", "label_mean"):
            self.register_buffer(name, torch.tensor(getattr(over_time, name)).double())

    def forward(self, P: Tensor, valid: Tensor) -> Tensor:
        has = valid.double()[:, None]  # (M, 1)
        P, count = P.double() * has, has.sum()
        totals = (has * self.weights).sum(0)  # (D,)
        shared = (P * self.weights).sum(1) / torch.where(totals > NO_WEIGHT, totals, torch.ones_like(totals))
        means = torch.where(totals > NO_WEIGHT, shared, P.sum(1) / count.clamp(min=1))
        return torch.where(count > 0, self.scale * means + self.offset, self.label_mean).float()


def fusion_graph(ensemble: Ensemble) -> bytes:
    """The fusion of one clip's member probabilities `P` (M, C), of which `valid` (M,) tells the present, as a graph.

    Of continuous emotion, `P` (T, M, D) are a recording's predictions, and those fused are (T, D).
    """
    M, C = ensemble.weights.shape
    if ensemble.over_time is not None:
        inputs = [Slot("P", True, (M, C), False), Slot("valid", False, (M,), False)]
        given = [torch.zeros(3, M, C), torch.ones(M, dtype=torch.bool)]
        fusion = _FusionOverTime(ensemble.weights, ensemble.over_time)
        return _exported(fusion, given, inputs, "predictions", ensemble.method, per_step=True)
    example = [torch.full((M, C), 1 / C), torch.ones(M, dtype=torch.bool)]
    slots = [Slot("P", False, (M, C), False), Slot("valid", False, (M,), False)]
    return _exported(_Fusion(ensemble), example, slots, "probabilities", ensemble.method)
