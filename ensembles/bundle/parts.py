"""What a bundle is made of: models with what they read, down to feature sets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import StringConstraints

from features.errors import EmofuseError
from features.schema import Word

if TYPE_CHECKING:
    from search.run.folder import RunFolder


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


def sets_without_bundle(run: "RunFolder", trials: Mapping[str, str]) -> dict[str, str]:
    """By entry, a set that it reads and no bundle can compute: itself, by a backbone's layer or what a fusion reads.

    `trials` are a trial key of each entry. Such models can't be exported; the values say why in words.
    """
    from features.sets import why_no_bundle
    from search.recipe.inputs import source, split_layer
    from search.run.predictions import read_footer
    from search.study.activations import read_source

    def sets(entry: str, trial_key: str) -> Iterator[str]:
        footer = read_footer(run.prediction(entry, trial_key))
        for slot, text in footer.inputs.items():
            spec = source(text)
            if slot in footer.encoders:
                yield from sets(spec, footer.encoders[slot])
            elif split_layer(spec):
                yield read_source(run, spec, footer.feature_keys[slot])[0].images
            else:
                yield spec

    found: dict[str, str] = {}
    for entry, trial_key in trials.items():
        for spec in sets(entry, trial_key):
            if why := why_no_bundle(spec):
                found.setdefault(entry, why)
    return found


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
        self.versions: Mapping[str, str] = {}

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
                inputs[slot] = spec
                self.feature_specs.add(spec)
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
            self.backbones[name] = BundleBackbone(family, place, found.images)
        self.feature_specs.add(found.images)
        if not columns:
            return f"{name}.{found.layer}"
        cut = f"{name}.{found.layer}:selected={len(columns)}"
        self.selections[cut] = columns
        return cut

    def _saved(self, entry: str, trial_key: str) -> Path:
        folder = self._run.model_folder(trial_key)
        if not (folder / "model.json").is_file():
            raise EmofuseError(f"The model of {entry} (trial {trial_key[:12]}) is gone from {folder}; refit it again.")
        again = "run `emofuse ensemble refit` again, or for a backbone the search: it is trained again"
        self._run.check_model(trial_key, again)
        return folder


def _short(entry: str, trial_key: str) -> str:
    return f"{entry}-{trial_key[:8]}"
