"""What the sections of `benchmarks/gpu.py` measure in their own process, a row for each item."""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from gpu_worlds import CLASSES, Enough, World, clips_per_s, plain_clips_per_s

from models.blocks.synchrony import train_synchrony
from models.registry import get_family

Row = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What the sections are told: where they run, and whether sizes are tiny."""

    device: str
    tiny: bool
    families: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long a speed is measured."""
        return 0.02 if self.tiny else 1.5

    @property
    def threads(self) -> int:
        """What a CPU is measured on: all of it."""
        return 1 if self.tiny else os.cpu_count() or 1

    def wanted(self, among: list[str]) -> list[str]:
        """The families that were asked for, of those that a section knows."""
        return [name for name in among if not self.families or name in self.families]


# Of this family only the autoencoder is trained on the card; its examples are blocks of video.
BLOCKS = "activity_svm"
# The networks that gain most by a card come first, those that are measured longest last.
ORDER = [
    "lstm_encoder",
    "face_cnn",
    "vgg16",
    "vgg_lstm",
    "cnn_irnn",
    "inception_v2",
    "audio_lstm",
    "alexnet_face",
    "convnet100",
    "temporal_pooling",
    "layer_mix",
    "attention_pool",
    "embedding_head",
    "fusion_mlp",
    BLOCKS,
    "conv3d",
    "audio_map_lstm",
    "attention_lstm",
    "convlstm",
    "convlstm3d",
]


def family_row(name: str, given: Given) -> Row:
    """Speeds on the card in both precisions, memory, what a plain loop does, where the time goes, what is learnt."""
    if name == BLOCKS:
        return {"float32_per_s": _blocks_per_s(given, given.device), "asks_gpu": get_family(name).resources.gpu}
    began, world = time.perf_counter(), World.of(name, given.tiny)
    row: Row = {"batch": world.model("cpu").settings.batch_size, "asks_gpu": world.family.resources.gpu}
    for precision in ("float32", "auto"):
        with _part(row, precision), _peak(given.device) as peak:
            row[f"{precision}_per_s"] = clips_per_s(world.model(given.device, precision), world.train, given.seconds)
        row[f"{precision}_mb"], row[f"{precision}_reserved_mb"] = peak
    with _part(row, "plain"):
        row["plain_per_s"] = plain_clips_per_s(world, given.device, given.seconds)
    with _part(row, "score"):
        row["score_per_s"] = _scoring_per_s(world, given)
    with _part(row, "profile"):
        row |= _where_time_goes(world, given)
    if world.size.epochs:
        with _part(row, "learning"):
            row |= _learning(world, given)
    return {**row, "took_s": time.perf_counter() - began}


def _blocks_per_s(given: Given, device: str) -> float:
    """Whitened blocks per second of the synchrony autoencoder with the published number of units."""
    x = torch.randn(256 if given.tiny else 40_000, 1024, generator=torch.Generator().manual_seed(0)).to(device)
    hp = get_family(BLOCKS).published[0]

    def train(epochs: int) -> None:
        train_synchrony(x, units=hp["units"], weight=hp["contraction"], lr=hp["lr"], epochs=epochs, seed=0)

    train(1)
    started = time.perf_counter()
    train(2)
    return 2 * len(x) / (time.perf_counter() - started)


