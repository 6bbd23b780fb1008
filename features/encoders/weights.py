"""The weights behind an encoder set's spec: their digest, their files, and the same spec with them elsewhere."""

from dataclasses import replace
from pathlib import Path

from features.encoders import checkpoints
from features.encoders.graphs import graph_file, graph_files
from features.sets import SetSpec, get_set, reads_weights

__all__ = ["at", "digest", "files", "model_name", "needs_weights"]


def needs_weights(spec: SetSpec) -> bool:
    """Whether the set reads weights of the user's: an encoder set, but not one of random weights."""
    return reads_weights(spec.name) and not checkpoints.is_random(spec.params)


def model_name(spec: SetSpec) -> str:
    """What the spec's folder or file is called."""
    return Path(str(spec.params["model"])).name


def at(spec: SetSpec, model: str | Path) -> SetSpec:
    """The same set with its weights at `model`."""
    return replace(spec, params={**spec.params, "model": str(model)})


def digest(spec: SetSpec) -> str:
    """sha256 (hex) of the weights where the spec says, as the set's key knows them. AbsentModel without any."""
    return str(get_set(spec.name).concrete(spec.params)["model"])


def files(spec: SetSpec) -> list[Path]:
    """The files that the digest is made of: those of a checkpoint's folder, or a graph with what lies beside it."""
    if spec.name == "onnx":
        return graph_files(graph_file(spec.name, str(spec.params["model"])))
    return checkpoints.weight_files(checkpoints.model_folder(spec.name, spec.params))
