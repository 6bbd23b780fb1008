"""What a bundle is made of: models with what they read, down to feature sets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import StringConstraints

from ensembles.bundle.given import BundleImported
from features.errors import EmofuseError
from features.schema import Word
from features.sets import SetSpec

if TYPE_CHECKING:
    from features.store.store import SetInfo
    from search.run.folder import RunFolder


_SHORTEST_STEP_S = 1e-6
# A folder of the bundle, whoever wrote it: never one above or elsewhere.
_Place = Annotated[str, StringConstraints(pattern=r"^(members|backbones|encoders)/[A-Za-z0-9_][A-Za-z0-9_.+-]*$")]


@dataclass(frozen=True)
class BundleMember:
    """One model: its folder in the bundle and, by slot, what it reads: a set, `<backbone>.<layer>` or an encoder."""

    entry: Word
    family: Word
    folder: _Place
    inputs: dict[Word, Word]


@dataclass(frozen=True)
class BundleBackbone:
    """A backbone: its folder in the bundle and the feature set (images) that it reads."""

    family: Word
    folder: _Place
    images: Word


class Collector:
    """Gathers the models of a run, by trial key, with the backbones and encoders behind them.

    `places` are the folders of models that have one in the bundle already, by trial key. After `model` was called for
    each of them, `sources` tells where each folder of the bundle is copied from.
    """

    def __init__(self, run: "RunFolder", places: Mapping[str, str]):
        self._run, self._places = run, places
        self.sources: dict[str, Path] = {}
        self.backbones: dict[str, BundleBackbone] = {}
        self.encoders: dict[str, BundleMember] = {}
        self.selections: dict[str, tuple[int, ...]] = {}
        self.feature_specs: set[str] = set()
        # How the run's store calls a set, by the bundle's name for it.
        self.stored_as: dict[str, str] = {}
        self.versions: Mapping[str, str] = {}
        self.imported: dict[str, BundleImported] = {}
        # By name: the set that reads the weights with their digest, and a spec with their place on this machine.
        self.weights: dict[str, tuple[str, str]] = {}
        self.weight_specs: dict[str, SetSpec] = {}

    def model(self, entry: str, trial_key: str) -> BundleMember:
        """The trial's model as a part of the bundle."""
        from search.recipe.inputs import source, split_layer
        from search.run.predictions import read_footer

        footer = read_footer(self._run.prediction(entry, trial_key))
        self.versions = footer.versions
        place = self._places.get(trial_key, f"encoders/{_short(entry, trial_key)}")
        self.sources[place] = self._saved(entry, trial_key)
        inputs = {}
        for slot, text in footer.inputs.items():
            # A whitened input is whitened by the saved model itself.
            spec = source(text)
            if slot in footer.encoders:
                inputs[slot] = self._encoder(spec, footer.encoders[slot])
            elif split_layer(spec):
                inputs[slot] = self._layer(spec, footer.feature_keys[slot])
            else:
                inputs[slot] = self._set(spec, footer.feature_keys.get(slot, ""))
        return BundleMember(entry, footer.family, place, inputs)

    def _encoder(self, entry: str, trial_key: str) -> str:
        name = _short(entry, trial_key)
        if name not in self.encoders:
            self.encoders[name] = self.model(entry, trial_key)
        return name

    def _layer(self, spec: str, key: str) -> str:
        from models.description import read_description
        from search.study.activations import read_source

        (found, columns), backbone = read_source(self._run, spec, key), spec.partition(".")[0]
        name = _short(backbone, found.backbone)
        if name not in self.backbones:
            place = f"backbones/{name}"
            self.sources[place] = self._saved(backbone, found.backbone)
            family = read_description(self.sources[place]).family
            self.backbones[name] = BundleBackbone(family, place, self._set(found.images, ""))
        if not columns:
            return f"{name}.{found.layer}"
        cut = f"{name}.{found.layer}:selected={len(columns)}"
        self.selections[cut] = columns
        return cut

    def _set(self, spec: str, key: str) -> str:
        """A feature set as the bundle knows it, without places of this machine; `key` where the trial knew it."""
        from features.encoders.weights import needs_weights
        from features.sets import parse_spec, reads_weights, set_names

        name, stored_as = spec.partition(":")[0], spec
        if name not in set_names():
            info = self._stored(name, key)
            self.stored_as[spec] = spec
            step_s = _step_s(self._run.store / name / info.key) if info.level == "frame" else 1.0
            self.imported[spec] = BundleImported(info.level, tuple(info.shape), step_s)
            return spec
        if reads_weights(name) and needs_weights(parsed := parse_spec(spec)):
            spec = self._named(parsed, str(self._stored(name, key).params["model"]))
        self.feature_specs.add(spec)
        self.stored_as[spec] = stored_as
        return spec

    def _named(self, spec: SetSpec, digest: str) -> str:
        """The spec with a name in place of its weights' path; the same weights have one name."""
        from features.encoders.weights import at, model_name

        base = re.sub(r"[^A-Za-z0-9_.-]", "_", model_name(spec)).lstrip(".-") or "weights"
        taken = [base, *(f"{base}-{number}" for number in range(2, 1000))]
        name = next(one for one in taken if self.weights.get(one, (spec.name, digest)) == (spec.name, digest))
        self.weights[name] = (spec.name, digest)
        self.weight_specs[name] = spec
        return str(at(spec, name))

    def _stored(self, name: str, key: str) -> "SetInfo":
        """What the store says of the set that a trial read."""
        from features.store.store import stored_sets
        from features.store.stored_set import read_info

        if key:
            return read_info(self._run.store / name / key)
        ids = [info for info in stored_sets(self._run.store) if info.name == name]
        if not ids:
            raise EmofuseError(
                f"{self._run.store}: the set {name!r}, which a backbone's layers were computed of, is gone."
            )
        return ids[0]

    def _saved(self, entry: str, trial_key: str) -> Path:
        folder = self._run.model_folder(trial_key)
        if not (folder / "model.json").is_file():
            raise EmofuseError(f"The model of {entry} (trial {trial_key[:12]}) is gone from {folder}; refit it again.")
        again = "run `emofuse ensemble refit` again, or for a backbone the search: it is trained again"
        self._run.check_model(trial_key, again)
        return folder


def _step_s(folder: Path) -> float:
    """Seconds between the steps of a stored set: of the first clip with several, the middle distance."""
    from features.store.stored_set import StoredSet

    stored = StoredSet(folder)
    for clip_id in stored.ids:
        if stored.has(clip_id) and len(times := stored.times(clip_id)) > 1:
            return max(round(float(np.median(np.diff(times.astype(np.float64)))), 6), _SHORTEST_STEP_S)
    return 1.0


def _short(entry: str, trial_key: str) -> str:
    return f"{entry}-{trial_key[:8]}"