@contextmanager
def _part(row: Row, name: str) -> Iterator[None]:
    """A part that fails leaves the others; a card that no longer answers ends the process."""
    try:
        yield
    except Exception as error:
        row[f"{name}_failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        sys.stderr.write(f"{name}: {json.dumps(row, default=str)}\n")
        check_card()


def check_card() -> None:
    """Raise SystemExit(17) when the card's context is lost, as it is after an illegal access."""
    gc.collect()
    if torch.cuda.is_available():
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            sys.stderr.write(f"the card's context is lost: {error}\n")
            raise SystemExit(17) from None


@contextmanager
def _peak(device: str) -> Iterator[list[float]]:
    """Peak GPU memory, allocated and reserved, in MB, within the block."""
    found = [0.0, 0.0]
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield found
    if device == "cuda":
        found[:] = [torch.cuda.max_memory_allocated() / 2**20, torch.cuda.max_memory_reserved() / 2**20]


def _scoring_per_s(world: World, given: Given) -> float:
    model = world.model(given.device)
    model._network = model._build()
    examples, times = world.train, 0
    score = model.predict_steps if world.regression else model.predict  # type: ignore[attr-defined]
    score(examples)
    started = time.perf_counter()
    while times == 0 or time.perf_counter() - started < given.seconds / 2:
        score(examples)
        times += 1
    return len(examples) * times / (time.perf_counter() - started)


def _where_time_goes(world: World, given: Given) -> Row:
    """Of one epoch over few clips: the share of time in which the card computes, and copies; kernels of each batch."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if given.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    profiler = torch.profiler.profile(activities=activities)
    model, examples = world.model(given.device), world.few()
    ends: list[float] = []

    def report(epoch: int, metrics: dict[str, float]) -> None:
        ends.append(time.perf_counter())
        if epoch == 2:
            profiler.start()
        if epoch == 3:
            profiler.stop()
            raise Enough

    with suppress(Enough):
        model.fit(examples, None, epochs=3, report=report)
    wall_s = ends[1] - ends[0]  # of the epoch before the profiled one, which is slower for it
    batches = -(-world.count(examples) // model.settings.batch_size)
    kernels, copies, launches = 0.0, 0.0, 0
    host = {}
    for event in profiler.key_averages():
        if event.device_type == torch.autograd.DeviceType.CPU:
            host[event.key] = event.self_cpu_time_total / 1e6
        elif not getattr(event, "is_user_annotation", False):
            took = event.self_device_time_total / 1e6
            if event.key.startswith(("Memcpy", "Memset")):
                copies += took
            else:
                kernels, launches = kernels + took, launches + event.count
    busy, copying = kernels / wall_s, copies / wall_s
    bound = "computing" if busy > 0.8 else "copying" if copying > 0.3 else "launching"
    slowest = sorted(host, key=host.__getitem__, reverse=True)[:4]
    return {
        "epoch_ms": 1e3 * wall_s,
        "busy": busy,
        "copying": copying,
        "kernels_per_batch": launches / batches,
        "us_per_kernel": 1e6 * wall_s / launches if launches else None,
        "bound_by": bound if launches else None,
        "host": {key: round(host[key], 4) for key in slowest},
    }


def _learning(world: World, given: Given) -> Row:
    """Held-out scores after the same few epochs: float32, mixed precision, float32 from another seed."""
    found = {}
    for key, precision, seed in (("float32", "float32", 0), ("mixed", "auto", 0), ("other_seed", "float32", 1)):
        model = world.model(given.device, precision, seed, learns=True)
        metrics = model.fit(world.train, world.held_out, max_epochs=world.size.epochs).metrics
        found[key] = {name: round(float(value), 4) for name, value in metrics.items()}
    name = "ccc" if world.regression else "accuracy"
    p, n = found["float32"][name], len(world.held_out)
    noise = 0.05 if world.regression else 2 * (2 * max(p * (1 - p), 0.01) / n) ** 0.5
    return {
        "learnt": found,
        "off": found["mixed"][name] - p,
        "noise": noise,
        "within_noise": abs(found["mixed"][name] - p) <= noise,
    }


def cpu_row(name: str, given: Given) -> Row:
    """Clips per second of the same loop on all cores of the CPU beside the card, in float32."""
    torch.set_num_threads(given.threads)
    if name == BLOCKS:
        return {"cpu_per_s": _blocks_per_s(given, "cpu"), "cores": os.cpu_count(), "warm": True}
    world = World.of(name, given.tiny)
    model, few, ends = world.model("cpu", "float32"), world.few(), [time.perf_counter()]

    def report(epoch: int, metrics: dict[str, float]) -> None:
        ends.append(time.perf_counter())
        if len(ends) > 2 or ends[-1] - ends[0] > 3 * given.seconds:
            raise Enough

    with suppress(Enough):
        model.fit(few, None, epochs=3, report=report)
    examples = world.train if world.regression else few
    share = world.count(few) / world.count(examples)
    if world.regression:
        share = sum(map(len, few.inputs["faces"])) / sum(map(len, examples.inputs["faces"]))
    return {"cpu_per_s": share * len(examples) / (ends[-1] - ends[-2]), "cores": os.cpu_count(), "warm": len(ends) > 2}


def fusion_row(name: str, given: Given) -> Row:
    """The decision search on the card and on the CPU: the same weights, draws per second."""
    from ensembles.fusion import DecisionFusion

    M, N, C, draws = {"5x383x7": (5, 383, 7, 100_000), "20x2000x8": (20, 2000, 8, 5_000)}[name]
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    z = rng.normal(size=(M, N, C))
    z[:, np.arange(N), y] += 0.5
    P = np.exp(z)
    P = (P / P.sum(axis=2, keepdims=True)).astype(np.float32)
    draws = 200 if given.tiny else draws
    fitted = {}
    row: Row = {}
    for device in (None, given.device):
        DecisionFusion(draws=1, sigma_min=0.4, device=device).fit(P, y)  # compile
        started = time.perf_counter()
        fitted[device] = DecisionFusion(draws=draws, device=device).fit(P, y)
        row[f"{device or 'compiled'}_draws_per_s"] = fitted[device].n_draws_ / (time.perf_counter() - started)
    one, other = fitted[None], fitted[given.device]
    row |= {
        "same_weights": bool((one.weights_ == other.weights_).all()),
        "same_draws": one.trace_ == other.trace_,
        "draws": one.n_draws_,
    }
    return row


_READ = {
    "face_cnn": ("conv3", 4096),
    "inception_v2": ("global_pool", 2048),
    "convnet100": ("logits", 1024),
    "alexnet_face": ("pool5", 512),
    "vgg16": ("fc6", 256),
}


def extract_row(name: str, given: Given) -> Row:
    """Faces per second of a backbone's activations, on the card (more at once, too) and on the CPU; how far apart."""
    from models.blocks import stills

    layer, n = _READ[name]
    world = World.of(name, given.tiny)
    images = np.concatenate(world.train.inputs["faces"])
    images = images[np.arange(8 if given.tiny else n) % len(images)]
    torch.set_num_threads(given.threads)
    models = {}
    for device in ("cpu", given.device):
        models[device] = world.model(device)
        models[device]._network = models[device]._build()

    def per_s(device: str, faces: np.ndarray) -> tuple[float, np.ndarray]:
        read = models[device].activations  # type: ignore[attr-defined]
        made = read(faces, layer)
        started = time.perf_counter()
        read(faces, layer)
        return len(faces) / (time.perf_counter() - started), made

    row: Row = {"layer": layer, "at_once": stills.frames_at_once(images.shape[1:], torch.device(given.device))}
    row["cpu_per_s"], ours = per_s("cpu", images[: max(4, len(images) // 8)])
    row["gpu_per_s"], theirs = per_s(given.device, images)
    row["off"] = float(abs(theirs[: len(ours)] - ours).max() / max(abs(ours).max(), 1e-9))
    as_many = {
        "as_many_as_on_a_cpu": stills.frames_at_once(images.shape[1:], torch.device("cpu")),
        "4_times_as_many": 4 * row["at_once"],
    }
    for name, count in as_many.items():
        with (
            _part(row, name),
            _peak(given.device) as peak,
            patch.object(stills, "frames_at_once", lambda *_, count=count: count),
        ):
            row[f"gpu_per_s_{name}"] = per_s(given.device, images)[0]
        row[f"mb_{name}"] = peak[0]
    return row


def card() -> Row:
    """What was measured on."""
    row: Row = {
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "classes": len(CLASSES),
    }
    if torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        row |= {
            "card": found.name,
            "memory_mb": found.total_memory / 2**20,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "bfloat16": torch.cuda.is_bf16_supported(),
            "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        }
    return row
