"""Weights of encoders that a bundle's models read: named by digest, held by the bundle or brought by who predicts."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from ensembles.bundle.stranger import StrangersFolder
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name
from features.schema import Word, shown
from features.sets import SetSpec, parse_spec, reads_weights

_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_FileName = Annotated[str, StringConstraints(pattern=r"^[^/\x00-\x1f\x7f.][^/\x00-\x1f\x7f]*$", max_length=200)]
WEIGHTS = "weights"


@dataclass(frozen=True)
class BundleWeights:
    """One encoder's weights: the set that reads them and their digest.

    `files` lie in `weights/NAME/` where the bundle holds them; `graph` is which of them is the ONNX file.
    """

    set: Word
    sha256: _Digest
    files: tuple[_FileName, ...] = ()
    graph: Annotated[str, Field(max_length=200)] = ""


class Weights:
    """Where the weights of a bundle's encoders lie on this machine, by name.

    `given` are places that the user names; the bundle's own are copied, as what is read must be what was checked, into
    a folder that goes with this object. Errors: EmofuseError for a name without weights, and for another digest.
    """

    def __init__(self, needed: Mapping[str, BundleWeights], files: StrangersFolder, given: Mapping[str, Path]):
        for name in given:
            if name not in needed:
                raise unknown_name(f"encoder of {files.path}", name, needed)
        self._needed, self._bundle = needed, files.path
        self._places: dict[str, Path] = {}
        for name, one in needed.items():
            if name in given:
                self._places[name] = given[name].expanduser().resolve()
            elif one.files:
                self._places[name] = self._copied(name, one, files)
            else:
                raise EmofuseError(
                    f"{files.path}: its models read the encoder {shown(name)} ({one.set}), whose weights it doesn't "
                    f"hold; give --encoder {name}=PLACE with those of sha256 {one.sha256[:12]}."
                )

    def located(self, text: str) -> SetSpec:
        """The spec in a bundle, whose `model` is one of its names, with the weights' place on this machine."""
        from features.encoders import weights

        spec = parse_spec(text)
        if not reads_weights(spec.name) or not weights.needs_weights(spec):
            return spec
        name = str(spec.params["model"])
        if name not in self._needed or self._needed[name].set != spec.name:
            raise EmofuseError(
                f"{self._bundle}: expected the weights of {shown(text)} among what it names; export it again."
            )
        return weights.at(spec, self._places[name])

    def check(self, texts: list[str]) -> None:
        """Refuse weights of another digest than the bundle's, for the sets `texts` that read them."""
        from features.encoders import weights

        for text in texts:
            spec = self.located(text)
            if not reads_weights(spec.name) or not weights.needs_weights(spec):
                continue
            needed = self._needed[str(parse_spec(text).params["model"])]
            if (found := weights.digest(spec)) != needed.sha256:
                raise EmofuseError(
                    f"{spec.params['model']}: expected the weights that {self._bundle} was made with, of sha256 "
                    f"{needed.sha256[:12]}, but these have {found[:12]}."
                )

    def _copied(self, name: str, one: BundleWeights, files: StrangersFolder) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="emofuse-weights-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for file in one.files:
            files.copy(f"{WEIGHTS}/{name}/{file}", folder / file)
        if one.graph and one.graph not in one.files:
            raise EmofuseError(f"{self._bundle}: expected {shown(one.graph)} among the weights {shown(name)}.")
        return folder / one.graph if one.graph else folder


def given_places(options: list[str]) -> dict[str, Path]:
    """`NAME=PLACE` options by name."""
    found = {}
    for option in options:
        name, equals, place = option.partition("=")
        if not (name and equals and place):
            raise WrongUse(f"--encoder {option}: expected NAME=PLACE, as wavlm-base=models/wavlm-base.")
        found[name] = Path(place)
    return found
