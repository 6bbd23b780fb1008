"""Saved models by their folder alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.tables.readable import Readable
from models.description import Description, read_description
from models.family import Model
from models.registry import get_family
from models.whitened import load_whitened, read_projections


@dataclass(frozen=True)
class Saved:
    """A model that was read from a folder, with its description; `reads` is the shape of a step of each input."""

    model: Model
    description: Description
    reads: Mapping[str, tuple[int, ...]]


def load_model(folder: Readable, device: str = "cpu") -> Model:
    """The model that any family's `save` wrote into `folder`; its `model.json` names the family."""
    return load_saved(folder, device).model


def load_saved(folder: Readable, device: str = "cpu") -> Saved:
    """`load_model`, with what the folder tells of the model. Errors: EmofuseError that names the file."""
    description = read_description(folder)
    known = read_projections(folder, description.shapes)
    model = get_family(description.family).load(folder, device)
    given = {slot: one.mean.shape for slot, one in known.items()}
    return Saved(load_whitened(model, known), description, {**description.shapes, **given})
