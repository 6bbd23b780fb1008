"""Feature sets: a named way to turn one clip into an array. Each lives in one module that ends in `SET`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np

from features import plugins
from features.errors import ClipFailure, WrongUse
from features.machine import machine_fault
from features.names import unknown_name

# Modules are imported when their set is asked for: a laptop that only fuses predictions loads neither cv2 nor librosa.
_MODULES = {
    "faces": "features.faces.crops",
    "is10": "features.audio.is10",
    "short_term": "features.audio.short_term",
    "functionals": "features.audio.functionals",
    "audio_maps": "features.audio.maps",
    "yaafe_like": "features.audio.yaafe_like",
    "landmarks": "features.faces.landmarks",
    "motion_blocks": "features.motion",
    "speech": "features.encoders.speech",
    "vision": "features.encoders.vision",
    "onnx": "features.encoders.onnx_graph",
}

Value = int | float | bool | str
Level = Literal["clip", "frame"]


@dataclass(frozen=True)
class Media:
    """What an extractor reads: a file and the part of it that is the clip (seconds; `end_s` None = to the end)."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class FeatureArray:
    """One clip's features: `values` (T, ...), T = 1 for clip-level sets; `time_s` (T,) in seconds from its start.

    `computed` says how, where that depends on the machine: in which precision.
    """

    values: np.ndarray
    time_s: np.ndarray
    computed: str = ""


# What there is of a clip after the work on it.
Extracted = FeatureArray | ClipFailure


@dataclass(frozen=True)
class FeatureSet:
    """A named extractor.

    `extract(media, params)` returns a FeatureArray or raises `features.errors.ClipFailure`. `version` grows whenever
    the numbers change. `extra` names the pip extra that the set needs. `shape(params)` is the shape of one time step.
    `concrete(params)` says what parameters such as `auto` stand for in this installation; it is part of the key.

    `levels(params)` is the level where it depends on the parameters. `extract_many(media, params)`, for sets that are
    faster on many clips at once, yields each clip's number among `media` with its features or failure as it is ready.
    `gpu` is the part of a GPU that a process of it uses where there is one. `located(params)` are the same parameters
    for a process in another folder.
    """

    name: str
    version: int
    level: Level
    summary: str
    extract: Callable[[Media, Mapping[str, Value]], FeatureArray]
    shape: Callable[[Mapping[str, Value]], tuple[int, ...]]
    params: Mapping[str, Value] = field(default_factory=dict)
    extra: str | None = None
    concrete: Callable[[Mapping[str, Value]], Mapping[str, Value]] = dict
    levels: Callable[[Mapping[str, Value]], Level] | None = None
    extract_many: Callable[[Sequence[Media], Mapping[str, Value]], Iterator[tuple[int, Extracted]]] | None = None
    gpu: float = 0.0
    located: Callable[[Mapping[str, Value]], Mapping[str, Value]] = dict

    def level_of(self, params: Mapping[str, Value]) -> Level:
        """Whether the features with these parameters are one vector per clip, or time steps."""
        return self.levels(params) if self.levels else self.level


@dataclass(frozen=True)
class SetSpec:
    """A feature set with its parameters; written `name` or `name:key=value,key=value`."""

    name: str
    params: Mapping[str, Value]

    def __str__(self) -> str:
        changed = {k: v for k, v in self.params.items() if v != get_set(self.name).params[k]}
        tail = ",".join(f"{k}={_text(v)}" for k, v in sorted(changed.items()))
        return f"{self.name}:{tail}" if tail else self.name


def reads_weights(name: str) -> bool:
    """Whether the set of that name is one of the encoders, which read weights of the user's."""
    return _MODULES.get(name, "").startswith("features.encoders.")


def set_names() -> tuple[str, ...]:
    """The names of all feature sets that can be extracted from media, plug-ins' included."""
    return tuple(sorted({*_MODULES, *plugins.names("feature_sets")}))


def set_origin(name: str) -> str:
    """Where a plug-in's set comes from; empty for one of emofuse's own."""
    return plugins.origin("feature_sets", name, _MODULES)


def set_sha256(name: str) -> str:
    """The digest of the code of a plug-in's set, which is part of its key; empty for one of emofuse's own."""
    return plugins.sha256_of("feature_sets", name, _MODULES)


def get_set(name: str) -> FeatureSet:
    """The feature set of that name; an unknown one is told with the nearest.

    MachineFault where its module can't be imported here: a library is missing, or finds no place for its cache.
    """
    plugin = plugins.named("feature_sets", name, _MODULES)
    if plugin is None and name not in _MODULES:
        raise plugins.unknown("feature_sets", name, _MODULES)
    try:
        return plugin.load(FeatureSet) if plugin else import_module(_MODULES[name]).SET
    except WrongUse:
        raise
    except Exception as error:
        if (fault := machine_fault(error, f"Feature set {name!r}")) is not None:
            raise fault from None
        raise


def parse_spec(text: str) -> SetSpec:
    """`faces:size=100,colour=true` as a spec with every parameter present, each of its default's type."""
    name, _, tail = text.partition(":")
    known = get_set(name).params
    params = dict(known)
    for item in filter(None, tail.split(",")):
        key, separator, value = item.partition("=")
        if not separator:
            raise WrongUse(f"Feature set {text!r}: expected key=value after the colon, but got {item!r}.")
        if key not in known:
            raise unknown_name(f"parameter of feature set {name!r}", key, known)
        params[key] = _parse(text, key, value, known[key])
    return SetSpec(name, params)


def _parse(text: str, key: str, value: str, default: Value) -> Value:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        return type(default)(value)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else type(default).__name__
        raise WrongUse(f"Feature set {text!r}: expected {kind} for {key!r}, but got {value!r}.") from None


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
