"""What `benchmarks/gpu.py` trains on: generated clips for every family with a network, and a plain training loop."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.examples import Examples
from models.family import Context, Family
from models.registry import get_family
from models.training.torch_model import TorchModel

CLASSES = tuple("abcdefg")
DIMENSIONS = ("arousal", "valence")
# Of 100 labels so many are drawn anew: no network can be right about them, so that scores are not all 1.
_WRONG = 15


@dataclass(frozen=True)
class Size:
    """How much a family is given: clips to fit and to hold out, their steps, and epochs to learn in.

    `few` clips are what a CPU is timed on, and what is profiled. Without epochs nothing is learnt: vgg_lstm would take
    too long, and its parts are vgg16 and the LSTM over windows of audio_map_lstm.
    """

    clips: int
    held_out: int
    steps: tuple[int, int]
    epochs: int
    few: int


# Sequences as long as AFEW's clips, stills by the thousand, recordings as long as SEWA's at 10 frames a second.
SIZES = {
    "alexnet_face": Size(512, 256, (1, 1), 5, 256),
    "attention_lstm": Size(384, 384, (20, 80), 12, 128),
    "attention_pool": Size(384, 384, (20, 80), 12, 128),
    "audio_lstm": Size(384, 384, (16, 50), 12, 64),
    "audio_map_lstm": Size(96, 128, (8, 24), 5, 16),
    "cnn_irnn": Size(384, 384, (20, 80), 20, 128),
    "conv3d": Size(2, 1, (1700, 1700), 2, 1),
    "convlstm": Size(2, 1, (1700, 1700), 2, 1),
    "convlstm3d": Size(2, 1, (1700, 1700), 2, 1),
    "convnet100": Size(1024, 512, (1, 1), 6, 128),
    "embedding_head": Size(384, 384, (1, 1), 12, 128),
    "face_cnn": Size(2048, 1024, (1, 1), 6, 256),
    "fusion_mlp": Size(384, 384, (1, 1), 30, 128),
    "inception_v2": Size(1024, 512, (1, 1), 5, 64),
    "layer_mix": Size(384, 384, (20, 80), 12, 64),
    "lstm_encoder": Size(384, 384, (20, 80), 12, 128),
    "temporal_pooling": Size(384, 384, (20, 80), 12, 128),
    "vgg16": Size(256, 128, (1, 1), 5, 64),
    "vgg_lstm": Size(16, 1, (121, 121), 0, 2),
}
TINY = Size(6, 4, (3, 5), 2, 4)
# Epochs are few: within the space, hyperparameters with which they are enough to learn something.
_LEARNS: dict[str, dict[str, Any]] = {
    "alexnet_face": {"batch_norm": True, "dropout": 0.0, "batch_size": 32},
    "audio_lstm": {"lr": 0.003},
    "audio_map_lstm": {"single_epochs": 3, "dropout": 0.0},
    "cnn_irnn": {"lr": 0.05, "momentum": 0.9, "batch_size": 16},
    "convnet100": {"batch_norm": True, "dropout": 0.0, "lr": 0.01},
    "face_cnn": {"batch_norm": True, "dropout": 0.0},
    "fusion_mlp": {"activation": "relu", "momentum": 0.9, "lr": 0.05},
    "inception_v2": {"dropout": 0.0},
    "lstm_encoder": {"lr": 0.01},
    "vgg16": {"batch_norm": True, "dropout": 0.0, "head_lr": 1.0, "lr": 0.01},
}
# Only the second step is timed: the first is what vgg16 and inception_v2 do.
_TIMED: dict[str, dict[str, Any]] = {"vgg_lstm": {"single_epochs": 0}, "audio_map_lstm": {"single_epochs": 0}}
_SHAPES = {1: (7,), 2: (48, 48), 3: (224, 224, 3)}
_SIDES = {
    "convnet100": (100, 100),
    "audio_map_lstm": (34, 34),
    "conv3d": (112, 112),
    "convlstm": (112, 112),
    "convlstm3d": (112, 112),
}
_SMALL = {
    "alexnet_face": (40, 40, 3),
    "audio_map_lstm": (34, 34),
    "conv3d": (16, 16),
    "convlstm": (16, 16),
    "convlstm3d": (16, 16),
    "convnet100": (32, 32),
    "vgg16": (32, 32, 3),
    "vgg_lstm": (32, 32, 3),
}
# Of families that read no set of ours: the members of a fusion, and what encoders of base size give.
_GIVEN: dict[str, dict[str, tuple[int, ...]]] = {
    "fusion_mlp": {"members_1": (105,), "members_2": (10,), "members_3": (200,)},
    "attention_pool": {"frames_1": (768,), "frames_2": (768,)},
    "embedding_head": {"embedding": (768,)},
    "layer_mix": {"layers": (13, 768)},
}


@dataclass
class World:
    """One family with its clips. `tiny` is for machines without a GPU."""

    family: Family
    size: Size
    shapes: dict[str, tuple[int, ...]]
    tiny: bool
    train: Examples
    held_out: Examples

    @classmethod
    def of(cls, name: str, tiny: bool) -> "World":
        """The same clips every time."""
        family, size = get_family(name), TINY if tiny else SIZES[name]
        shapes = _shapes(family, tiny)
        fit, held_out = (
            _examples(family, shapes, n, size.steps, seed) for seed, n in ((0, size.clips), (1, size.held_out))
        )
        return cls(family, size, shapes, tiny, fit, held_out)

    @property
    def regression(self) -> bool:
        """Whether every step is scored."""
        return "regression" in self.family.tasks

    def model(self, device: str, precision: str = "auto", seed: int = 0, learns: bool = False) -> TorchModel:
        """An unfitted model with the published hyperparameters, or those that learn in few epochs."""
        name = self.family.name
        more = (_LEARNS if learns else _TIMED).get(name, {})
        hyperparameters = {**self.family.published[0], **(self.family.smoke if self.tiny else {}), **more}
        classes = () if self.regression else CLASSES
        context = Context(classes, self.shapes, seed, device, dimensions=DIMENSIONS if self.regression else ())
        model = self.family.build(hyperparameters, context)
        assert isinstance(model, TorchModel)
        model.settings = replace(model.settings, precision=precision)
        if hasattr(model, "_first"):
            model._first = replace(model._first, precision=precision)
        return model

    def count(self, examples: Examples) -> int:
        """How many examples a training makes of these: clips, their steps or their windows."""
        model = self.model("cpu")
        return len(model._outline().examples(model._pack(examples)))

    def few(self) -> Examples:
        """The first clips only; of recordings the first minute."""
        some = self.train.subset(range(min(self.size.few, len(self.train))))
        if not self.regression:
            return some
        assert some.targets is not None
        return replace(
            some,
            inputs={slot: [a[:600] for a in arrays] for slot, arrays in some.inputs.items()},
            targets=[t[:600] for t in some.targets],
        )


def _shapes(family: Family, tiny: bool) -> dict[str, tuple[int, ...]]:
    if family.name in _GIVEN:
        return dict(_GIVEN[family.name])
    ((slot, rank, default),) = ((i.slot, i.rank, i.default) for i in family.inputs)
    if tiny:
        return {slot: _SMALL.get(family.name, _SHAPES[rank])}
    if default == "short_term":
        return {slot: (34,)}
    backbone, _, layer = default.partition(".")
    if layer and layer != "logits":
        shape = (48, 48)
        built = get_family(backbone)
        width = built.build(built.published[0], Context(CLASSES, {"faces": shape})).width(layer)  # type: ignore[attr-defined]
        return {slot: (width,)}
    return {slot: _SIDES.get(family.name, _SHAPES[rank])}


def _examples(
    family: Family, shapes: dict[str, tuple[int, ...]], n: int, steps: tuple[int, int], seed: int
) -> Examples:
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    y = rng.integers(0, len(CLASSES), n)
    lengths = rng.integers(steps[0], steps[1] + 1, n)
    inputs: dict[str, list[np.ndarray]] = {}
    tracks = [np.cumsum(rng.normal(size=(t, 2)), 0).astype(np.float32) / 10 for t in lengths]
    for slot in family.slots(shapes):
        shape = shapes[slot.slot]
        kinds = fixed.normal(size=(len(CLASSES), *shape)).astype(np.float32)
        if slot.rank > 1:  # large patches, as pictures have
            kinds = kinds[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)[:, : shape[0], : shape[1]]
        if slot.is_image:
            pictures = np.clip(64 + 30 * kinds, 0, 127).astype(np.uint8)
            noise = (rng.integers(0, 128, (t, *shape), dtype=np.uint8) for t in lengths)
            moving = [None if "regression" not in family.tasks else np.clip(40 * t[:, 0], 0, 100) for t in tracks]
            inputs[slot.slot] = [
                a + pictures[c] if m is None else (a // 2 + m[:, None, None].astype(np.uint8))
                for c, a, m in zip(y, noise, moving, strict=True)
            ]
            continue
        drawn = [
            rng.standard_normal((t, *shape), dtype=np.float32) + kinds[c] / 2 for c, t in zip(y, lengths, strict=True)
        ]
        inputs[slot.slot] = [a[0] for a in drawn] if slot.level == "clip" else drawn
    ids = tuple(f"c{i}" for i in range(n))
    if "regression" in family.tasks:
        return Examples(ids, inputs, (), targets=tracks, dimensions=DIMENSIONS)
    wrong = rng.integers(0, 100, n) < _WRONG
    return Examples(ids, inputs, CLASSES, np.where(wrong, rng.integers(0, len(CLASSES), n), y))


def plain_clips_per_s(world: World, device: str, seconds: float) -> float:
    """Clips per second of the loop that most people would write: the same network, types and optimiser, one batch of
    padded arrays after the other."""
    model = world.model(device)
    network, settings = model._build().train(), model.settings
    network.fit_scalers(model._pack(world.few()))
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = {
        "sgd": lambda: torch.optim.SGD(parameters, settings.lr, settings.momentum),
        "adam": lambda: torch.optim.Adam(parameters, settings.lr),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, settings.lr),
    }[settings.optimiser]()
    dtype = settings.autocast_type(torch.device(device))
    items, rng = _items(world, network), np.random.default_rng(0)

    def step(batch: list[tuple[dict[str, Tensor], Tensor]]) -> float:
        lengths = {slot: torch.tensor([len(x[slot]) for x, _ in batch]).to(device) for slot in batch[0][0]}
        inputs = {slot: pad_sequence([x[slot] for x, _ in batch], batch_first=True).to(device) for slot in batch[0][0]}
        labels = [y for _, y in batch]
        y = (pad_sequence(labels, batch_first=True) if world.regression else torch.stack(labels)).to(device)
        with torch.autocast(torch.device(device).type, dtype, enabled=dtype != torch.float32):
            outputs = network.steps(inputs, lengths) if world.regression else network(inputs, lengths)
        loss = F.mse_loss(outputs.float(), y) if world.regression else F.cross_entropy(outputs.float(), y)
        if settings.l1:
            loss = loss + settings.l1 * sum(p.abs().sum() for p in parameters)
        if (penalty := network.penalty()) is not None:
            loss = loss + penalty
        optimiser.zero_grad()
        loss.backward()
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        return loss.item()

    def epoch() -> None:
        order = rng.permutation(len(items))
        for at in range(0, len(items), settings.batch_size):
            step([items[i] for i in order[at : at + settings.batch_size]])

    return len(world.train) * _rate(epoch, seconds)


def _items(world: World, network: Any) -> list[tuple[dict[str, Tensor], Tensor]]:
    """Every example that the network is trained on: clips, their steps, or their windows."""
    found = []
    for n in range(len(world.train)):
        x = {slot: torch.from_numpy(np.atleast_2d(arrays[n])) for slot, arrays in world.train.inputs.items()}
        if world.regression:
            assert world.train.targets is not None
            y = torch.from_numpy(world.train.targets[n])
            found.append((x, y[:: network.window]))
            continue
        label, length = torch.tensor(int(world.train.labels()[n])), len(next(iter(x.values())))
        cuts = [slice(None)]
        if network.step_by_step:
            cuts = [slice(t, t + 1) for t in range(length)]
        elif window := network.cut_into:
            span, beyond = window.steps * window.gap, max(0, -(-length // window.gap) - window.steps)
            firsts = (min(at, beyond) * window.gap for at in range(0, beyond + window.steps, window.steps))
            cuts = [slice(first, first + span, window.gap) for first in firsts]
        found += [({slot: a[cut] for slot, a in x.items()}, label) for cut in cuts]
    return found


def _rate(work: Callable[[], None], seconds: float) -> float:
    """How often per second `work` is done, after once to warm up."""
    work()
    started, times = time.perf_counter(), 0
    while times == 0 or time.perf_counter() - started < seconds:
        work()
        times += 1
    return times / (time.perf_counter() - started)


class Enough(Exception):
    """Raised out of a training that was timed for long enough."""


def epoch_ends(model: TorchModel, examples: Examples, stop: Callable[[list[float]], bool]) -> list[float]:
    """When each epoch of a training ended, until `stop(ends)`."""
    ends: list[float] = []

    def report(epoch: int, metrics: dict[str, float]) -> None:
        ends.append(time.perf_counter())
        if stop(ends):
            raise Enough

    with suppress(Enough):
        model.fit(examples, None, epochs=10_000, report=report)
    return ends


def clips_per_s(model: TorchModel, examples: Examples, seconds: float) -> float:
    """Clips per second of our own loop, after an epoch to warm up."""
    ends = epoch_ends(model, examples, lambda ends: len(ends) > 1 and ends[-1] - ends[0] > seconds)
    return len(examples) * (len(ends) - 1) / (ends[-1] - ends[0])
