"""ONNX graphs as encoders: what they take and give is checked by their own declarations, and by a run on zeros."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from features.encoders.checkpoints import digest_of
from features.errors import AbsentModel, EmofuseError, WrongUse
from features.names import unknown_name

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
# Axes of sound and of pictures, the batch among them.
_SOUND_RANKS, _PICTURE_RANK = (1, 2, 3), 4


class Graph:
    """A graph from one input to one output. `shape` is its input's, -1 where a size is free."""

    def __init__(self, file: Path, input_name: str, output_name: str):
        self.file = file
        self._session = _session(file)
        taken = self._one("input", self._session.get_inputs(), input_name)
        given = self._one("output", self._session.get_outputs(), output_name)
        self.input_name, self._output = taken.name, given.name
        if others := [other.name for other in self._session.get_inputs() if other.name != taken.name]:
            raise WrongUse(f"{file}: expected a graph with one input, but beside {taken.name!r} it needs {others}.")
        if taken.type not in _FLOATS:
            raise WrongUse(f"{file}: expected an input of floats, but {taken.name!r} is a {taken.type}.")
        self._dtype = _FLOATS[taken.type]
        self.shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in taken.shape)

    def _one(self, kind: str, there: Sequence[Any], name: str) -> Any:
        names = [item.name for item in there]
        if name and name not in names:
            raise unknown_name(f"{kind} of {self.file}", name, names)
        if not name and len(names) != 1:
            raise WrongUse(
                f"{self.file}: expected one {kind}, but the graph has {', '.join(names)}; choose with {kind}=NAME."
            )
        return there[names.index(name) if name else 0]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The output, float32, for an input of all its axes."""
        (found,) = self._session.run([self._output], {self.input_name: values.astype(self._dtype, copy=False)})
        return np.asarray(found, np.float32)

    def refused(self, expected: str) -> WrongUse:
        """The sentence for an input of another shape."""
        return WrongUse(
            f"{self.file}: expected an input of {expected}, but {self.input_name!r} has the shape {_told(self.shape)}."
        )

    def tried(self, values: np.ndarray, what: str, ranks: tuple[int, ...]) -> np.ndarray:
        """The output for one example of zeros; refused where it has other axes than `ranks`."""
        try:
            found = self(values)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise EmofuseError(f"{self.file}: expected a graph that runs on {what}, but got {text}.") from None
        if found.ndim not in ranks or len(found) != 1 or not found.size:
            raise WrongUse(
                f"{self.file}: expected an output of {' or '.join(map(str, ranks))} axes, the first of them of "
                f"length 1 for {what}, but {self._output!r} has the shape {found.shape}; choose "
                "another with output=NAME."
            )
        return found


class PictureGraph:
    """A graph that takes square pictures (N, C, H, W) or (N, H, W, C), three colours or grey, and gives (N, F)."""

    def __init__(self, graph: Graph, size: int, scaling: tuple[np.ndarray, np.ndarray]):
        self._graph, self._scaling = graph, scaling
        shape = graph.shape
        self._last = len(shape) == _PICTURE_RANK and shape[1] not in (1, 3) and shape[3] in (1, 3)
        if len(shape) != _PICTURE_RANK or not (self._last or shape[1] in (1, 3)):
            raise graph.refused("pictures, (N, 3, H, W) or (N, H, W, 3), or 1 for grey")
        self._channels = shape[3] if self._last else shape[1]
        height, width = shape[1:3] if self._last else shape[2:]
        if height != width or (height > 0 and size and size != height):
            raise graph.refused(f"square pictures{f' of {size} pixels' if size else ''}")
        if height < 0 and not size:
            raise WrongUse(f"{graph.file}: its pictures may have any size: say which with size=PIXELS.")
        self.side = height if height > 0 else size
        self.together = shape[0] < 0
        if shape[0] not in (-1, 1):
            raise graph.refused("one or any number of pictures at once")
        found = graph.tried(self._input(np.zeros((1, 3, self.side, self.side), np.uint8)), "one picture", (2, 3, 4))
        if found.size != found.shape[1]:
            raise WrongUse(
                f"{graph.file}: expected one vector for each picture, but got an output of shape {found.shape}; choose "
                "another with output=NAME."
            )
        self.width = found.shape[1]

    def vectors(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """The vectors (F,) of pictures uint8 (3, side, side)."""
        if not self.together:
            return [self._graph(self._input(picture[None])).reshape(-1) for picture in pictures]
        return list(self._graph(self._input(np.stack(pictures))).reshape(len(pictures), -1))

    def _input(self, pictures: np.ndarray) -> np.ndarray:
        mean, deviation = self._scaling
        x = pictures.astype(np.float32)
        if self._channels == 1:
            x = np.einsum("nchw,c->nhw", x, np.array([0.299, 0.587, 0.114], np.float32))[:, None]
            mean, deviation = mean.mean(keepdims=True), deviation.mean(keepdims=True)
        x = (x - mean[:, None, None]) / deviation[:, None, None]
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if self._last else x)


class SoundGraph:
    """A graph that takes sound (S,), (N, S) or (N, 1, S), and gives a vector (N, F) or steps (N, T, F).

    `samples` is the length that it takes, None for any.
    """

    def __init__(self, graph: Graph, tried: int):
        self._graph, shape = graph, graph.shape
        lead = shape[:-1]
        if len(shape) not in _SOUND_RANKS or any(size not in (-1, 1) for size in lead):
            raise graph.refused("sound, (S,), (N, S) or (N, 1, S)")
        self._lead = (1,) * len(lead)
        self.samples = shape[-1] if shape[-1] > 0 else None
        zeros = np.zeros((*self._lead, self.samples or tried), np.float32)
        self.width = graph.tried(zeros, f"{zeros.shape[-1]} samples", (2, 3)).shape[-1]

    def steps(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Steps (T, F) of each signal, T = 1 where the graph gives one vector."""
        return [self._graph(signal.reshape(*self._lead, -1)).reshape(-1, self.width) for signal in signals]


def graph_file(set_name: str, model: str) -> Path:
    """The file that `model` names."""
    if not model:
        raise WrongUse(f"Feature set {set_name!r} needs its model: write {set_name}:model=FILE.onnx.")
    file = Path(model).expanduser()
    if not file.is_file():
        raise AbsentModel(f"Feature set {set_name!r}: expected an ONNX file as its model, but there is none at {file}.")
    return file


def graph_digest(file: Path) -> str:
    """sha256 (hex) of the graph and of the weights that lie beside it in files whose names begin with its own."""
    return digest_of(graph_files(file))


def graph_files(file: Path) -> list[Path]:
    """The graph and the files of weights beside it."""
    beside = [path for path in file.parent.glob(f"{_escaped(file.name)}[._]data*") if path.is_file()]
    stem = [path for path in file.parent.glob(f"{_escaped(file.stem)}.data") if path.is_file()]
    return [file, *sorted({*beside, *stem})]


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _told(shape: tuple[int, ...]) -> str:
    return f"({', '.join('any' if size < 0 else str(size) for size in shape)})"


@lru_cache(maxsize=2)
def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise EmofuseError(
            "Feature set 'onnx' can't run here (no onnxruntime); install it with: pip install 'emofuse[encoders]'."
        ) from None
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


def _session(file: Path) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    # One of several processes has one core (features/workers/clip_processes.py).
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    try:
        return runtime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # as many types as there are ways to damage a file
        text = " ".join(str(error).split())[:300]
        raise EmofuseError(f"{file}: expected an ONNX graph, but it can't be loaded ({text}).") from None
