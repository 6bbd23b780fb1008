"""Classify raw media files with a bundle: features, backbones, members, fusion."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensembles.bundle.bundle import Bundle, open_bundle
from ensembles.bundle.parts import BundleMember
from features.errors import ClipFailure, WrongUse
from features.media_files import AUDIO, IMAGES, VIDEO, media_below
from features.one_clip import extract_clip
from features.sets import Media, get_set, parse_spec

if TYPE_CHECKING:
    from models.examples import Examples


@dataclass(frozen=True)
class ClipPrediction:
    """One clip's result: `label` with `probabilities` by class, or `reason` why there is none.

    `left_out` tells for each member that could not score the clip why, or that its scores were not finite; the others
    share its weight.
    """

    path: str
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


class Predictor:
    """A loaded bundle.

    Errors: a tampered bundle, models that don't fit together, an extractor of another version than the training's.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        from ensembles.bundle.loading import load_models

        self.bundle: Bundle = open_bundle(folder)
        self._members, self._encoders, self._backbones = load_models(self.bundle, device)

    def predict(self, path: Path) -> ClipPrediction:
        """Classify one media file. A file that nothing can be read from gives a result with a reason, not an error.

        MachineFault where this machine can't compute what the members read.
        """
        arrays = _ClipArrays(self, Media(path))
        ensemble = self.bundle.ensemble
        M, C = len(self._members), len(ensemble.classes)
        P = np.full((M, 1, C), 1 / C, np.float32)
        valid = np.zeros((M, 1), bool)
        left_out: dict[str, str] = {}
        for m, (member, model) in enumerate(zip(self.bundle.members, self._members, strict=True)):
            try:
                P[m] = _finite(model.predict(arrays.examples(member, ensemble.classes)), "its scores")
                valid[m] = True
            except _LeftOut as reason:
                P[m] = 1 / C
                left_out[f"{m:02d}-{member.entry}"] = str(reason)
        if not valid.any():
            return ClipPrediction(str(path), reason="; ".join(sorted(set(left_out.values()))))
        scores = ensemble.predict_proba(P, valid)[0]
        return ClipPrediction(
            str(path),
            label=ensemble.classes[int(scores.argmax())],
            probabilities={name: float(p) for name, p in zip(ensemble.classes, scores, strict=True)},
            left_out=left_out,
        )


class _LeftOut(Exception):
    """Why a member can't score the clip."""


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise _LeftOut(f"not_finite: {what} hold NaN or infinity")
    return values


class _ClipArrays:
    """The feature arrays of one clip, each computed once for all members that read it."""

    def __init__(self, predictor: Predictor, media: Media):
        self._predictor, self._media = predictor, media
        self._known: dict[str, np.ndarray | _LeftOut] = {}

    def examples(self, member: BundleMember, classes: tuple[str, ...]) -> "Examples":
        """What the member's model reads of this clip; _LeftOut where an input can't be had."""
        from models.examples import Examples

        inputs = {slot: [self._array(spec)] for slot, spec in member.inputs.items()}
        return Examples(ids=(str(self._media.path),), inputs=inputs, classes=classes)

    def _array(self, spec: str) -> np.ndarray:
        if spec not in self._known:
            try:
                self._known[spec] = _finite(self._compute(spec), f"the values of {spec}")
            except _LeftOut as reason:
                self._known[spec] = reason
            except ClipFailure as failure:
                self._known[spec] = _LeftOut(str(failure))
            except MemoryError:
                self._known[spec] = _LeftOut("unreadable: main memory ran out while it was read")
        known = self._known[spec]
        if isinstance(known, _LeftOut):
            raise known
        return known

    def _compute(self, spec: str) -> np.ndarray:
        bundle = self._predictor.bundle
        if spec in bundle.encoders:
            examples = self.examples(bundle.encoders[spec], bundle.ensemble.classes)
            return self._predictor._encoders[spec].encode(examples)[0]
        backbone, dot, layer = spec.partition(".")
        if dot and backbone in bundle.backbones:
            images = self._array(bundle.backbones[backbone].images)
            values = self._predictor._backbones[backbone].activations(images, layer.partition(":")[0])
            return values[:, bundle.selections[spec]] if spec in bundle.selections else values
        parsed = parse_spec(spec)
        values = extract_clip(self._media, parsed).values
        return values[0] if get_set(parsed.name).level_of(parsed.params) == "clip" else values


def media_files(given: Sequence[Path]) -> list[Path]:
    """The files as given and, of each folder, all media files below it in order; what else lies there is told.

    WrongUse for a folder that holds none.
    """
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = media_below(path, VIDEO | AUDIO | IMAGES, "media files")
            if not inside:
                raise WrongUse(f"{path}: the folder holds no media files.")
            paths += inside
        else:
            paths.append(path)
    return paths
