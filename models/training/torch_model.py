"""A torch network as a `models.family.Model`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from features.errors import EmofuseError
from features.files import content_key, read_json, write_json
from models.examples import Examples
from models.family import Context, Family, FitResult, Report
from models.io import WEIGHTS_FILE
from models.reproducible import seeded
from models.training import loop as training
from models.training.batches import Packed, pack
from models.training.goals import Goal
from models.training.network import ClipNetwork

_CONFIG = "model.json"


class TorchModel:
    """Fits, scores and saves the network that `make()` builds. The columns of its scores are `context.classes`.

    Every `fit` starts from new weights, drawn from the context's seed.
    """

    def __init__(
        self,
        family: Family,
        hyperparameters: Mapping[str, Any],
        context: Context,
        make: Callable[[], ClipNetwork],
        settings: training.Settings,
    ):
        self.family, self.hyperparameters, self.context = family, dict(hyperparameters), context
        self.settings, self._make = settings, make
        self._network: ClipNetwork | None = None

    @property
    def network(self) -> ClipNetwork:
        """The fitted network."""
        if self._network is None:
            raise EmofuseError(f"This {self.family.name} model has no weights yet: fit or load it first.")
        return self._network

    def fit(
        self,
        train: Examples,
        held_out: Examples | None,
        *,
        epochs: int | None = None,
        max_epochs: int | None = None,
        report: Report | None = None,
        resume: Path | None = None,
    ) -> FitResult:
        """See `models.family.Model.fit`."""
        fit_rows, held_out_rows = self._rows(train, held_out)
        network = self._network = self._build()
        self._prepare(network, fit_rows, held_out_rows)
        return training.train(
            network, fit_rows, held_out_rows, self.settings, goal=self._goal(train, held_out, held_out_rows),
            seed=self.context.seed, epochs=epochs, max_epochs=max_epochs, report=report, resume=resume,
            identity=self._identity(train, held_out),
        )

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32."""
        return training.score(self.network, self.network.standardise_(self._pack(examples)))

    def encode(self, examples: Examples) -> np.ndarray:
        """Clip vectors (N, D) float32."""
        return training.encodings(self.network, self.network.standardise_(self._pack(examples)))

    def weights_mb(self) -> float:
        """Megabytes of the network's parameters, told without drawing them."""
        return sum(p.numel() * p.element_size() for p in self._outline().parameters()) / 2**20

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json` into `folder`."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE)
        write_json(folder / _CONFIG, {
            "family": self.family.name, "version": self.family.version, "hyperparameters": self.hyperparameters,
            "classes": list(self.context.classes), "seed": self.context.seed,
            "shapes": {slot: list(shape) for slot, shape in self.context.shapes.items()},
            **({"dimensions": list(self.context.dimensions)} if self.context.dimensions else {}),
        })

    def load_weights(self, path: Path) -> Self:
        """Take the weights that `save` wrote."""
        network = self._build()
        try:
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            text = " ".join(str(error).split())
            raise EmofuseError(f"{path}: expected the weights of a {self.family.name} model, but {text}.") from None
        self._network = network
        return self

    def _build(self, make: Callable[[], ClipNetwork] | None = None) -> ClipNetwork:
        device = torch.device(self.context.device)
        with seeded(self.context.seed, device):
            return (make or self._make)().to(device)

    def _rows(self, train: Examples, held_out: Examples | None) -> tuple[Packed, Packed | None]:
        for examples in filter(None, (train, held_out)):
            self._check(examples)
        return self._pack(train), None if held_out is None else self._pack(held_out)

    def _prepare(self, network: ClipNetwork, fit_rows: Packed, held_out_rows: Packed | None) -> None:
        """Make a new network and both sides' rows ready for the first epoch."""
        self._start(network, fit_rows)
        for rows in filter(None, (fit_rows, held_out_rows)):
            network.standardise_(rows)

    def _outline(self) -> ClipNetwork:
        """The network with shapes, but without numbers."""
        with torch.device("meta"):
            return self._make().eval()

    def _start(self, network: ClipNetwork, fit_rows: Packed) -> None:
        """Give a new network what it begins with."""
        network.fit_scalers(fit_rows)

    def _check(self, examples: Examples) -> None:
        """Refuse clips that can't be trained on."""
        examples.check_labels(self.context.classes)

    def _goal(self, train: Examples, held_out: Examples | None, held_out_rows: Packed | None) -> Goal | None:
        """What training aims at; None: to tell the classes apart."""
        return None

    def _pack(self, examples: Examples) -> Packed:
        return pack(examples, self.family.slots(self.context.shapes), self.context.shapes, self.context.device)

    def _identity(self, train: Examples, held_out: Examples | None) -> str:
        """What a checkpoint must agree with to be continued from."""
        sides = [[list(side.ids), side.answers()] for side in (train, held_out) if side is not None]
        return content_key([
            self.family.name, self.family.version, self.hyperparameters, self.context.seed,
            list(self.context.dimensions or self.context.classes),
            {slot: list(shape) for slot, shape in self.context.shapes.items()}, sides,
        ])


def load_torch(build: Callable[[Mapping[str, Any], Context], TorchModel], folder: Path, device: str) -> TorchModel:
    """Read what `TorchModel.save` wrote; `build` is the family's."""
    config = read_json(folder / _CONFIG, "a saved model's description")
    shapes = {slot: tuple(shape) for slot, shape in config["shapes"].items()}
    dimensions = tuple(config.get("dimensions", ()))
    context = Context(tuple(config["classes"]), shapes, config["seed"], device, dimensions=dimensions)
    return build(config["hyperparameters"], context).load_weights(folder / WEIGHTS_FILE)
