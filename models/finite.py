"""A trained model's outputs, refused where they are not finite: such a training diverged, whatever its loss said."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from features.errors import Diverged


def finite(what: str, ids: Sequence[str], outputs: Iterable[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """(clip, its output) of each clip; Diverged that names the first clip whose output holds NaN or infinity."""
    for clip_id, values in zip(ids, outputs, strict=True):
        if not np.isfinite(values).all():
            raise Diverged(
                f"The trained model's {what} of clip {clip_id!r} are not finite ({_first(values):g}); expected finite "
                "numbers: lower the learning rate, or look for features of extreme size."
            )
        yield clip_id, values


def _first(values: np.ndarray) -> float:
    flat = np.asarray(values).ravel()
    return float(flat[~np.isfinite(flat)][0])
