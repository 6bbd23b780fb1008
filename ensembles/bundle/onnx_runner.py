"""Run an ensemble that `emofuse ensemble export --onnx` wrote: needs numpy and onnxruntime, and nothing of emofuse.

    python run.py clip.npz

`clip.npz` holds one clip's features, an array for each name that `manifest.json` lists under `features`: (T, ...) where
it says `per_frame`, else (F,); images as uint8. Printed are the classes with their fused probabilities.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def run_member(session: Any, member: Mapping[str, Any], features: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a member's graph gives for a clip's `features` by slot, averaged over its windows."""
    given = {slot["name"]: as_graphs_take(features[slot["name"]]) for slot in member["slots"]}
    outputs = [session.run(None, part)[0] for part in _windows(given, member)]
    return np.asarray(np.mean(outputs, axis=0, dtype=np.float64))


def as_graphs_take(array: np.ndarray) -> np.ndarray:
    """Images as they are, all else float32."""
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def _windows(given: dict[str, np.ndarray], member: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
    """The clip, at least `min_steps` long, or its windows, the last of them flush with its end."""
    for slot in member["slots"]:
        if slot["per_frame"] and (short := member["min_steps"] - len(given[slot["name"]])) > 0:
            x = given[slot["name"]]
            given[slot["name"]] = np.concatenate([x, *[x[-1:]] * short])
    if member["window"] is None:
        return [given]
    ((name, x),) = given.items()
    x, steps = x[:: member["gap"]], member["window"]
    beyond = max(0, len(x) - steps)
    starts = [min(n * steps, beyond) for n in range(1 + -(-beyond // steps))]
    return [{name: x[start : start + steps]} for start in starts]


def predict(folder: Path, features: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The fused probability of each class for one clip's features, by the names of the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    def session(name: str) -> Any:
        onnxruntime.set_default_logger_severity(3)
        return onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])

    known = dict(features)
    for name, layer in manifest["layers"].items():
        (values,) = session(layer["graph"]).run(None, {"images": known[layer["images"]]})
        known[name] = values if layer["selected"] is None else values[:, layer["selected"]]
    for name, encoder in manifest["encodings"].items():
        own = {slot: known[source] for slot, source in encoder["inputs"].items()}
        known[name] = run_member(session(encoder["graph"]), encoder, own)
    classes = manifest["classes"]
    P = np.full((len(manifest["members"]), len(classes)), 1 / len(classes), np.float32)
    valid = np.zeros(len(P), bool)
    for m, member in enumerate(manifest["members"]):
        if member["graph"] and all(source in known for source in member["inputs"].values()):
            own = {slot: known[source] for slot, source in member["inputs"].items()}
            P[m], valid[m] = run_member(session(member["graph"]), member, own), True
    (fused,) = session("fusion.onnx").run(None, {"P": P, "valid": valid})
    return dict(zip(classes, fused.tolist(), strict=True))


if __name__ == "__main__":
    with np.load(sys.argv[1]) as arrays:
        print(json.dumps(predict(Path(__file__).parent, dict(arrays)), indent=1))
