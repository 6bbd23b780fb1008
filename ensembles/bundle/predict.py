"""Classify raw media files with a bundle: features, backbones, members, fusion."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ensembles.bundle.bundle import Bundle, open_bundle
from ensembles.bundle.clip_arrays import ClipArrays, LeftOut, Loaded, finite
from ensembles.bundle.given import GivenFeatures, refuse_media_alone
from ensembles.bundle.results import ClipPrediction, TracePrediction
from ensembles.bundle.weights import Weights
from features.errors import ClipFailure, WrongUse
from features.media_files import AUDIO, IMAGES, VIDEO, media_below
from features.sets import Media

if TYPE_CHECKING:
    from models.family import ContinuousModel


class Predictor:
    """A loaded bundle.

    `encoders` are places of encoders' weights by the bundle's names for them, where it doesn't hold them.

    Errors: a tampered bundle, models that don't fit together, an extractor of another version than the training's,
    weights of another digest.
    """

    def __init__(self, folder: Path, device: str = "cpu", encoders: Mapping[str, Path] | None = None):
        from ensembles.bundle.loading import load_models

        refuse_absent(device)
        self.bundle: Bundle = open_bundle(folder)
        self.weights = Weights(self.bundle.weights, self.bundle.files, encoders or {})
        self.members, self.encoders, self.backbones = load_models(self.bundle, device, self.weights)
        self._loaded = Loaded(self.bundle, self.weights, self.encoders, self.backbones)

    def predict(self, path: Path) -> ClipPrediction:
        """Classify one media file, with a bundle of classes.

        A file that nothing can be read from gives a result with a reason, not an error.

        MachineFault where this machine can't compute what the members read.
        """
        return self.predict_media(Media(path), str(path))

    def predict_media(self, media: Media, name: str) -> ClipPrediction:
        """`predict`, for a file or a part of it, called `name` in the result."""
        self._refuse_other(over_time=False)
        refuse_media_alone(self.bundle.imported, self.bundle.folder)
        return self._classified(ClipArrays(self._loaded, media), name)

    def predict_given(self, given: GivenFeatures) -> Iterator[ClipPrediction | TracePrediction]:
        """Predict the clips of a table in its order, called by their ids; `given` are the imported sets that are read.

        What else the members read is computed from the clips' media; otherwise as `predict` or `trace`.
        """
        over_time = self.bundle.ensemble.over_time is not None
        for clip in given.table.clips:
            try:
                media = given.table.media(clip)
            except ClipFailure:
                media = Media(Path(clip.clip_id))
            arrays = ClipArrays(self._loaded, media, clip.clip_id, given.sets)
            yield self._traced(arrays, clip.clip_id) if over_time else self._classified(arrays, clip.clip_id)

    def _refuse_other(self, over_time: bool) -> None:
        if (self.bundle.ensemble.over_time is not None) == over_time:
            return
        if over_time:
            raise WrongUse(f"{self.bundle.folder} tells classes apart, not continuous emotion: use `predict`.")
        raise WrongUse(f"{self.bundle.folder} predicts continuous emotion, not classes: use `trace`.")

    def _classified(self, arrays: ClipArrays, name: str) -> ClipPrediction:
        ensemble = self.bundle.ensemble
        M, C = len(self.members), len(ensemble.classes)
        P = np.full((M, 1, C), 1 / C, np.float32)
        valid = np.zeros((M, 1), bool)
        left_out: dict[str, str] = {}
        for m, (member, model) in enumerate(zip(self.bundle.members, self.members, strict=True)):
            try:
                P[m] = finite(model.predict(arrays.examples(member, ensemble.classes)), "its scores")
                valid[m] = True
            except LeftOut as reason:
                P[m] = 1 / C
                left_out[self.bundle.member_names[m]] = str(reason)
        if not valid.any():
            return ClipPrediction(name, reason="; ".join(sorted(set(left_out.values()))))
        scores = ensemble.predict_proba(P, valid)[0]
        return ClipPrediction(
            name,
            label=ensemble.classes[int(scores.argmax())],
            probabilities=_by_class(ensemble.classes, scores),
            left_out=left_out,
            members={
                member: _by_class(ensemble.classes, P[m, 0])
                for m, member in enumerate(self.bundle.member_names)
                if valid[m, 0]
            },
            **arrays.away(),
        )

    def trace(self, path: Path) -> TracePrediction:
        """Predict one media file over time, with a bundle of continuous emotion; otherwise as `predict`."""
        return self.trace_media(Media(path), str(path))

    def trace_media(self, media: Media, name: str) -> TracePrediction:
        """`trace`, for a file or a part of it, called `name` in the result."""
        self._refuse_other(over_time=True)
        refuse_media_alone(self.bundle.imported, self.bundle.folder)
        return self._traced(ClipArrays(self._loaded, media), name)

    def _traced(self, arrays: ClipArrays, name: str) -> TracePrediction:
        ensemble = self.bundle.ensemble
        assert ensemble.over_time is not None
        dimensions = ensemble.outputs
        nothing = np.zeros((0, len(dimensions)))
        try:
            time_s = arrays.moments(self.bundle.members, ensemble.over_time.step_s)
        except LeftOut as reason:
            return TracePrediction(name, dimensions, nothing[:, 0], nothing, reason=str(reason))
        P = np.zeros((len(self.members), len(time_s), len(dimensions)))
        valid = np.zeros(P.shape, bool)
        left_out: dict[str, str] = {}
        for m, (member, model) in enumerate(zip(self.bundle.members, self.members, strict=True)):
            try:
                (steps,) = cast("ContinuousModel", model).predict_steps(arrays.steps(member, dimensions, time_s))
                P[m], valid[m] = finite(steps, "its predictions"), True
            except LeftOut as reason:
                left_out[self.bundle.member_names[m]] = str(reason)
        if not valid.any():
            reasons = "; ".join(sorted(set(left_out.values())))
            return TracePrediction(name, dimensions, nothing[:, 0], nothing, reason=reasons)
        values = ensemble.predict_over_time(P, valid)
        return TracePrediction(name, dimensions, time_s, values, left_out, **arrays.away())


def _by_class(classes: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    return {name: float(p) for name, p in zip(classes, scores, strict=True)}


def refuse_absent(device: str) -> None:
    """WrongUse for a device that this machine doesn't have, or that is none."""
    from torch import cuda

    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise WrongUse(f"--device {device}: expected cpu or cuda.")
    if kind == "cuda" and int(number or 0) >= cuda.device_count():
        have = f"{cuda.device_count()} of them" if cuda.device_count() else "none"
        raise WrongUse(f"--device {device}: expected a CUDA device, but torch finds {have} here; use --device cpu.")


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
