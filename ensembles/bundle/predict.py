"""Classify raw media files with a bundle: features, backbones, members, fusion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np

from ensembles.bundle.bundle import Bundle, open_bundle
from ensembles.bundle.given import GivenFeatures, refuse_media_alone
from ensembles.bundle.parts import BundleMember
from ensembles.bundle.weights import Weights
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.media_files import AUDIO, IMAGES, VIDEO, media_below
from features.one_clip import extract_clip
from features.schema import shown
from features.sets import Media, get_set

if TYPE_CHECKING:
    from features.store.store import StoredSet
    from models.examples import Examples
    from models.family import ContinuousModel


@dataclass(frozen=True)
class ClipPrediction:
    """One clip's result: `label` with `probabilities` by class, or `reason` why there is none.

    `left_out` tells for each member that could not score the clip why, or that its scores were not finite; the others
    share its weight. `members` are the probabilities of each that could. `distance` is how far the clip lies from the
    training clips, in times the limit (None: the bundle doesn't know them), `unlike` the sets in which it is beyond it.
    """

    path: str
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    members: dict[str, dict[str, float]] = field(default_factory=dict)
    distance: float | None = None
    unlike: dict[str, float] = field(default_factory=dict)


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
        return self._classified(_ClipArrays(self, media), name)

    def predict_given(self, given: GivenFeatures) -> "Iterator[ClipPrediction | TracePrediction]":
        """Predict the clips of a table in its order, called by their ids; `given` are the imported sets that are read.

        What else the members read is computed from the clips' media; otherwise as `predict` or `trace`.
        """
        over_time = self.bundle.ensemble.over_time is not None
        for clip in given.table.clips:
            try:
                media = given.table.media(clip)
            except ClipFailure:
                media = Media(Path(clip.clip_id))
            arrays = _ClipArrays(self, media, clip.clip_id, given.sets)
            yield self._traced(arrays, clip.clip_id) if over_time else self._classified(arrays, clip.clip_id)

    def _refuse_other(self, over_time: bool) -> None:
        if (self.bundle.ensemble.over_time is not None) == over_time:
            return
        if over_time:
            raise WrongUse(f"{self.bundle.folder} tells classes apart, not continuous emotion: use `predict`.")
        raise WrongUse(f"{self.bundle.folder} predicts continuous emotion, not classes: use `trace`.")

    def _classified(self, arrays: "_ClipArrays", name: str) -> ClipPrediction:
        ensemble = self.bundle.ensemble
        M, C = len(self.members), len(ensemble.classes)
        P = np.full((M, 1, C), 1 / C, np.float32)
        valid = np.zeros((M, 1), bool)
        left_out: dict[str, str] = {}
        for m, (member, model) in enumerate(zip(self.bundle.members, self.members, strict=True)):
            try:
                P[m] = _finite(model.predict(arrays.examples(member, ensemble.classes)), "its scores")
                valid[m] = True
            except _LeftOut as reason:
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

    def trace(self, path: Path) -> "TracePrediction":
        """Predict one media file over time, with a bundle of continuous emotion; otherwise as `predict`."""
        return self.trace_media(Media(path), str(path))

    def trace_media(self, media: Media, name: str) -> "TracePrediction":
        """`trace`, for a file or a part of it, called `name` in the result."""
        self._refuse_other(over_time=True)
        refuse_media_alone(self.bundle.imported, self.bundle.folder)
        return self._traced(_ClipArrays(self, media), name)

    def _traced(self, arrays: "_ClipArrays", name: str) -> "TracePrediction":
        ensemble = self.bundle.ensemble
        assert ensemble.over_time is not None
        dimensions = ensemble.outputs
        nothing = np.zeros((0, len(dimensions)))
        try:
            time_s = arrays.moments(self.bundle.members, ensemble.over_time.step_s)
        except _LeftOut as reason:
            return TracePrediction(name, dimensions, nothing[:, 0], nothing, reason=str(reason))
        P = np.zeros((len(self.members), len(time_s), len(dimensions)))
        valid = np.zeros(P.shape, bool)
        left_out: dict[str, str] = {}
        for m, (member, model) in enumerate(zip(self.bundle.members, self.members, strict=True)):
            try:
                (steps,) = cast("ContinuousModel", model).predict_steps(arrays.steps(member, dimensions, time_s))
                P[m], valid[m] = _finite(steps, "its predictions"), True
            except _LeftOut as reason:
                left_out[self.bundle.member_names[m]] = str(reason)
        if not valid.any():
            reasons = "; ".join(sorted(set(left_out.values())))
            return TracePrediction(name, dimensions, nothing[:, 0], nothing, reason=reasons)
        values = ensemble.predict_over_time(P, valid)
        return TracePrediction(name, dimensions, time_s, values, left_out, **arrays.away())


@dataclass(frozen=True, eq=False)
class TracePrediction:
    """One recording's result: `values` (T, D) of `dimensions` at `time_s` (T,) seconds, or `reason` why there is none.

    `left_out`, `distance` and `unlike` are as in `ClipPrediction`.
    """

    path: str
    dimensions: tuple[str, ...]
    time_s: np.ndarray
    values: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    distance: float | None = None
    unlike: dict[str, float] = field(default_factory=dict)


class _Away(TypedDict):
    distance: float | None
    unlike: dict[str, float]


class _LeftOut(Exception):
    """Why a member can't score the clip."""


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


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise _LeftOut(f"not_finite: {what} hold NaN or infinity")
    return values


class _ClipArrays:
    """The feature arrays of one clip, each computed once for all members that read it."""

    def __init__(
        self,
        predictor: Predictor,
        media: Media,
        clip_id: str = "",
        given: "Mapping[str, StoredSet] | None" = None,
    ):
        self._predictor, self._media = predictor, media
        self._clip_id, self._given = clip_id, given or {}
        self._known: dict[str, np.ndarray | _LeftOut] = {}
        self._moments: dict[str, np.ndarray] = {}

    def moments(self, members: Sequence[BundleMember], step_s: float) -> np.ndarray:
        """The moments (T,) that are predicted: every `step_s` from 0 on, as far as what any member reads goes.

        Errors: _LeftOut where nothing can be read.
        """
        ends: list[float] = []
        reasons: set[str] = set()
        for spec in dict.fromkeys(spec for member in members for spec in member.inputs.values()):
            try:
                ends.append(float(self._times(spec)[-1]))
            except _LeftOut as reason:
                reasons.add(str(reason))
        if not ends:
            raise _LeftOut("; ".join(sorted(reasons)))
        return np.arange(round(max(ends) / step_s) + 1) * step_s

    def steps(self, member: BundleMember, dimensions: tuple[str, ...], time_s: np.ndarray) -> "Examples":
        """What the member's model reads at the moments `time_s` (T,): of each input what lies nearest."""
        from models.examples import Examples
        from search.trial.continuous_data import nearest

        values = {slot: (self._array(spec), self._times(spec)) for slot, spec in member.inputs.items()}
        inputs = {slot: [own[nearest(given, time_s)]] for slot, (own, given) in values.items()}
        return Examples((str(self._media.path),), inputs, (), dimensions=dimensions)

    def _times(self, spec: str) -> np.ndarray:
        """The moments of the steps of an input; a backbone's layer has those of the images that it is computed from."""
        bundle = self._predictor.bundle
        backbone, dot, _ = spec.partition(".")
        if dot and backbone in bundle.backbones:
            return self._times(bundle.backbones[backbone].images)
        self._array(spec)
        return self._moments[spec]

    def examples(self, member: BundleMember, classes: tuple[str, ...]) -> "Examples":
        """What the member's model reads of this clip; _LeftOut where an input can't be had."""
        from models.examples import Examples

        inputs = {slot: [self._array(spec)] for slot, spec in member.inputs.items()}
        return Examples(ids=(str(self._media.path),), inputs=inputs, classes=classes)

    def away(self) -> "_Away":
        """How far the features that were read lie from those of the training clips."""
        bundle, found = self._predictor.bundle, {}
        for spec, seen in bundle.seen.items():
            values = self._known.get(spec)
            if isinstance(values, np.ndarray):
                try:
                    found[spec] = seen.times_limit(values)
                except EmofuseError as error:
                    raise EmofuseError(f"{bundle.folder}: seen.safetensors, {shown(spec)}: {error}.") from None
        unlike = {spec: times for spec, times in found.items() if times > 1}
        return {"distance": max(found.values(), default=None), "unlike": unlike}

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
            return self._predictor.encoders[spec].encode(examples)[0]
        backbone, dot, layer = spec.partition(".")
        if dot and backbone in bundle.backbones:
            images = self._array(bundle.backbones[backbone].images)
            values = self._predictor.backbones[backbone].activations(images, layer.partition(":")[0])
            return values[:, bundle.selections[spec]] if spec in bundle.selections else values
        if spec in self._given:
            return self._stored(self._given[spec], spec)
        parsed = self._predictor.weights.located(spec)
        found = extract_clip(self._media, parsed)
        values, self._moments[spec] = found.values, found.time_s
        return values[0] if get_set(parsed.name).level_of(parsed.params) == "clip" else values

    def _stored(self, stored: "StoredSet", spec: str) -> np.ndarray:
        if not stored.has(self._clip_id):
            raise _LeftOut(f"{stored.status(self._clip_id)}: {stored.reason(self._clip_id)}")
        self._moments[spec] = stored.times(self._clip_id)
        return stored[self._clip_id]


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
