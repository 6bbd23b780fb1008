"""How a user wants a network trained otherwise than its family does: `training:` of a recipe's entry."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from features.errors import WrongUse
from models.family import Model
from models.training.torch_model import TorchModel
from models.whitened import WhitenedModel

# Of `models.training.settings.Settings`; `augment` is the network's own.
SETTINGS = ("patience", "clip", "l1", "max_iterations")


def with_wishes(model: Model, wishes: Mapping[str, Any]) -> Model:
    """The model, trained by these settings in place of its family's; `clip` 0 limits no gradient.

    Errors: WrongUse for a model that is not trained in epochs.
    """
    if not wishes:
        return model
    inner = model.model if isinstance(model, WhitenedModel) else model
    if not isinstance(inner, TorchModel):
        raise WrongUse(f"training: expected a network that is trained in epochs, but got {', '.join(wishes)} for none.")
    changed = {name: value for name, value in wishes.items() if name in SETTINGS}
    if changed.get("clip") == 0:
        changed["clip"] = None
    inner.settings = replace(inner.settings, **changed)
    inner.augment = wishes.get("augment", True)
    return model
