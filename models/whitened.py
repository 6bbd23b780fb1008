"""PCA whitening of vectors in front of any family's model, learnt on the rows that the model is fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save

from features.errors import EmofuseError
from features.files import write_bytes
from features.schema import shown
from features.tables.readable import Readable
from models.examples import Examples
from models.family import Context, ContinuousModel, Family, FitResult, Model, Report
from models.weights import read_arrays

_FILE = "whitening.safetensors"
# A component with less than this share of the first one's variance is rounding: it is left at 0, not blown up.
_NO_VARIANCE = 1e-9


@dataclass(frozen=True)
class Whitening:
    """How one input is whitened: to its first `components` principal ones; `scaled` standardises every number first."""

    components: int
    scaled: bool = False


@dataclass(frozen=True)
class Projection:
    """What was learnt of one input: `(x - mean) @ matrix`, for `mean` (F,) and `matrix` (F, components), float32."""

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def learn(cls, arrays: Sequence[np.ndarray], how: Whitening) -> "Projection":
        """From the steps of all `arrays`, each (T, F) or (F,).

        The variance of each component is 1 over these steps. Where they hold fewer components than asked for (fewer
        steps or numbers, or no variance), the last ones are 0.
        """
        from sklearn.decomposition import PCA

        steps = np.concatenate([np.atleast_2d(array) for array in arrays]).astype(np.float64)  # (R, F)
        rows, width = steps.shape
        mean, scale = steps.mean(axis=0), np.ones(width)
        if how.scaled:
            scale = steps.std(axis=0)
            scale[scale <= _NO_VARIANCE * np.abs(mean)] = 1.0
        matrix = np.zeros((width, how.components))
        if rows > 1:
            solver = "covariance_eigh" if rows > width else "full"
            pca = PCA(min(how.components, rows - 1, width), svd_solver=solver).fit((steps - mean) / scale)
            real = pca.explained_variance_ > _NO_VARIANCE * max(pca.explained_variance_[0], np.finfo(np.float64).tiny)
            kept = pca.components_[real].T / np.sqrt(pca.explained_variance_[real])
            matrix[:, : kept.shape[1]] = kept / scale[:, None]
        return cls(mean.astype(np.float32), matrix.astype(np.float32))

    def apply(self, array: np.ndarray) -> np.ndarray:
        """`array` (T, F) or (F,) whitened, float32."""
        return (array.astype(np.float32) - self.mean) @ self.matrix


class WhitenedModel:
    """A model whose inputs `how` are whitened before it sees them; from outside it is a model like others."""

    def __init__(self, model: Model, how: Mapping[str, Whitening], known: Mapping[str, Projection] | None = None):
        self.model, self.how = model, how
        self._known = dict(known or {})

    @property
    def projections(self) -> Mapping[str, Projection]:
        """What was learnt, by slot."""
        return self._known

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
        """See `models.family.Model.fit`; the whitening is learnt on `train` alone."""
        train.check_finite()
        self._known = {slot: Projection.learn(train.inputs[slot], how) for slot, how in self.how.items()}
        inner = None if held_out is None else self._whitened(held_out)
        return self.model.fit(
            self._whitened(train), inner, epochs=epochs, max_epochs=max_epochs, report=report, resume=resume
        )

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32."""
        return self.model.predict(self._whitened(examples))

    def encode(self, examples: Examples) -> np.ndarray:
        """The inner model's clip vectors (N, D) float32."""
        return self.model.encode(self._whitened(examples))

    def predict_steps(self, examples: Examples) -> list[np.ndarray]:
        """The inner model's predictions for each step, where it is a `models.family.ContinuousModel`."""
        return cast(ContinuousModel, self.model).predict_steps(self._whitened(examples))

    def save(self, folder: Path) -> None:
        """Write `whitening.safetensors` besides what the inner model writes."""
        arrays = {
            f"{slot}.{name}": np.ascontiguousarray(array)
            for slot, projection in self._known.items()
            for name, array in vars(projection).items()
        }
        write_bytes(folder / _FILE, save(arrays))
        self.model.save(folder)

    def _whitened(self, examples: Examples) -> Examples:
        inputs = dict(examples.inputs)
        for slot, projection in self._known.items():
            inputs[slot] = [
                projection.apply(self._fitting(slot, clip_id, array, projection))
                for clip_id, array in zip(examples.ids, inputs[slot], strict=True)
            ]
        return replace(examples, inputs=inputs)

    def _fitting(self, slot: str, clip_id: str, array: np.ndarray, projection: Projection) -> np.ndarray:
        if array.shape[-1:] != projection.mean.shape:
            raise EmofuseError(
                f"Clip {clip_id!r}: expected {slot!r} vectors of {len(projection.mean)} numbers, but got an array of "
                f"shape {array.shape}; extract the set again."
            )
        return array


def build_whitened(
    family: Family, hyperparameters: Mapping[str, Any], context: Context, how: Mapping[str, Whitening]
) -> Model:
    """The family's model for `context`, with the inputs `how` whitened first."""
    if not how:
        return family.build(hyperparameters, context)
    shapes = {**context.shapes, **{slot: (one.components,) for slot, one in how.items()}}
    columns = {slot: names for slot, names in context.columns.items() if slot not in how}
    return WhitenedModel(family.build(hyperparameters, replace(context, shapes=shapes, columns=columns)), how)


def read_projections(folder: Readable, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Projection]:
    """The projections by slot that lie in a saved model's `folder`, if any; `shapes` are what the model itself reads.

    Errors: EmofuseError for arrays that are no whitening of these inputs.
    """
    file = folder / _FILE
    if not file.is_file():
        return {}
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in read_arrays(file, "the whitening of a saved model").items():
        slot, _, part = name.rpartition(".")
        parts.setdefault(slot, {})[part] = array
    for slot, arrays in parts.items():
        mean, matrix = arrays.get("mean"), arrays.get("matrix")
        known = shapes.get(slot)
        if mean is None or matrix is None or known is None or len(arrays) != 2 or matrix.shape != (len(mean), *known):
            told = {name: array.shape for name, array in arrays.items()}
            raise EmofuseError(
                f"{file}: expected the whitening of a saved model, a mean (F,) and a matrix (F, components) for inputs "
                f"of the shapes {shown(dict(shapes))}, but got {shown(told)} for {shown(slot)}."
            )
    return {slot: Projection(**arrays) for slot, arrays in parts.items()}


def load_whitened(model: Model, known: Mapping[str, Projection]) -> Model:
    """`model` behind the whitening that lay beside it, if any."""
    if not known:
        return model
    return WhitenedModel(model, {slot: Whitening(one.matrix.shape[1]) for slot, one in known.items()}, known)
