"""Run an ensemble that `emofuse ensemble export --onnx` wrote: needs numpy and onnxruntime, and nothing of emofuse.

    python run.py clip.npz

`clip.npz` holds one clip's features, an array for each name that `manifest.json` lists under `features`: (T, ...) where
it says `per_frame`, else (F,); images as uint8. Printed are the classes with their fused probabilities. Where it names
`dimensions`, each array NAME (T, ...) has its moments (T,) in seconds beside it as `NAME time_s`, and printed are the
moments that are predicted, every `step_s`, with the fused prediction of each dimension.
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


def predict(folder: Path, features: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What is fused of one clip's features, by the names of the manifest.

    The probability of each class; or `time_s` and each dimension as a list, a number for each moment.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    def session(name: str) -> Any:
        onnxruntime.set_default_logger_severity(3)
        return onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])

    known = dict(features)
    for name, layer in manifest["layers"].items():
        (values,) = session(layer["graph"]).run(None, {"images": known[layer["images"]]})
        known[name] = values if layer["selected"] is None else values[:, layer["selected"]]
        if manifest["dimensions"]:
            known[f"{name} time_s"] = known[f"{layer['images']} time_s"]
    for name, encoder in manifest["encodings"].items():
        known[name] = run_member(session(encoder["graph"]), encoder, _own(encoder, known))
    if manifest["dimensions"]:
        return _over_time(manifest, known, session)
    classes = manifest["classes"]
    P = np.full((len(manifest["members"]), len(classes)), 1 / len(classes), np.float32)
    valid = np.zeros(len(P), bool)
    for m, member in enumerate(manifest["members"]):
        if _runs(member, known):
            P[m], valid[m] = run_member(session(member["graph"]), member, _own(member, known)), True
    (fused,) = session("fusion.onnx").run(None, {"P": P, "valid": valid})
    return dict(zip(classes, fused.tolist(), strict=True))


def _over_time(manifest: Mapping[str, Any], known: Mapping[str, np.ndarray], session: Any) -> dict[str, Any]:
    """The fused predictions at every `step_s`, as far as what any member reads goes."""
    read = {source for member in manifest["members"] for source in member["inputs"].values() if source in known}
    if not read:
        sys.exit("Expected the features that manifest.json lists, but there is none of them.")
    for source in read:
        if f"{source} time_s" not in known:
            sys.exit(f"Expected the moments of {source!r} in seconds as the array '{source} time_s'.")
    last = max(float(known[f"{source} time_s"][-1]) for source in read)
    time_s = np.arange(round(last / manifest["step_s"]) + 1) * manifest["step_s"]
    moments = {source: known[source][nearest(known[f"{source} time_s"], time_s)] for source in read}
    dimensions, members = manifest["dimensions"], manifest["members"]
    P = np.zeros((len(time_s), len(members), len(dimensions)), np.float32)
    valid = np.zeros(len(members), bool)
    for m, member in enumerate(members):
        if _runs(member, moments):
            P[:, m], valid[m] = run_member(session(member["graph"]), member, _own(member, moments)), True
    (fused,) = session("fusion.onnx").run(None, {"P": P, "valid": valid})
    return {"time_s": time_s.tolist(), **dict(zip(dimensions, fused.T.tolist(), strict=True))}


def nearest(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of the moments `given` (T,) lies nearest to each of `wanted` (W,)."""
    after = np.searchsorted(given, wanted).clip(1, max(1, len(given) - 1))
    before = after - 1
    after = after.clip(max=len(given) - 1)
    return np.asarray(np.where(wanted - given[before] <= given[after] - wanted, before, after))


def _runs(member: Mapping[str, Any], known: Mapping[str, np.ndarray]) -> bool:
    return bool(member["graph"]) and all(source in known for source in member["inputs"].values())


def _own(member: Mapping[str, Any], known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {slot: known[source] for slot, source in member["inputs"].items()}


if __name__ == "__main__":
    with np.load(sys.argv[1]) as arrays:
        print(json.dumps(predict(Path(__file__).parent, dict(arrays)), indent=1))
