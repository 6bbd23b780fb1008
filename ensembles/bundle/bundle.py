"""The bundle: what `export` writes and `predict` reads. No pickle anywhere: a bundle from a stranger can't run code.

    ensemble.json     members, classes, weights and scores of the ensemble
    bundle.json       schema version, members with their inputs, backbones, the feature recipe with versions
    members/NN-ENTRY/ one refitted model each: safetensors or skops, with its JSON config
    backbones/NAME/   the backbones whose layers a member reads
    encoders/NAME/    models whose encodings a member of the stage fusion reads, unless they are members themselves
    MODEL_CARD.md     what it is, what it reached, what it is not for
    sha256.json       the digest of every other file
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensembles.bundle.model_card import model_card
from ensembles.bundle.parts import BundleBackbone, BundleMember, Collector
from ensembles.fitting.ensemble import Ensemble, read_ensemble, write_ensemble
from features.errors import EmofuseError, WrongUse
from features.files import file_sha256, read_json, replacing_folder, write_bytes, write_json
from features.terminal import command

if TYPE_CHECKING:
    from search.run.folder import RunFolder

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    `selections` are, by input, the numbers that are kept of a backbone's layer. `feature_versions` tells for each
    feature set the extractor version of the training data.
    """

    folder: Path
    ensemble: Ensemble
    members: tuple[BundleMember, ...]
    backbones: Mapping[str, BundleBackbone]
    encoders: Mapping[str, BundleMember]
    selections: Mapping[str, Sequence[int]]
    feature_versions: Mapping[str, int]
    versions: Mapping[str, str]


def export_bundle(run: "RunFolder", ensemble: Ensemble, folder: Path) -> Path:
    """Write the refitted ensemble of a run to `folder`, whole or not at all.

    Every model is loaded from the files that were written first. Errors: members that were not refitted, that read
    imported arrays (which can't be computed from raw media), or that can't be loaded.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "bundle.json").exists():
        raise WrongUse(f"{folder} exists and is no bundle: choose a folder that is new or holds an older bundle.")
    missing = [member.entry for member in ensemble.members if member.refit is None]
    if missing:
        raise EmofuseError(
            f"Ensemble {ensemble.name!r}: {', '.join(missing)} not refitted on train and val yet; "
            f"run: {command('ensemble', 'refit', run.path, ensemble.name)}"
        )
    found = Collector(run, {str(member.refit): _place(n, member.entry) for n, member in enumerate(ensemble.members)})
    members = [found.model(member.entry, str(member.refit)) for member in ensemble.members]
    contents = {
        "schema_version": SCHEMA_VERSION,
        "members": [asdict(member) for member in members],
        "backbones": {name: asdict(backbone) for name, backbone in found.backbones.items()},
        "selections": {spec: list(columns) for spec, columns in found.selections.items()},
        "encoders": {name: asdict(encoder) for name, encoder in found.encoders.items()},
        "feature_versions": {spec: _extractor_version(spec) for spec in sorted(found.feature_specs)},
        "versions": dict(found.versions),
    }
    with replacing_folder(folder) as temporary:
        for place, saved in found.sources.items():
            shutil.copytree(saved, temporary / place)
        write_ensemble(ensemble, temporary / "ensemble.json")
        write_json(temporary / "bundle.json", contents)
        write_bytes(temporary / "MODEL_CARD.md", model_card(ensemble, contents).encode())
        write_json(temporary / "sha256.json", _digests(temporary))
        _refuse_unloadable(temporary, found.sources, folder)
    return folder


def _refuse_unloadable(written: Path, places: Iterable[str], folder: Path) -> None:
    """Load every model of the bundle from the files that were written, before they get its name."""
    from models.io import load_model

    try:
        for place in places:
            load_model(written / place)
    except EmofuseError as error:
        why = str(error).replace(str(written), str(folder))
        raise EmofuseError(f"{folder}: nothing was exported, since it could not be loaded: {why}") from None


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle after checking every file against its digest; a changed, missing or added file is refused."""
    if not (folder / "sha256.json").is_file():
        raise EmofuseError(f"{folder}: no bundle of `emofuse ensemble export`: sha256.json is missing.")
    _verify(folder)
    contents: dict[str, Any] = read_json(folder / "bundle.json", "a bundle's contents")
    if contents.get("schema_version") != SCHEMA_VERSION:
        raise EmofuseError(
            f"{folder}: bundle schema version {contents.get('schema_version')}, but this emofuse reads version "
            f"{SCHEMA_VERSION}; use the release that wrote it or export it again."
        )
    return Bundle(
        folder=folder,
        ensemble=read_ensemble(folder / "ensemble.json"),
        members=tuple(BundleMember(**member) for member in contents["members"]),
        backbones={name: BundleBackbone(**data) for name, data in contents["backbones"].items()},
        encoders={name: BundleMember(**data) for name, data in contents.get("encoders", {}).items()},
        selections=contents.get("selections", {}),
        feature_versions=contents["feature_versions"],
        versions=contents["versions"],
    )


def _verify(folder: Path) -> None:
    expected = read_json(folder / "sha256.json", "the digests of a bundle's files")
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"sha256.json"}
    for name in sorted(set(expected) | found):
        if name not in found:
            raise EmofuseError(f"{folder}: the bundle lacks {name}; copy or export it again.")
        if name not in expected:
            raise EmofuseError(f"{folder}: {name} does not belong to the bundle; remove it or export the bundle again.")
        if file_sha256(folder / name) != expected[name]:
            raise EmofuseError(f"{folder}: {name} was changed after the export (its sha256 differs); export it again.")


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _place(number: int, entry: str) -> str:
    return f"members/{number:02d}-{entry}"


def _extractor_version(spec: str) -> int:
    from features.sets import get_set, set_names

    name = spec.partition(":")[0]
    if name not in set_names():
        raise EmofuseError(
            f"A member reads the imported set {name!r}, which can't be computed from raw media; "
            "fit an ensemble of members that read extracted sets, then export that."
        )
    return get_set(name).version
