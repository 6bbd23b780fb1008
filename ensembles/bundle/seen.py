"""What a bundle's models have seen: the distribution of their training inputs, and how far a clip lies from it.

Of each feature set a clip is told by one vector: a vector's numbers themselves, of steps their means and deviations
over time, of pictures where they have contrast (the logarithm of the deviation in 8 x 8 fields, which light and shade
hardly change). These are standardised; the distance is Mahalanobis' in the first principal components, and in all
others together by their mean variance. A clip is unlike the training clips where it lies farther off than 99 of 100
training clips whose group (speaker, film) was left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from pydantic import Field

from features.errors import EmofuseError
from features.schema import shown

_COMPONENTS = 8
_CLIPS_PER_COMPONENT = 8
_FIELDS = 8
_FOLDS = 10
_LIMIT = 0.99
# With fewer clips or groups nothing is told.
_FEWEST_CLIPS, FEWEST_GROUPS = 20, 3
_SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class Seen:
    """One feature set's distribution over N training clips of `groups` groups.

    `mean`, `scale` (D,); `components` (K, D) of `variances` (K,), `rest` that of each other direction. `limit` is the
    distance from which on a clip is unlike them.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float
    clips: int
    groups: int

    def distances(self, X: np.ndarray) -> np.ndarray:
        """(N,) of clips' vectors (N, D), about 1 for a training clip."""
        # What no training clip does (a number far off by rounding) must not become infinite.
        Z = np.clip((X - self.mean) / self.scale, -1e6, 1e6)
        A = Z @ self.components.T
        away = (A * A / (self.variances + self.rest)).sum(axis=1)
        left = np.maximum((Z * Z).sum(axis=1) - (A * A).sum(axis=1), 0) / self.rest
        return np.sqrt((away + left) / Z.shape[1])

    def times_limit(self, values: np.ndarray) -> float:
        """How many times farther off than the limit a clip's feature array lies; above 1 it is unlike."""
        vector = described(values)
        if vector.shape != self.mean.shape:
            raise EmofuseError(f"expected a vector of {self.mean.shape[0]} numbers of the clip, but got {vector.shape}")
        return float(self.distances(vector[None])[0] / self.limit)


def described(values: np.ndarray) -> np.ndarray:
    """The vector (D,) float64 that tells of a clip's features (F,), steps (T, F) or pictures (T, H, W[, 3])."""
    values = np.asarray(values)
    if values.ndim == 1:
        return values.astype(np.float64)
    if values.ndim >= 3 and min(values.shape[1:3]) >= _FIELDS:
        return _contrast(values)
    steps = values.reshape(len(values), -1).astype(np.float64)
    return np.concatenate([steps.mean(axis=0), steps.std(axis=0)])


def _contrast(pictures: np.ndarray) -> np.ndarray:
    grey = pictures if pictures.ndim == 3 else pictures.reshape(*pictures.shape[:3], -1).mean(axis=3)
    height, width = (side // _FIELDS for side in grey.shape[1:3])
    cut = grey[:, : height * _FIELDS, : width * _FIELDS].astype(np.float64)
    fields = cut.reshape(len(cut), _FIELDS, height, _FIELDS, width)
    return np.asarray(np.log1p(fields.std(axis=(2, 4))).mean(axis=0).ravel())


def distribution(X: np.ndarray, groups: Sequence[str]) -> Seen | None:
    """The distribution of clips' vectors (N, D); None where there are too few clips or groups to tell."""
    names = sorted(set(groups))
    if len(X) < _FEWEST_CLIPS or len(names) < FEWEST_GROUPS:
        return None
    fold_of = {name: n % min(_FOLDS, len(names)) for n, name in enumerate(names)}
    folds = np.array([fold_of[name] for name in groups])
    left_out = np.zeros(len(X))
    for fold in np.unique(folds):
        out = folds == fold
        left_out[out] = _fitted(X[~out], 1.0, len(names)).distances(X[out])
    return _fitted(X, max(float(np.quantile(left_out, _LIMIT)), _SMALLEST), len(names))


def _fitted(X: np.ndarray, limit: float, groups: int) -> Seen:
    from sklearn.utils.extmath import randomized_svd

    mean, scale = X.mean(axis=0), X.std(axis=0)
    # A number that never changed has no scale of its own.
    scale = np.where(scale > _SMALLEST * np.maximum(1, np.abs(mean)), scale, np.maximum(1, np.abs(mean)))
    Z = (X - mean) / scale
    k = max(1, min(_COMPONENTS, len(X) // _CLIPS_PER_COMPONENT, Z.shape[1]))
    _, singular, components = randomized_svd(Z, k, random_state=0)
    variances = singular**2 / max(len(X) - 1, 1)
    whole = (Z * Z).sum() / max(len(X) - 1, 1)
    rest = max((whole - variances.sum()) / max(Z.shape[1] - k, 1), _SMALLEST)
    return Seen(mean, scale, components, variances, float(rest), limit, len(X), groups)


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class BundleSeen:
    """What bundle.json says of a set's distribution; its arrays lie in `seen.safetensors`."""

    rest: _Positive
    limit: _Positive
    clips: Annotated[int, Field(gt=0)]
    groups: Annotated[int, Field(gt=0)]


SEEN_FIELDS = tuple(field.name for field in fields(BundleSeen))


def as_arrays(found: Mapping[str, Seen]) -> dict[str, np.ndarray]:
    """The arrays of `seen.safetensors`, by set and name."""
    return {
        f"{spec}/{name}": np.ascontiguousarray(getattr(seen, name), np.float32)
        for spec, seen in found.items()
        for name in ("mean", "scale", "components", "variances")
    }


def from_arrays(said: Mapping[str, BundleSeen], arrays: Mapping[str, np.ndarray], where: str) -> dict[str, Seen]:
    """What `as_arrays` was given. Errors: EmofuseError for arrays that don't fit together."""
    found = {}
    for spec, one in said.items():
        own = [arrays.get(f"{spec}/{name}") for name in ("mean", "scale", "components", "variances")]
        shapes = [None if array is None else array.shape for array in own]
        width, many = next(((s[1], s[0]) for s in shapes[2:3] if s is not None and len(s) == 2), (0, 0))
        if shapes != [(width,), (width,), (many, width), (many,)] or not width or not many:
            raise EmofuseError(f"{where}: expected the distribution of {shown(spec)}, but its arrays don't fit.")
        mean, scale, components, variances = (np.asarray(array, np.float64) for array in own if array is not None)
        if not (scale > 0).all() or not (variances >= 0).all():
            raise EmofuseError(f"{where}: expected scales above 0 for {shown(spec)}; export the bundle again.")
        found[spec] = Seen(mean, scale, components, variances, one.rest, one.limit, one.clips, one.groups)
    return found
