"""Saved models by their folder alone."""

from pathlib import Path

from features.files import read_json
from models.family import Model
from models.registry import get_family
from models.whitened import load_whitened

# The parameters of a torch model in the folder that it was saved into.
WEIGHTS_FILE = "model.safetensors"


def load_model(folder: Path, device: str = "cpu") -> Model:
    """The model that any family's `save` wrote into `folder`; its `model.json` names the family."""
    config = read_json(folder / "model.json", "a saved model's description")
    return load_whitened(folder, get_family(config["family"]).load(folder, device))
