"""A bundle's torch models and its fusion as ONNX graphs, with a runner that needs numpy and onnxruntime alone."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.bundle import onnx_runner
from ensembles.bundle.graphs import ClipGraph, Gives, clip_graph, fusion_graph, layer_graph
from ensembles.bundle.parts import BundleMember
from ensembles.bundle.predict import Predictor
from features.errors import WrongUse
from features.files import replacing_folder, write_bytes, write_json
from features.progress import say
from features.sets import get_set
from models.family import Model

MANIFEST, RUNNER = "manifest.json", "run.py"


def export_onnx(predictor: Predictor, folder: Path) -> Path:
    """Write the graphs of a loaded bundle to `folder`, whole or not at all; what can't be one is told, and left out.

    Errors: a folder with other things in it; a missing library.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise WrongUse(f"{folder} exists and holds no ONNX export: choose a folder that is new or holds an older one.")
    with replacing_folder(folder) as temporary:
        _write(predictor, temporary)
    return folder


def _write(predictor: Predictor, folder: Path) -> None:
    bundle, ensemble = predictor.bundle, predictor.bundle.ensemble
    layers: dict[str, Any] = {}
    for part in (*bundle.encoders.values(), *bundle.members):
        for spec in part.inputs.values():
            name, dot, layer = spec.partition(".")
            if dot and name in bundle.backbones and spec not in layers:
                graph = f"layer-{len(layers):02d}.onnx"
                model = layer_graph(predictor.backbones[name], layer.partition(":")[0])
                write_bytes(folder / graph, model)
                selected = bundle.selections.get(spec)
                images = bundle.backbones[name].images
                layers[spec] = {"graph": graph, "images": images, "selected": selected and list(selected)}
    encodings = {}
    for number, (name, encoder) in enumerate(bundle.encoders.items()):
        found = clip_graph(predictor.encoders[name], "encoding")
        encodings[name] = _described(encoder, found, folder, f"encoder-{number:02d}.onnx")
    encodings = {name: one for name, one in encodings.items() if one["graph"]}
    over_time = ensemble.over_time
    gives: Gives = "probabilities" if over_time is None else "steps"
    members = [
        _described(member, _member_graph(number, member, model, gives), folder, f"member-{number:02d}.onnx")
        for number, (member, model) in enumerate(zip(bundle.members, predictor.members, strict=True))
    ]
    write_bytes(folder / "fusion.onnx", fusion_graph(ensemble))
    manifest = {
        "classes": list(ensemble.classes),
        "dimensions": list(over_time.dimensions) if over_time else [],
        "step_s": over_time.step_s if over_time else None,
        "features": {spec: _feature(predictor, spec) for spec in (*bundle.feature_versions, *bundle.imported)},
        "layers": layers,
        "encodings": encodings,
        "members": members,
    }
    write_json(folder / MANIFEST, manifest)
    shutil.copyfile(str(onnx_runner.__file__), folder / RUNNER)


def _member_graph(number: int, member: BundleMember, model: Model, gives: Gives) -> ClipGraph | str:
    found = clip_graph(model, gives)
    if isinstance(found, str):
        named = f"member {number:02d}, {member.entry} ({member.family}),"
        say(f"{named} is not among the graphs: {found}; the runner fuses the others")
    return found


def _described(part: BundleMember, found: ClipGraph | str, folder: Path, name: str) -> dict[str, Any]:
    told: dict[str, Any] = {"entry": part.entry, "family": part.family, "inputs": dict(part.inputs)}
    if isinstance(found, str):
        return {**told, "graph": None, "why": found}
    write_bytes(folder / name, found.model)
    slots = [{**asdict(slot), "shape": list(slot.shape)} for slot in found.slots]
    how = {"min_steps": found.min_steps, "window": found.window, "gap": found.gap}
    return {**told, "graph": name, "slots": slots, **how}


def _feature(predictor: Predictor, spec: str) -> dict[str, Any]:
    """What the runner is given of a feature set."""
    bundle = predictor.bundle
    if spec in bundle.imported:
        level, shape = bundle.imported[spec].level, bundle.imported[spec].shape
    else:
        parsed = predictor.weights.located(spec)
        level, shape = get_set(parsed.name).level_of(parsed.params), get_set(parsed.name).shape(parsed.params)
    return {"per_frame": level == "frame", "shape": [int(size) for size in np.atleast_1d(shape)]}
