"""The bundle: what `export` writes and `predict` reads. No pickle anywhere: a bundle from a stranger can't run code.

ensemble.json     members, classes, weights and scores of the ensemble
bundle.json       schema version, members with their inputs, backbones, the feature recipe with versions
members/NN-ENTRY/ one refitted model each: safetensors or skops, with its JSON config
backbones/NAME/   the backbones whose layers a member reads
weights/NAME/     weights of an encoder that a feature set reads, where the export was asked to take them along
seen.safetensors  the distribution of the training clips' features (ensembles/bundle/seen.py); older bundles have none
encoders/NAME/    models whose encodings a member of the stage fusion reads, unless they are members themselves
MODEL_CARD.md     what it is, what it reached, what it is not for
sha256.json       the digest of every other file
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from ensembles.bundle.given import BundleImported
from ensembles.bundle.parts import BundleBackbone, BundleMember
from ensembles.bundle.plugged import BundlePlugin
from ensembles.bundle.seen import BundleSeen, Seen, from_arrays
from ensembles.bundle.stranger import StrangersFile, StrangersFolder, opened_file, plain_files
from ensembles.bundle.weights import BundleWeights
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import read_ensemble
from features.errors import EmofuseError
from features.files import content_key, read_json
from features.schema import Word, check_version, parse, shown
from models.weights import read_arrays

SCHEMA_VERSION = 1
DIGESTS, CONTENTS, SEEN = "sha256.json", "bundle.json", "seen.safetensors"
_EXPORT = "export it again"
# Parsed, JSON takes many times its size in memory.
_LARGEST_JSON = 8 << 20

_WeightsName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    `selections` are, by input, the numbers that are kept of a backbone's layer. `feature_versions` tells for each
    feature set the extractor version of the training data. `plugins` are those that must be in use here. `weights`
    are those of encoders, by the name that specs know them by; `imported` are sets that can't be computed from media.
    `seen` are the training clips' distributions, by feature set.
    """

    files: StrangersFolder
    ensemble: Ensemble
    members: tuple[BundleMember, ...]
    backbones: Mapping[str, BundleBackbone]
    encoders: Mapping[str, BundleMember]
    selections: Mapping[str, Sequence[int]]
    feature_versions: Mapping[str, int]
    versions: Mapping[str, str]
    plugins: tuple[BundlePlugin, ...]
    weights: Mapping[str, BundleWeights]
    imported: Mapping[str, BundleImported]
    seen: Mapping[str, Seen]

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.files.path

    @property
    def digest(self) -> str:
        """sha256 (hex) of all its files' digests: bundles of one digest predict the same."""
        return content_key(dict(self.files.digests))

    @property
    def member_names(self) -> tuple[str, ...]:
        """What predictions call its members: `00-audio_svm`."""
        return tuple(f"{m:02d}-{member.entry}" for m, member in enumerate(self.members))


@dataclass(frozen=True)
class _Contents:
    """What lies in bundle.json."""

    members: tuple[BundleMember, ...]
    backbones: dict[Word, BundleBackbone]
    feature_versions: dict[Word, int]
    versions: dict[Word, Word]
    encoders: dict[Word, BundleMember] = field(default_factory=dict)
    selections: dict[Word, tuple[Annotated[int, Field(ge=0)], ...]] = field(default_factory=dict)
    plugins: tuple[BundlePlugin, ...] = ()
    weights: dict[_WeightsName, BundleWeights] = field(default_factory=dict)
    imported: dict[Word, BundleImported] = field(default_factory=dict)
    seen: dict[Word, BundleSeen] = field(default_factory=dict)


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle after checking every file against its digest.

    Refused, before it is opened: whatever is no plain file; a file that is not listed. Refused before anything is
    loaded: a changed or missing file, and contents that don't fit together.
    """
    found = plain_files(folder)
    if DIGESTS not in found:
        raise EmofuseError(f"{folder}: no bundle of `emofuse ensemble export`: {DIGESTS} is missing.")
    for name, size in found.items():
        if name.endswith(".json") and size > _LARGEST_JSON:
            raise EmofuseError(f"{folder}: {name} is too large for a bundle ({size} bytes).")
    digests = parse(
        dict[str, _Digest], read_json(_Unlisted(folder), "the digests of a bundle's files"), folder / DIGESTS, _EXPORT
    )
    files = StrangersFolder(folder, digests)
    files.check({name: size for name, size in found.items() if name != DIGESTS})
    data = read_json(files / CONTENTS, "a bundle's contents")
    check_version(data, SCHEMA_VERSION, folder / CONTENTS, "bundle", "use the release that wrote it or export it again")
    contents = parse(_Contents, data, folder / CONTENTS, _EXPORT)
    arrays = read_arrays(files / SEEN, "the distribution of a bundle's training clips") if contents.seen else {}
    bundle = Bundle(
        files=files,
        ensemble=read_ensemble(files / "ensemble.json"),
        members=contents.members,
        backbones=contents.backbones,
        encoders=contents.encoders,
        selections=contents.selections,
        feature_versions=contents.feature_versions,
        versions=contents.versions,
        plugins=contents.plugins,
        weights=contents.weights,
        imported=contents.imported,
        seen=from_arrays(contents.seen, arrays, str(folder / SEEN)),
    )
    _check_members(bundle)
    return bundle


class _Unlisted(StrangersFile):
    """sha256.json, the one file whose digest nobody lists."""

    def __init__(self, folder: Path):
        super().__init__(StrangersFolder(folder, {DIGESTS: ""}), DIGESTS)

    def read_bytes(self) -> bytes:
        with opened_file(self._folder.path, self._name) as file:
            return file.read(_LARGEST_JSON)


def _check_members(bundle: Bundle) -> None:
    """Refuse members that are not the ensemble's, and encoders that read each other in a circle."""
    place = bundle.files / CONTENTS
    listed, fitted = [m.entry for m in bundle.members], [m.entry for m in bundle.ensemble.members]
    if listed != fitted:
        raise EmofuseError(
            f"{place}: expected the members of ensemble.json ({shown(fitted)}), but got {shown(listed)}; {_EXPORT}."
        )
    left = dict(bundle.encoders)
    while left:
        ready = [name for name, encoder in left.items() if not left.keys() & set(encoder.inputs.values())]
        if not ready:
            raise EmofuseError(f"{place}: the encoders {shown(list(left))} read each other in a circle; {_EXPORT}.")
        for name in ready:
            del left[name]
