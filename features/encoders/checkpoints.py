"""A checkpoint in Hugging Face layout: a folder with `config.json`, `*.safetensors` and the preprocessor's config.

Nothing is fetched and no code of a checkpoint runs: local files only, no remote code, safetensors only. What a set's
key is made of is the digest of these files, not where they lie.
"""

import json
import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from features.errors import AbsentModel, EmofuseError, WrongUse
from features.files import content_key, file_sha256
from features.sets import Value

# A model of random weights, made up in memory: for trying a recipe without any files.
RANDOM = "random"
_CONFIG = "config.json"
_PREPROCESSOR = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_LARGEST_CONFIG = 1 << 20


def model_folder(set_name: str, params: Mapping[str, Value]) -> Path:
    """The folder that `model` names, with all that a checkpoint needs; WrongUse or AbsentModel in one sentence."""
    folder = model_path(set_name, params)
    if not folder.is_dir():
        raise AbsentModel(
            f"Feature set {set_name!r}: expected a folder with config.json and *.safetensors as its model, but there "
            f"is no folder {folder}."
        )
    if not (folder / _CONFIG).is_file():
        raise WrongUse(f"{folder}: expected a checkpoint in Hugging Face layout, but it has no {_CONFIG}.")
    if not list(folder.glob("*.safetensors")):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".ckpt"})
        found = f" but only {others[0]}, which could run code when it is read" if others else ""
        raise WrongUse(
            f"{folder}: expected weights in *.safetensors,{found or ' but it has none'}; save the model again with "
            "`model.save_pretrained(folder)`."
        )
    if not any((folder / name).is_file() for name in _PREPROCESSOR):
        raise WrongUse(
            f"{folder}: expected {_PREPROCESSOR[0]}, which says how the model takes sound or pictures, but it has "
            "none; copy it from where the weights come from."
        )
    return folder


def model_path(set_name: str, params: Mapping[str, Value]) -> Path:
    """Where `model` points to; WrongUse where it isn't given."""
    if not params["model"]:
        raise WrongUse(f"Feature set {set_name!r} needs its model: write {set_name}:model=PATH.")
    return Path(str(params["model"])).expanduser()


def is_random(params: Mapping[str, Value]) -> bool:
    """Whether `model` asks for random weights."""
    return params["model"] == RANDOM


def located(params: Mapping[str, Value]) -> Mapping[str, Value]:
    """The parameters with an absolute path of the model."""
    if not params["model"] or is_random(params):
        return params
    return {**params, "model": str(Path(str(params["model"])).expanduser().resolve())}


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` as data."""
    file = folder / _CONFIG
    try:
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("it is too large")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found.get("model_type"), str):
            raise ValueError("it names no model_type")
    except (ValueError, AttributeError, OSError, RecursionError) as error:
        raise WrongUse(f"{file}: expected the configuration of a model, but it can't be read ({error}).") from None
    return found


def whole_number(config: Mapping[str, Any], name: str, folder: Path) -> int:
    """A size that the configuration must hold."""
    value = config.get(name)
    if isinstance(value, list) and value:  # one for each stage: the last one's is the output's
        value = value[-1]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 20:
        raise WrongUse(f"{folder / _CONFIG}: expected {name} as a whole number above 0, but got {value!r}.")
    return value


def known_kind(config: Mapping[str, Any], kinds: Collection[str], what: str, as_graph: str, folder: Path) -> str:
    """The configuration's `model_type`, one of `kinds`; WrongUse says that others come `as_graph`."""
    kind = str(config["model_type"])
    if kind not in kinds:
        raise WrongUse(
            f"{folder}: expected a {what} model ({', '.join(sorted(kinds))}), but its config.json says model_type "
            f"{kind[:80]!r}; others can be read as ONNX graphs ({as_graph})."
        )
    return kind


def digest(folder: Path | None) -> str:
    """sha256 (hex) of the weights and of what says how they are used, read once per process; None is a random model."""
    if folder is None:
        return RANDOM
    return digest_of(weight_files(folder))


def weight_files(folder: Path) -> list[Path]:
    """The weights, and what says how they are used."""
    named = [folder / name for name in (_CONFIG, *_PREPROCESSOR)]
    return [path for path in (*named, *sorted(folder.glob("*.safetensors*"))) if path.is_file()]


def digest_of(files: list[Path]) -> str:
    """sha256 (hex) over files and their names."""
    states = [(path, path.stat()) for path in files]
    return _digest(tuple((str(path.absolute()), s.st_size, s.st_mtime_ns, s.st_ino) for path, s in states))


@cache
def _digest(files: tuple[tuple[str, int, int, int], ...]) -> str:
    return content_key({Path(name).name: file_sha256(Path(name)) for name, *_ in files})


@cache
def transformers() -> Any:
    """The library, silent and cut off from its hub."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers as library

    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


def load_model(folder: Path, unused: tuple[str, ...] = ()) -> Any:
    """The model without heads, in evaluation mode and float32.

    Refused where its file lacks weights, but for those whose names contain one of `unused`: they would be random.
    """
    import torch

    options = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        model, found = transformers().AutoModel.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:  # as many types as there are ways to damage a file
        raise _unreadable(folder, "a model", error) from None
    missing = sorted(name for name in found["missing_keys"] if not any(part in name for part in unused))
    if missing:
        raise EmofuseError(
            f"{folder}: expected all weights of a {model.config.model_type} model, but {len(missing)} are missing, the "
            f"first is {missing[0]!r}."
        )
    return model.eval()


def load_preprocessor(folder: Path, kind: str, **options: Any) -> Any:
    """The checkpoint's `AutoFeatureExtractor` or `AutoImageProcessor`."""
    options |= {"local_files_only": True, "trust_remote_code": False}
    try:
        return getattr(transformers(), kind).from_pretrained(folder, **options)
    except Exception as error:
        raise _unreadable(folder, "a preprocessor's configuration", error) from None


def _unreadable(folder: Path, what: str, error: Exception) -> EmofuseError:
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return EmofuseError(f"{folder}: expected {what} that transformers can load, but got {text}.")
