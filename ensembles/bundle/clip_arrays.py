"""What the members of a bundle read of one clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from ensembles.bundle.bundle import Bundle
from ensembles.bundle.parts import BundleMember
from ensembles.bundle.weights import Weights
from features.errors import ClipFailure, EmofuseError
from features.one_clip import extract_clip
from features.schema import shown
from features.sets import Media, get_set

if TYPE_CHECKING:
    from features.store.stored_set import StoredSet
    from models.examples import Examples
    from models.family import Backbone, Model


class Away(TypedDict):
    """How far a clip lies from those of the training, and the sets in which it is beyond the limit."""

    distance: float | None
    unlike: dict[str, float]


class LeftOut(Exception):
    """Why a member can't score the clip."""


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """The values; LeftOut, telling `what` they are, where some are not finite."""
    if not np.isfinite(values).all():
        raise LeftOut(f"not_finite: {what} hold NaN or infinity")
    return values


@dataclass(frozen=True)
class Loaded:
    """A bundle with what its members' inputs are computed by: encoders and backbones by name, weights of encoders."""

    bundle: Bundle
    weights: Weights
    encoders: "Mapping[str, Model]"
    backbones: "Mapping[str, Backbone]"


class ClipArrays:
    """The feature arrays of one clip, each computed once for all members that read it."""

    def __init__(
        self,
        loaded: Loaded,
        media: Media,
        clip_id: str = "",
        given: "Mapping[str, StoredSet] | None" = None,
    ):
        self._loaded, self._media = loaded, media
        self._clip_id, self._given = clip_id, given or {}
        self._known: dict[str, np.ndarray | LeftOut] = {}
        self._moments: dict[str, np.ndarray] = {}

    def moments(self, members: Sequence[BundleMember], step_s: float) -> np.ndarray:
        """The moments (T,) that are predicted: every `step_s` from 0 on, as far as what any member reads goes.

        Errors: LeftOut where nothing can be read.
        """
        ends: list[float] = []
        reasons: set[str] = set()
        for spec in dict.fromkeys(spec for member in members for spec in member.inputs.values()):
            try:
                ends.append(float(self._times(spec)[-1]))
            except LeftOut as reason:
                reasons.add(str(reason))
        if not ends:
            raise LeftOut("; ".join(sorted(reasons)))
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
        bundle = self._loaded.bundle
        backbone, dot, _ = spec.partition(".")
        if dot and backbone in bundle.backbones:
            return self._times(bundle.backbones[backbone].images)
        self._array(spec)
        return self._moments[spec]

    def examples(self, member: BundleMember, classes: tuple[str, ...]) -> "Examples":
        """What the member's model reads of this clip; LeftOut where an input can't be had."""
        from models.examples import Examples

        inputs = {slot: [self._array(spec)] for slot, spec in member.inputs.items()}
        return Examples(ids=(str(self._media.path),), inputs=inputs, classes=classes)

    def away(self) -> Away:
        """How far the features that were read lie from those of the training clips."""
        bundle, found = self._loaded.bundle, {}
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
                self._known[spec] = finite(self._compute(spec), f"the values of {spec}")
            except LeftOut as reason:
                self._known[spec] = reason
            except ClipFailure as failure:
                self._known[spec] = LeftOut(str(failure))
            except MemoryError:
                self._known[spec] = LeftOut("unreadable: main memory ran out while it was read")
        known = self._known[spec]
        if isinstance(known, LeftOut):
            raise known
        return known

    def _compute(self, spec: str) -> np.ndarray:
        bundle = self._loaded.bundle
        if spec in bundle.encoders:
            examples = self.examples(bundle.encoders[spec], bundle.ensemble.classes)
            return self._loaded.encoders[spec].encode(examples)[0]
        backbone, dot, layer = spec.partition(".")
        if dot and backbone in bundle.backbones:
            images = self._array(bundle.backbones[backbone].images)
            values = self._loaded.backbones[backbone].activations(images, layer.partition(":")[0])
            return values[:, bundle.selections[spec]] if spec in bundle.selections else values
        if spec in self._given:
            return self._stored(self._given[spec], spec)
        parsed = self._loaded.weights.located(spec)
        found = extract_clip(self._media, parsed)
        values, self._moments[spec] = found.values, found.time_s
        return values[0] if get_set(parsed.name).level_of(parsed.params) == "clip" else values

    def _stored(self, stored: "StoredSet", spec: str) -> np.ndarray:
        if not stored.has(self._clip_id):
            raise LeftOut(f"{stored.status(self._clip_id)}: {stored.reason(self._clip_id)}")
        self._moments[spec] = stored.times(self._clip_id)
        return stored[self._clip_id]
