"""A torch network as a `models.family.Model`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from safetensors.torch import save_file

from features.errors import EmofuseError
from features.files import content_key, write_json
from features.schema import shown
from features.tables.readable import Readable
from models.description import FILE, blaming, read_description
from models.examples import Examples
from models.family import Context, Family, FitResult, Report
from models.reproducible import seeded
from models.training import loop as training
from models.training.batches import Packed, pack
from models.training.classification import encodings, score
from models.training.goals import Goal
from models.training.network import ClipNetwork
from models.training.settings import Settings
from models.weights import WEIGHTS_FILE, read_tensors


@runtime_checkable
class Augmented(Protocol):
    """A network that shifts, crops or mirrors its images in training, unless told otherwise."""

    augmented: bool


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
        settings: Settings,
    ):
        self.family, self.hyperparameters, self.context = family, dict(hyperparameters), context
        self.settings, self._make = settings, make
        self.augment = True  # False: images are not shifted, cropped at random or mirrored in training
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
            network,
            fit_rows,
            held_out_rows,
            self.settings,
            goal=self._goal(train, held_out, held_out_rows),
            metric=self.context.metric,
            seed=self.context.seed,
            epochs=epochs,
            max_epochs=max_epochs,
            report=report,
            resume=resume,
            identity=self._identity(train, held_out),
        )

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32."""
        return score(self.network, self.network.standardise_(self._pack(examples)))

    def encode(self, examples: Examples) -> np.ndarray:
        """Clip vectors (N, D) float32."""
        return encodings(self.network, self.network.standardise_(self._pack(examples)))

    def weights_mb(self) -> float:
        """Megabytes of the network's parameters, told without drawing them."""
        return sum(p.numel() * p.element_size() for p in self._outline().parameters()) / 2**20

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json` into `folder`."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE)
        write_json(
            folder / FILE,
            {
                "family": self.family.name,
                "version": self.family.version,
                "hyperparameters": self.hyperparameters,
                "classes": list(self.context.classes),
                "seed": self.context.seed,
                "shapes": {slot: list(shape) for slot, shape in self.context.shapes.items()},
                **({"dimensions": list(self.context.dimensions)} if self.context.dimensions else {}),
            },
        )

    def load_weights(self, folder: Readable) -> Self:
        """Take the weights that `save` wrote; refused before memory is taken where they are of other sizes."""
        file, what = folder / WEIGHTS_FILE, f"the weights of a {self.family.name} model"
        given = read_tensors(file, what)
        with blaming(folder / FILE, f"a {self.family.name} model that can be built"):
            expected = self._outline().state_dict()
        for name in sorted({*expected, *given}):
            sizes = [
                f"{tensor.dtype} {tuple(tensor.shape)}" if tensor is not None else "none"
                for tensor in (expected.get(name), given.get(name))
            ]
            if sizes[0] != sizes[1]:
                raise EmofuseError(
                    f"{file}: expected {what}, but there is a size mismatch of {shown(name)}: {sizes[0]} by its "
                    f"hyperparameters, {sizes[1]} in the file."
                )
        network = self._build()
        network.load_state_dict(given)
        self._network = network
        return self

    def _build(self, make: Callable[[], ClipNetwork] | None = None) -> ClipNetwork:
        device = torch.device(self.context.device)
        with seeded(self.context.seed, device):
            network = (make or self._make)().to(device)
        for module in network.modules():
            if isinstance(module, Augmented):
                module.augmented = self.augment
        return network

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
        return content_key(
            [
                self.family.name,
                self.family.version,
                self.hyperparameters,
                self.context.seed,
                list(self.context.dimensions or self.context.classes),
                {slot: list(shape) for slot, shape in self.context.shapes.items()},
                sides,
                *([self.context.metric] if self.context.metric != "accuracy" else []),
            ]
        )


def load_torch(build: Callable[[Mapping[str, Any], Context], TorchModel], folder: Readable, device: str) -> TorchModel:
    """Read what `TorchModel.save` wrote; `build` is the family's."""
    return read_description(folder).build(build, device, folder).load_weights(folder)
